//! What a file of the prompt store says beside the states: which tokens they are of.

use serde::{Deserialize, Serialize};

/// Kept as the note of a [`SavedSession`](crate::SavedSession).
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Note {
    /// Whether the MTP head has seen the tokens too.
    pub(crate) head: bool,
    /// The file with the tokens before these; none if these are the first.
    pub(super) parent: Option<Key>,
    /// Position of the first of these tokens.
    pub(super) first: usize,
    pub(crate) tokens: Vec<u32>,
    /// The trunk's hidden state of the last token, for the head.
    pub(crate) hidden: Vec<f32>,
    /// The logits behind the last token, if they are known.
    pub(crate) logits: Vec<f32>,
}

/// What a file is called: the hash of all tokens up to its end.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Key([u8; 16]);

impl Key {
    pub(super) fn new(head: bool, tokens: &[u32]) -> Key {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&[u8::from(head)]);
        tokens.iter().for_each(|id| {
            hasher.update(&id.to_le_bytes());
        });
        let mut key = [0; 16];
        key.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Key(key)
    }

    pub(super) fn file_name(self) -> String {
        format!("{:032x}.prompt", u128::from_be_bytes(self.0))
    }

    pub(super) fn from_file_name(name: &str) -> Option<Key> {
        let hex = name.strip_suffix(".prompt").filter(|hex| hex.len() == 32)?;
        let key = u128::from_str_radix(hex, 16).ok()?;
        Some(Key(key.to_be_bytes()))
    }
}

impl Note {
    /// Whether nothing comes before its tokens.
    pub(super) fn is_first(&self) -> bool {
        self.first == 0 && self.parent.is_none()
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        // Nothing in it has a length that cannot be written.
        postcard::to_stdvec(self).unwrap_or_default()
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Note> {
        let (note, rest) = postcard::take_from_bytes::<Note>(bytes).ok()?;
        rest.is_empty().then_some(note)
    }
}
