//! Text that came from a file, made harmless to show.
//!
//! Names and values of files can hold anything: escape sequences that drive a terminal, line ends
//! that forge lines of output, characters that reverse or hide what stands beside them, a megabyte
//! of letters. Whatever is told of a file goes through one of these. Text that is printable stays
//! as it is.

use std::fmt::{self, Write};
use std::path::Path;

use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

/// At most this many characters of a name or value are shown.
const NAME: usize = 60;

/// At most this many characters of a line are shown.
const LINE: usize = 240;

/// At most this many characters of a path are shown.
const PATH: usize = 1000;

/// Whether a character does something else to a terminal than to stand there: controls, and what
/// changes or hides the order, joins, or breaks lines.
pub fn is_harmful(c: char) -> bool {
    use GeneralCategory::{Control, Format, LineSeparator, ParagraphSeparator, PrivateUse};
    !c.is_ascii_graphic()
        && c != ' '
        && matches!(
            c.general_category(),
            Control | Format | LineSeparator | ParagraphSeparator | PrivateUse
        )
}

/// Text on one line as it is, but for harmful characters, which are escaped as in Rust.
///
/// It is cut short if it is long, and its length in bytes is told then.
#[derive(Clone, Copy)]
pub struct Plain<'a>(pub &'a str);

/// The same between quotation marks.
#[derive(Clone, Copy)]
pub struct Quoted<'a>(pub &'a str);

/// A path on one line; U+FFFD stands for what is no UTF-8. Cut short only if it is very long.
#[derive(Clone, Copy)]
pub struct PlainPath<'a>(pub &'a Path);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (text, cut) = clip(self.0, NAME);
        // Through `pad`, so that a width given counts what is shown.
        f.pad(&format!("{}{cut}", one_line(text)))
    }
}

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (text, cut) = clip(self.0, NAME);
        f.write_char('"')?;
        for c in text.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                c => push(c, f)?,
            }
        }
        write!(f, "\"{cut}")
    }
}

impl fmt::Display for PlainPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.0.to_string_lossy();
        let (text, cut) = clip(&path, PATH);
        write!(f, "{}{cut}", one_line(text))
    }
}

/// A line of a text, cut short if it is long, without harmful characters.
pub fn line(text: &str) -> String {
    let (text, cut) = clip(text, LINE);
    format!("{}{cut}", one_line(text))
}

/// A text of several lines without harmful characters but its line ends and tabs.
pub fn lines(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        // Writing to a string does not fail.
        let _ = match c {
            '\n' | '\t' => out.write_char(c),
            c => push(c, &mut out),
        };
    }
    out
}

/// A text of at most so many bytes: of a longer one the beginning, and the length that it had.
pub fn shorten(text: &mut String, most: usize) {
    let len = text.len();
    if len <= most {
        return;
    }
    let end = format!("… ({len} bytes)");
    text.truncate(text.floor_char_boundary(most.saturating_sub(end.len())));
    text.push_str(&end);
}

/// A message of at most so many bytes: of a longer one the beginning and the end, for what it cites
/// of a file stands in the middle.
pub fn shorten_middle(text: &mut String, most: usize) {
    if text.len() <= most {
        return;
    }
    let half = most / 2;
    let (from, to) = (
        text.floor_char_boundary(half.saturating_sub(4)),
        text.ceil_char_boundary(text.len() - half),
    );
    text.replace_range(from..to, "…");
}

/// The text, with every harmful character escaped.
pub(crate) fn one_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        // Writing to a string does not fail.
        let _ = push(c, &mut out);
    }
    out
}

fn push(c: char, out: &mut impl Write) -> fmt::Result {
    match c {
        '\n' => out.write_str("\\n"),
        '\r' => out.write_str("\\r"),
        '\t' => out.write_str("\\t"),
        c if is_harmful(c) => write!(out, "{}", c.escape_unicode()),
        c => out.write_char(c),
    }
}

/// The first characters of a text, as many as make so many when they are escaped, and what to say
/// of its length if there are more.
fn clip(text: &str, most: usize) -> (&str, String) {
    let mut shown = 0;
    for (end, c) in text.char_indices() {
        shown += width(c);
        if shown > most {
            return (&text[..end], format!("… ({} bytes)", text.len()));
        }
    }
    (text, String::new())
}

/// Characters that stand for one.
fn width(c: char) -> usize {
    match c {
        '\n' | '\r' | '\t' => 2,
        c if is_harmful(c) => c.escape_unicode().len(),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_drives_a_terminal_is_escaped() {
        let shown = |text| Plain(text).to_string();
        assert_eq!(shown("\x1b[31mred"), "\\u{1b}[31mred");
        assert_eq!(shown("a\nb\tc\rd\0"), "a\\nb\\tc\\rd\\u{0}");
        assert_eq!(shown("\u{9b}2J\x7f"), "\\u{9b}2J\\u{7f}");
        assert_eq!(
            shown("a\u{2028}\u{202e}\u{2066}b"),
            "a\\u{2028}\\u{202e}\\u{2066}b"
        );
        assert_eq!(
            shown("\u{200b}\u{feff}\u{ad}\u{e0041}"),
            "\\u{200b}\\u{feff}\\u{ad}\\u{e0041}"
        );
    }

    #[test]
    fn what_can_be_printed_stays() {
        for text in [
            "blk.0.attn_q",
            "Ġthe",
            "ä \"b\" c\\d",
            "你好",
            "🙂🏽",
            "e\u{301}",
        ] {
            assert_eq!(Plain(text).to_string(), text);
        }
        assert_eq!(Quoted("ä \"b\\").to_string(), "\"ä \\\"b\\\\\"");
    }

    #[test]
    fn a_long_name_is_cut_and_its_length_told() {
        let long = "é".repeat(100);
        let shown = format!("{}… (200 bytes)", "é".repeat(60));
        assert_eq!(Plain(&long).to_string(), shown);
        assert_eq!(Quoted("a\nb").to_string(), "\"a\\nb\"");
        assert!(Quoted(&long).to_string().ends_with("\"… (200 bytes)"));
        let escapes = format!("{}… (100 bytes)", "\\u{1b}".repeat(10));
        assert_eq!(Plain(&"\x1b".repeat(100)).to_string(), escapes);
        assert_eq!(
            format!("{:>6}|{:4}|", Plain("a\n"), Plain("b")),
            "   a\\n|b   |"
        );
    }

    #[test]
    fn a_path_stays_on_one_line() {
        assert_eq!(
            PlainPath(Path::new("a/b\nc.gguf")).to_string(),
            "a/b\\nc.gguf"
        );
    }

    #[test]
    fn a_text_of_lines_keeps_its_lines() {
        assert_eq!(lines("a\n\tb\r\x1bc"), "a\n\tb\\r\\u{1b}c");
    }

    #[test]
    fn a_shortened_text_is_no_longer_than_asked_for() {
        let mut text = "ä".repeat(100);
        shorten(&mut text, 50);
        assert!(
            text.len() <= 50 && text.ends_with("… (200 bytes)"),
            "{text}"
        );
        let mut short = "ab".to_string();
        shorten(&mut short, 2);
        assert_eq!(short, "ab");
    }
}
