//! Where the prompt comes from.

use std::path::PathBuf;

use sharpi_compile::tokenizer::Tokenizer;

use super::escapes::unescaped;
use super::failure::Failure;
use super::ids::{self, Ids};
use super::notice;
use super::text_file::{self, STDIN};

#[derive(clap::Args)]
pub(super) struct PromptArgs {
    #[command(flatten)]
    source: PromptSource,
    /// Read `\n`, `\t`, `\"`, `\\` and `\x41` in -p as what they stand for; this is the default
    #[arg(short, long, overrides_with = "no_escape")]
    escape: bool,
    /// Take backslashes in -p as they are
    #[arg(long, overrides_with = "escape")]
    no_escape: bool,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct PromptSource {
    /// Text to continue, - to read it from the standard input; special tokens such as
    /// <|im_start|> are recognised
    #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true)]
    prompt: Option<String>,
    /// File with the text to continue, - for the standard input; a byte order mark and one line
    /// end at its end do not count
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
        if (self.escape || self.no_escape) && self.source.prompt.is_none() {
            notice::warn("--escape and --no-escape do nothing without -p");
        }
        if let Some(Ids(ids)) = &self.source.ids {
            let text = tokenizer.decode(ids, true);
            let ids = ids.clone();
            return Ok(Prompt { text, ids });
        }
        let text = self.text()?;
        let bos = tokenizer.bos().filter(|_| tokenizer.adds_bos());
        let ids = bos.into_iter().chain(tokenizer.encode(&text, true));
        let ids = ids.collect();
        Ok(Prompt { text, ids })
    }

    fn text(&self) -> Result<String, Failure> {
        match (&self.source.prompt, &self.source.file) {
            (_, Some(path)) => text_file::read(path),
            (Some(text), _) if text == STDIN => text_file::stdin(),
            (Some(text), _) if !self.no_escape => unescaped(text),
            (text, _) => Ok(text.clone().unwrap_or_default()),
        }
    }
}
