//! One conversation in a file of its own, in the form of the store's files.

use std::io;
use std::path::Path;

use super::disk::write_whole;
use super::note::Note;
use super::store::Resumed;
use crate::exec::{RunError, SavedError};
use crate::lower::MTP;
use crate::{SavedSession, Session};

/// Tokens that have been read, with what is needed to go on behind them.
pub struct RememberedPrompt {
    saved: SavedSession,
    note: Note,
}

impl RememberedPrompt {
    /// What a session holds that has seen these tokens and nothing else.
    pub(crate) fn of(
        text: &[u32],
        session: &Session,
        (head, hidden, logits): (bool, &[f32], Vec<f32>),
    ) -> RememberedPrompt {
        let note = Note {
            head,
            tokens: text.to_vec(),
            hidden: hidden.to_vec(),
            logits,
            ..Note::default()
        };
        let mut saved = session.save();
        saved.note = note.to_bytes();
        RememberedPrompt { saved, note }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// A file that cannot be read, is something else, of another version, or damaged.
    pub fn read(path: impl AsRef<Path>) -> Result<RememberedPrompt, SavedError> {
        let mut file = crate::regular_file::open(path)?;
        let size = file.metadata()?.len();
        let saved = SavedSession::read_from(&mut file, size)?;
        let note = Note::from_bytes(&saved.note).filter(|note| note.is_first());
        let note = note.ok_or(SavedError::Damaged)?;
        Ok(RememberedPrompt { saved, note })
    }

    /// Writes a file, whole or not at all.
    ///
    /// # Errors
    /// What the system says.
    pub fn write(&self, path: impl AsRef<Path>) -> io::Result<u64> {
        write_whole(path.as_ref(), |file| self.saved.write_to(file))
    }

    /// The tokens.
    pub fn tokens(&self) -> &[u32] {
        &self.note.tokens
    }

    /// Brings a fresh session behind the tokens, if a prompt begins with them and there is enough to
    /// go on from: all of a prompt helps only with the logits behind it, and drafting needs that the
    /// head has seen the tokens.
    pub(crate) fn resume(
        &self,
        session: &mut Session,
        prompt: &[u32],
        head: bool,
    ) -> Result<Option<Resumed>, RunError> {
        let Note {
            tokens,
            hidden,
            logits,
            ..
        } = &self.note;
        let whole = tokens.len() == prompt.len();
        let lacks = (head && !self.note.head) || (whole && (head || logits.is_empty()));
        if !prompt.starts_with(tokens) || tokens.is_empty() || lacks {
            return Ok(None);
        }
        session.restore(&self.saved)?;
        if self.note.head && !head {
            session.truncate(MTP, 0)?;
        }
        Ok(Some(Resumed {
            tokens: tokens.len(),
            hidden: hidden.clone(),
            logits: if whole { logits.clone() } else { Vec::new() },
        }))
    }
}
