//! Which ids are drafted.

use std::fmt::Display;
use std::path::PathBuf;

use sharpi_compile::lower::DraftVocabulary;
use sharpi_compile::regular_file;
use sharpi_ir::plain::PlainPath;

use super::failure::Failure;

#[derive(clap::Args)]
pub(super) struct DraftVocabArgs {
    /// Draft among the N lowest ids, the most frequent ones, or those listed in a file: a draft
    /// takes less time, and the text stays the same
    #[arg(long, value_name = "N|FILE", value_parser = chosen)]
    draft_vocab: Option<Chosen>,
}

/// Ids as they are named.
#[derive(Clone)]
enum Chosen {
    First(usize),
    Listed(PathBuf),
}

fn chosen(text: &str) -> Result<Chosen, String> {
    match text.parse() {
        Ok(0) => Err("expected 1 or more ids, or a file that lists them".into()),
        Ok(count) => Ok(Chosen::First(count)),
        Err(_) => Ok(Chosen::Listed(text.into())),
    }
}

impl DraftVocabArgs {
    pub(super) fn is_given(&self) -> bool {
        self.draft_vocab.is_some()
    }

    /// The ids; `None` for all.
    pub(super) fn read(&self) -> Result<Option<DraftVocabulary>, Failure> {
        let path = match &self.draft_vocab {
            None => return Ok(None),
            Some(Chosen::First(count)) => return Ok(Some(DraftVocabulary::First(*count))),
            Some(Chosen::Listed(path)) => path,
        };
        let cannot = |error: &dyn Display| {
            Failure::plain(
                format!("cannot read ids from {}: {error}", PlainPath(path)),
                "--draft-vocab takes a number, or a file of token ids with commas or ends of \
                 lines between",
            )
        };
        let text = regular_file::read_to_string(path).map_err(|e| cannot(&e))?;
        let ids = listed(&text).map_err(|e| cannot(&e))?;
        Ok(Some(DraftVocabulary::Ids(ids)))
    }
}

/// The ids in a text, with commas, spaces or ends of lines between.
fn listed(text: &str) -> Result<Vec<u32>, String> {
    let parts = text.split(|c: char| c.is_whitespace() || ",[]\u{feff}".contains(c));
    let parts = parts.filter(|part| !part.is_empty());
    let id = |part: &str| part.parse().map_err(|_| format!("{part:?} is no token id"));
    parts.map(id).collect()
}
