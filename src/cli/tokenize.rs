//! `tokenize`: the ids of a text.

use std::fmt::{self, Write as _};
use std::io::Write;

use super::failure::Failure;
use super::model_arg::{self, ModelArg};
use super::text_file::{self, STDIN};
use super::write_json_line;

#[derive(clap::Args)]
pub(super) struct Tokenize {
    #[command(flatten)]
    model: ModelArg,
    /// Text to cut into tokens, - to read it from the standard input
    #[arg(allow_hyphen_values = true)]
    text: String,
    /// Print a JSON list of ids, and nothing but ids
    #[arg(long)]
    json: bool,
}

impl Tokenize {
    pub(super) fn run(&self, out: &mut impl Write) -> Result<(), Failure> {
        let tokenizer = model_arg::tokenizer(&self.model.open()?)?;
        let ids = match self.text == STDIN {
            true => tokenizer.encode(&text_file::stdin()?, true),
            false => tokenizer.encode(&self.text, true),
        };
        if self.json {
            return write_json_line(out, &ids);
        }
        for id in ids {
            let bytes = tokenizer.token_bytes(id).unwrap_or_default();
            writeln!(out, "{id:6}  {}", Quoted(bytes))?;
        }
        Ok(())
    }
}

/// Bytes as a string literal: what is no whole character, as `\xe4`.
struct Quoted<'a>(&'a [u8]);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                match c {
                    '\'' => f.write_char(c)?,
                    c => write!(f, "{}", c.escape_debug())?,
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        f.write_char('"')
    }
}

#[cfg(test)]
mod tests {
    use super::Quoted;

    #[test]
    fn bytes_of_partial_characters_are_shown() {
        let quoted = |bytes: &[u8]| Quoted(bytes).to_string();
        assert_eq!(quoted(b"\xe4"), r#""\xe4""#);
        assert_eq!(quoted(b"a\xf0\x9f\xa6"), r#""a\xf0\x9f\xa6""#);
        assert_eq!(quoted("ä'\"\n\u{1b}".as_bytes()), r#""ä'\"\n\u{1b}""#);
    }
}
