//! Where the prompt comes from.

use std::fs;
use std::path::{Path, PathBuf};

use sharpi_compile::tokenizer::Tokenizer;

use super::failure::Failure;
use super::ids::{self, Ids};

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
pub(super) struct PromptArgs {
    /// Text to continue; special tokens such as <|im_start|> are recognised
    #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true)]
    prompt: Option<String>,
    /// File with the text to continue; a line end at its end does not count
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Token ids to continue, such as "870,25"
    #[arg(long, value_name = "IDS", value_parser = ids::parse, allow_hyphen_values = true)]
    ids: Option<Ids>,
}

/// A prompt as a person sees it and as the model does.
pub(super) struct Prompt {
    pub(super) text: String,
    pub(super) ids: Vec<u32>,
}

impl PromptArgs {
    pub(super) fn read(&self, tokenizer: &Tokenizer) -> Result<Prompt, Failure> {
        if let Some(Ids(ids)) = &self.ids {
            let text = tokenizer.decode(ids, true);
            let ids = ids.clone();
            return Ok(Prompt { text, ids });
        }
        let text = match (&self.prompt, &self.file) {
            (_, Some(path)) => read(path)?,
            (text, None) => text.clone().unwrap_or_default(),
        };
        let bos = tokenizer.bos().filter(|_| tokenizer.adds_bos());
        let ids = bos.into_iter().chain(tokenizer.encode(&text, true));
        let ids = ids.collect();
        Ok(Prompt { text, ids })
    }
}

/// The file's text without the line end that editors put at the end.
fn read(path: &Path) -> Result<String, Failure> {
    let text = fs::read_to_string(path).map_err(|error| {
        Failure::plain(
            format!("{}: {error}", path.display()),
            "-f takes a readable text file in UTF-8",
        )
    })?;
    Ok(text.strip_suffix('\n').unwrap_or(&text).to_string())
}
