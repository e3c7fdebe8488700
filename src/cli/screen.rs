//! What every byte passes on its way to stdout and stderr, so that nothing that came from a file
//! does more to a terminal than to stand there.

use std::env;
use std::io::{self, IsTerminal, Write};

use sharpi_ir::plain::is_harmful;

/// How a character that is not to be passed on is written.
#[derive(Clone, Copy, PartialEq)]
enum Spelling {
    /// `\u{1b}`.
    Text,
    /// `\u001b`: JSON has harmful characters only within strings.
    Json,
}

/// Passes text on, with harmful characters escaped.
pub(super) struct Screen<W: Write> {
    out: W,
    /// Whether it is a terminal that shows more than one kind of text.
    dims: bool,
    /// Whether a character must not pass.
    harmful: fn(char) -> bool,
    spelling: Spelling,
    /// The beginning of a character whose end has not come yet.
    pending: Vec<u8>,
}

/// How text looks on a terminal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Style {
    Usual,
    Dim,
    Bold,
    Red,
    Green,
    Yellow,
    Blue,
    Magenta,
    Cyan,
}

/// The standard output.
pub(super) type Stdout = Screen<io::StdoutLock<'static>>;

/// Where the program writes what it found: tables, graphs, JSON.
pub(super) fn findings() -> Stdout {
    Screen {
        dims: io::stdout().is_terminal() && may_dim(),
        ..Screen::new(io::stdout().lock(), is_noise, Spelling::Text)
    }
}

/// Where the program writes what a model wrote. It belongs to who asked for it: a file or another
/// program gets every byte. A terminal shows writing of any script, but obeys nothing.
pub(super) fn writing() -> Stdout {
    let terminal = io::stdout().is_terminal();
    let harmful = match terminal {
        true => is_command,
        false => |_| false,
    };
    Screen {
        dims: terminal && may_dim(),
        ..Screen::new(io::stdout().lock(), harmful, Spelling::Text)
    }
}

/// Where the program tells what it does.
pub(super) fn notes() -> Screen<io::Stderr> {
    Screen {
        dims: io::stderr().is_terminal() && may_dim(),
        ..Screen::new(io::stderr(), is_noise, Spelling::Text)
    }
}

/// Whether the user's terminal knows attributes and its user wants them (https://no-color.org).
fn may_dim() -> bool {
    let is = |name: &str| env::var_os(name);
    is("NO_COLOR").is_none_or(|value| value.is_empty()) && is("TERM").is_none_or(|t| t != "dumb")
}

/// JSON on its way to `out`.
pub(super) fn json<W: Write>(out: W) -> Screen<W> {
    Screen::new(out, is_noise, Spelling::Json)
}

fn is_noise(c: char) -> bool {
    is_harmful(c) && !matches!(c, '\n' | '\t')
}

/// Controls, and what turns the order of other characters around. Joiners and marks of direction
/// belong to the writing of some languages.
fn is_command(c: char) -> bool {
    let turns = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    (c.is_control() && !matches!(c, '\n' | '\t')) || turns
}

impl<W: Write> Screen<W> {
    fn new(out: W, harmful: fn(char) -> bool, spelling: Spelling) -> Screen<W> {
        Screen {
            out,
            dims: false,
            harmful,
            spelling,
            pending: Vec::new(),
        }
    }

    /// Whether [`Screen::dim`] and [`Screen::style`] do anything.
    pub(super) fn dims(&self) -> bool {
        self.dims
    }

    /// Dims what follows, or shows it as usual again.
    pub(super) fn dim(&mut self, on: bool) -> io::Result<()> {
        self.style(if on { Style::Dim } else { Style::Usual })
    }

    /// How what follows looks.
    pub(super) fn style(&mut self, style: Style) -> io::Result<()> {
        let code: &[u8] = match style {
            Style::Usual => b"\x1b[0m",
            Style::Dim => b"\x1b[2m",
            Style::Bold => b"\x1b[1m",
            Style::Red => b"\x1b[31m",
            Style::Green => b"\x1b[32m",
            Style::Yellow => b"\x1b[33m",
            Style::Blue => b"\x1b[34m",
            Style::Magenta => b"\x1b[35m",
            Style::Cyan => b"\x1b[36m",
        };
        match self.dims {
            true => self.out.write_all(code),
            false => Ok(()),
        }
    }

