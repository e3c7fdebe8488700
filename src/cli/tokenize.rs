//! `tokenize`: the ids of a text.

use std::io::Write;

use super::failure::Failure;
use super::model_arg::{self, ModelArg};
use super::write_json_line;

#[derive(clap::Args)]
pub(super) struct Tokenize {
    #[command(flatten)]
    model: ModelArg,
    /// Text to cut into tokens
    #[arg(allow_hyphen_values = true)]
    text: String,
    /// Print a JSON list of ids, and nothing but ids
    #[arg(long)]
    json: bool,
}

impl Tokenize {
    pub(super) fn run(&self, out: &mut impl Write) -> Result<(), Failure> {
        let tokenizer = model_arg::tokenizer(&self.model.open()?)?;
        let ids = tokenizer.encode(&self.text, true);
        if self.json {
            return write_json_line(out, &ids);
        }
        for id in ids {
            let bytes = tokenizer.token_bytes(id).unwrap_or_default();
            writeln!(out, "{id:6}  {:?}", String::from_utf8_lossy(bytes))?;
        }
        Ok(())
    }
}
