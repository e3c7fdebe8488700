//! A file that remembers a prompt, so that the next run need not read it again.

use std::path::PathBuf;

use sharpi_compile::engine::RememberedPrompt;
use sharpi_compile::exec::SavedError;
use sharpi_compile::generate::Generator;
use sharpi_ir::plain::PlainPath;

use super::failure::Failure;
use super::notice;

#[derive(clap::Args)]
pub(super) struct PromptCacheArgs {
    /// File that remembers the prompt, made if it is not there: a prompt that begins with what the
    /// file remembers is only read from there on
    #[arg(long, value_name = "FILE")]
    prompt_cache: Option<PathBuf>,
    /// Remember the text too, for a prompt that goes on behind it
    #[arg(long, requires = "prompt_cache")]
    prompt_cache_all: bool,
    /// Use the file but leave it as it is
    #[arg(long, requires = "prompt_cache")]
    prompt_cache_ro: bool,
}

impl PromptCacheArgs {
    /// What the file remembers. One that is not there or is damaged is no reason to stop.
    pub(super) fn read(&self) -> Result<Option<RememberedPrompt>, Failure> {
        let Some(path) = &self.prompt_cache else {
            return Ok(None);
        };
        match RememberedPrompt::read(path) {
            Ok(remembered) => Ok(Some(remembered)),
            Err(SavedError::Read(e)) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            // What is something else must not be written over.
            Err(error @ (SavedError::Magic | SavedError::Read(_))) => Err(Failure::plain(
                format!("{}: {error}", PlainPath(path)),
                "name another file with --prompt-cache",
            )),
            Err(error) => {
                notice::warn(format_args!(
                    "{}: {error}; it is written anew",
                    PlainPath(path)
                ));
                Ok(None)
            }
        }
    }

    /// Tells what came of it.
    pub(super) fn tell(&self, resumed: usize, prompt: usize, known: Option<&RememberedPrompt>) {
        let (Some(path), Some(known)) = (&self.prompt_cache, known) else {
            return;
        };
        match resumed {
            0 => notice::warn(format_args!(
                "{} remembers {} tokens that do not help with this prompt; all of it is read",
                PlainPath(path),
                known.tokens().len()
            )),
            tokens => notice::tell(format_args!(
                "remembered: {tokens} of {prompt} tokens of the prompt, from {}",
                PlainPath(path)
            )),
        }
    }

    /// Whether the prompt is to be remembered as soon as it is read.
    pub(super) fn keeps_prompt(&self) -> bool {
        self.prompt_cache.is_some() && !self.prompt_cache_all && !self.prompt_cache_ro
    }

    /// Whether the text is to be remembered too.
    pub(super) fn keeps_text(&self) -> bool {
        self.prompt_cache_all && !self.prompt_cache_ro
    }

    /// Writes what a generator has seen.
    pub(super) fn write(&self, generator: &mut Generator) -> Result<(), Failure> {
        let Some(path) = &self.prompt_cache else {
            return Ok(());
        };
        let written = match generator.remember()? {
            Some(remembered) => remembered.write(path).map(drop),
            None => Ok(()),
        };
        written.map_err(|error| {
            Failure::plain(
                format!("{}: {error}", PlainPath(path)),
                "name a file that can be written with --prompt-cache",
            )
        })
    }
}