    fn text(&mut self, text: &str) -> io::Result<()> {
        let mut rest = text;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| (self.harmful)(*c)) {
            self.out.write_all(&rest.as_bytes()[..at])?;
            self.escape(c)?;
            rest = &rest[at + c.len_utf8()..];
        }
        self.out.write_all(rest.as_bytes())
    }

    fn escape(&mut self, c: char) -> io::Result<()> {
        match (self.spelling, c) {
            (Spelling::Json, c) => {
                let mut units = [0; 2];
                let units = c.encode_utf16(&mut units).iter();
                units
                    .copied()
                    .try_for_each(|unit| write!(self.out, "\\u{unit:04x}"))
            }
            (Spelling::Text, '\r') => self.out.write_all(b"\\r"),
            (Spelling::Text, c) => write!(self.out, "{}", c.escape_unicode()),
        }
    }

    /// Everything but the beginning of a character at the end, which waits for the rest.
    fn pass(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut chunks = bytes.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            self.text(chunk.valid())?;
            let invalid = chunk.invalid();
            let cut_short = chunks.peek().is_none()
                && std::str::from_utf8(invalid).is_err_and(|error| error.error_len().is_none());
            match cut_short {
                true => self.pending = invalid.to_vec(),
                false => self
                    .out
                    .write_all(invalid.escape_ascii().to_string().as_bytes())?,
            }
        }
        Ok(())
    }
}

impl<W: Write> Write for Screen<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match std::mem::take(&mut self.pending) {
            pending if pending.is_empty() => self.pass(bytes)?,
            pending => self.pass(&[&pending, bytes].concat())?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(mut screen: Screen<Vec<u8>>, pieces: &[&[u8]]) -> String {
        for piece in pieces {
            screen.write_all(piece).unwrap();
        }
        String::from_utf8(screen.out).unwrap()
    }

    fn findings() -> Screen<Vec<u8>> {
        Screen::new(Vec::new(), is_noise, Spelling::Text)
    }

    #[test]
    fn findings_are_escaped_but_for_lines_and_tabs() {
        let shown = through(
            findings(),
            &["a\n\tä\x1b[2J\r\u{9b}\u{202e}\u{200b}".as_bytes()],
        );
        assert_eq!(shown, "a\n\tä\\u{1b}[2J\\r\\u{9b}\\u{202e}\\u{200b}");
    }

    #[test]
    fn a_character_may_come_in_pieces() {
        let bytes = "ä🙂\u{9b}".as_bytes();
        let pieces: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(through(findings(), &pieces), "ä🙂\\u{9b}");
    }

    #[test]
    fn what_is_no_text_is_shown_as_bytes() {
        assert_eq!(
            through(findings(), &[b"a\xff\xe4b", b"\xf0\x9f", b"c"]),
            "a\\xff\\xe4b\\xf0\\x9fc"
        );
    }

    #[test]
    fn json_stays_json() {
        let text = "\u{7f}\u{9b}\u{202e}\u{e0041}ä\x1b";
        let mut out = json(Vec::new());
        serde_json::to_writer(&mut out, text).unwrap();
        let shown = String::from_utf8(out.out).unwrap();
        assert_eq!(shown, r#""\u007f\u009b\u202e\udb40\udc41ä\u001b""#);
        assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), text);
    }

    #[test]
    fn a_terminal_shows_writing_and_obeys_nothing() {
        let screen = Screen::new(Vec::new(), is_command, Spelling::Text);
        let joined = "👩\u{200d}💻 می\u{200c}خواهم\n";
        let shown = through(
            screen,
            &[joined.as_bytes(), "\x1b]0;x\x07\u{202e}".as_bytes()],
        );
        assert_eq!(shown, format!("{joined}\\u{{1b}}]0;x\\u{{7}}\\u{{202e}}"));
    }

    #[test]
    fn a_program_gets_every_byte_that_a_model_wrote() {
        let screen = Screen::new(Vec::new(), |_| false, Spelling::Text);
        assert_eq!(through(screen, &[b"\x1b[1m\r\n"]), "\x1b[1m\r\n");
    }
}
