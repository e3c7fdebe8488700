//! Texts from files and from the standard input.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use sharpi_compile::regular_file;
use sharpi_ir::plain::PlainPath;

use super::failure::Failure;

/// What stands for the standard input.
pub(super) const STDIN: &str = "-";

/// U+FEFF, with which some editors begin a file.
const BOM: char = '\u{feff}';

/// The text of a file, or of the standard input for `-`: without a byte order mark, and without the
/// one line end that editors put at the end.
pub(super) fn read(path: &Path) -> Result<String, Failure> {
    if path == Path::new(STDIN) {
        return stdin();
    }
    let shown = PlainPath(path).to_string();
    // A shell's `<(command)` names a pipe that somebody writes to already.
    let open = ["/dev/stdin", "/dev/fd", "/proc/self/fd"];
    let bytes = match open.iter().any(|stream| path.starts_with(stream)) {
        true => fs::read(path),
        false => regular_file::read(path),
    };
    text(bytes, &shown)
}

/// The text of the standard input, as of a file.
pub(super) fn stdin() -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let read = io::stdin().lock().read_to_end(&mut bytes);
    text(read.map(|_| bytes), "the standard input")
}

fn text(read: io::Result<Vec<u8>>, shown: &str) -> Result<String, Failure> {
    let bytes = read.map_err(|error| {
        Failure::plain(
            format!("{shown}: {error}"),
            "-f takes a readable text file in UTF-8, or - for the standard input",
        )
    })?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let bytes = error.as_bytes();
        let kind = match bytes {
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => ", it looks like UTF-16".into(),
            _ => format!(" from byte {} on", error.utf8_error().valid_up_to()),
        };
        Failure::plain(
            format!("{shown}: the text is not in UTF-8{kind}"),
            "convert it with `iconv -t UTF-8`, or save it as UTF-8 in the editor",
        )
    })?;
    Ok(bare(&text).to_string())
}

/// Without a byte order mark, and without the one line end at the end, `\n` or `\r\n`.
fn bare(text: &str) -> &str {
    let text = text.strip_prefix(BOM).unwrap_or(text);
    match text.strip_suffix('\n') {
        Some(line) => line.strip_suffix('\r').unwrap_or(line),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::bare;

    #[test]
    fn one_line_end_and_a_byte_order_mark_are_no_text() {
        for (file, text) in [
            ("a\n", "a"),
            ("a\r\n", "a"),
            ("\u{feff}a", "a"),
            ("\u{feff}a\r\n", "a"),
            ("a\n\n", "a\n"),
            ("a\r\n\r\n", "a\r\n"),
            ("a\r", "a\r"),
            ("a\r\nb", "a\r\nb"),
            ("a\u{feff}", "a\u{feff}"),
            ("", ""),
            ("\r\n", ""),
        ] {
            assert_eq!(bare(file), text, "{file:?}");
        }
    }
}
