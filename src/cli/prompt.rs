//! Where the prompt comes from.

use std::path::{Path, PathBuf};

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
    #[command(flatten)]
    pub(super) escapes: EscapeArgs,
}

/// Whether backslashes in -p mean something.
#[derive(clap::Args)]
pub(super) struct EscapeArgs {
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

impl EscapeArgs {
    /// Whether they do.
    pub(super) fn read(&self) -> bool {
        !self.no_escape
    }

    /// Warns if there is nothing to read so.
    fn warn_of_idle(&self, prompt: Option<&str>) {
        if (self.escape || self.no_escape) && prompt.is_none() {
            notice::warn("--escape and --no-escape do nothing without -p");
        }
    }

    /// The text of -p, or else of -f.
    pub(super) fn text(
        &self,
        prompt: Option<&str>,
        file: Option<&Path>,
    ) -> Result<Option<String>, Failure> {
        self.warn_of_idle(prompt);
        let text = match (prompt, file) {
            (_, Some(path)) => text_file::read(path)?,
            (Some(text), _) if text == STDIN => text_file::stdin()?,
            (Some(text), _) if self.read() => unescaped(text)?,
            (Some(text), _) => text.into(),
            (None, None) => return Ok(None),
        };
        Ok(Some(text))
    }
}

/// A prompt as a person sees it and as the model does.
pub(super) struct Prompt {
    pub(super) text: String,
    pub(super) ids: Vec<u32>,
}

impl PromptArgs {
    pub(super) fn read(&self, tokenizer: &Tokenizer) -> Result<Prompt, Failure> {
        if let Some(Ids(ids)) = &self.source.ids {
            self.escapes.warn_of_idle(None);
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

    /// The text of -p or -f.
    pub(super) fn text(&self) -> Result<String, Failure> {
        let source = &self.source;
        let text = self
            .escapes
            .text(source.prompt.as_deref(), source.file.as_deref());
        Ok(text?.unwrap_or_default())
    }
}
