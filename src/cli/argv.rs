//! llama.cpp's short options of several letters, which clap does not know.

use std::ffi::OsString;

/// Short spelling and long.
const LONG: [(&str, &str); 2] = [("-ctk", "--cache-type-k"), ("-ctv", "--cache-type-v")];

/// Replaces `-ctk` and `-ctv`, also as `-ctk=f16`, by their long names; what follows `--` is left
/// alone.
pub(super) fn with_long_cache_types(args: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut options = true;
    let lengthen = |arg: OsString| {
        options &= arg != "--";
        match options {
            true => lengthened(&arg).unwrap_or(arg),
            false => arg,
        }
    };
    args.map(lengthen).collect()
}

fn lengthened(arg: &OsString) -> Option<OsString> {
    let text = arg.to_str()?;
    LONG.iter().find_map(|(short, long)| {
        let rest = text.strip_prefix(short)?;
        (rest.is_empty() || rest.starts_with('=')).then(|| format!("{long}{rest}").into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cache_types_get_their_long_names() {
        let given = "x run -ctk f32 -ctv=f16 -ctx -c 5 -- -ctk".split(' ');
        let found = with_long_cache_types(given.map(OsString::from));
        let expected = "x run --cache-type-k f32 --cache-type-v=f16 -ctx -c 5 -- -ctk";
        assert_eq!(found.join(" ".as_ref()), expected);
    }
}
