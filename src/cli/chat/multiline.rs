//! Texts of several lines, as they are typed.
//!
//! A line that ends with a backslash goes on with the next. A text that begins with `"""` ends with
//! `"""`, and in it every character stands for itself.

/// What begins and ends a block.
const FENCE: &str = "\"\"\"";

/// Whether nothing more is to come.
pub(super) fn is_complete(typed: &str) -> bool {
    match typed.trim_start().strip_prefix(FENCE) {
        Some(block) => block.trim_end().ends_with(FENCE),
        None => !goes_on(typed.lines().next_back().unwrap_or_default()),
    }
}

/// Whether a block has no end.
pub(super) fn is_open_block(typed: &str) -> bool {
    typed.trim_start().starts_with(FENCE) && !is_complete(typed)
}

/// The text that is meant.
pub(super) fn meant(typed: &str) -> String {
    if let Some(block) = typed.trim_start().strip_prefix(FENCE) {
        let block = block.trim_end();
        let block = block.strip_suffix(FENCE).unwrap_or(block);
        let block = block.strip_prefix('\n').unwrap_or(block);
        return block.strip_suffix('\n').unwrap_or(block).into();
    }
    let lines = typed.lines().map(|line| match goes_on(line) {
        true => &line[..line.len() - 1],
        false => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Whether a line ends with a backslash that is not itself behind one.
fn goes_on(line: &str) -> bool {
    let backslashes = line.bytes().rev().take_while(|byte| *byte == b'\\');
    backslashes.count() % 2 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backslash_or_a_block_makes_several_lines_one_text() {
        for (typed, text) in [
            ("hello", "hello"),
            ("a\\\nb", "a\nb"),
            ("a\\\\\nb", "a\\\\\nb"),
            ("a\\\n\\\nb", "a\n\nb"),
            ("\"\"\"a\\\nb\"\"\"", "a\\\nb"),
            ("  \"\"\"\n a\n\nb\n\"\"\" ", " a\n\nb"),
            ("\"\"\"\"\"\"", ""),
            ("say \"\"\"", "say \"\"\""),
            ("", ""),
        ] {
            assert!(is_complete(typed), "{typed:?}");
            assert_eq!(meant(typed), text, "{typed:?}");
        }
    }

    #[test]
    fn what_goes_on_is_not_complete() {
        for typed in ["a\\", "a\nb\\", "\"\"\"", "\"\"\"a\n\"\" b", "\"\"\"a\\"] {
            assert!(!is_complete(typed), "{typed:?}");
        }
        assert!(is_open_block("\"\"\"a"));
        assert!(!is_open_block("a\\"));
    }
}
