//! llama.cpp's short options of several letters, which clap does not know.

use std::ffi::OsString;

/// Short spelling and long.
const LONG: [(&str, &str); 3] = [
    ("-ctk", "--cache-type-k"),
    ("-ctv", "--cache-type-v"),
    ("-md", "--model-draft"),
];

/// An option that `bench` alone has: elsewhere `-pg` is the prompt "g".
const OF_BENCH: (&str, &str) = ("-pg", "--n-prompt-gen");

/// Replaces such options, also as `-ctk=f16`, by their long names; what follows `--` is left alone.
pub(super) fn with_long_names(args: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut args = args.peekable();
    let program = args.next();
    let bench = args.peek().is_some_and(|command| command == "bench");
    let mut options = true;
    let lengthen = |arg: OsString| {
        options &= arg != "--";
        match options {
            true => lengthened(&arg, bench).unwrap_or(arg),
            false => arg,
        }
    };
    program.into_iter().chain(args.map(lengthen)).collect()
}

fn lengthened(arg: &OsString, bench: bool) -> Option<OsString> {
    let text = arg.to_str()?;
    let known = LONG.iter().chain(bench.then_some(&OF_BENCH));
    known.into_iter().find_map(|(short, long)| {
        let rest = text.strip_prefix(short)?;
        (rest.is_empty() || rest.starts_with('=')).then(|| format!("{long}{rest}").into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengthen(line: &str) -> String {
        let found = with_long_names(line.split(' ').map(OsString::from));
        found.join(" ".as_ref()).into_string().unwrap()
    }

    #[test]
    fn cache_types_get_their_long_names() {
        assert_eq!(
            lengthen("x run -ctk f32 -ctv=f16 -ctx -c 5 -- -ctk"),
            "x run --cache-type-k f32 --cache-type-v=f16 -ctx -c 5 -- -ctk"
        );
    }

    #[test]
    fn bench_alone_has_an_option_pg() {
        assert_eq!(lengthen("x bench -pg 4,2"), "x bench --n-prompt-gen 4,2");
        assert_eq!(lengthen("x run -pg"), "x run -pg");
    }
}
