//! A copy of a session's states, in memory or as bytes that outlive the process.
//!
//! As bytes: the magic, the version, the model's fingerprint, the number of states; of each state
//! how many tokens it has consumed, how many of them are pending, the side of its log, and its two
//! pieces of memory, each with its length before it; at the end the BLAKE3 hash of all before.
//! Numbers are little-endian.

use super::fingerprint::Fingerprint;
use super::state::Saved;

const MAGIC: &[u8; 8] = b"SHARPI\0S";
const VERSION: u32 = 1;
/// Bytes of the hash at the end.
const HASH: usize = blake3::OUT_LEN;

/// A copy of a session's states ([`Session::save`](crate::Session::save)). Two are equal if they
/// hold the same tokens' states bit for bit and neither has a tentative run behind it.
#[derive(Clone, PartialEq)]
pub struct SavedSession {
    pub(super) fingerprint: Fingerprint,
    pub(super) states: Vec<Saved>,
}

/// Why bytes are no saved session.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SavedError {
    /// They begin otherwise.
    #[error("this is no saved session")]
    Magic,
    /// Another version wrote them.
    #[error("the saved session has version {0}, expected {VERSION}")]
    Version(u32),
    /// They end early, or were changed.
    #[error("the saved session is damaged: its checksum does not hold")]
    Damaged,
}

impl SavedSession {
    /// Tokens that the states have consumed, the most of any graph.
    pub fn tokens(&self) -> usize {
        let consumed = self.states.iter().map(|s| s.consumed);
        consumed.max().unwrap_or(0)
    }

    /// As bytes, to be read again by this version of the program.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(self.fingerprint);
        put(&mut bytes, self.states.len());
        for state in &self.states {
            for n in [state.consumed, state.pending, state.side] {
                put(&mut bytes, n);
            }
            for memory in &state.bytes {
                put(&mut bytes, memory.len());
                bytes.extend(memory);
            }
        }
        let hash = blake3::hash(&bytes);
        bytes.extend(hash.as_bytes());
        bytes
    }

    /// What [`SavedSession::to_bytes`] has written. Whether it fits a session,
    /// [`Session::restore`](crate::Session::restore) finds out.
    ///
    /// # Errors
    /// Bytes that are something else, of another version, or damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<SavedSession, SavedError> {
        let mut rest = bytes.strip_prefix(MAGIC).ok_or(SavedError::Magic)?;
        let version = rest.split_off(..4).and_then(|b| b.try_into().ok());
        match version.map(u32::from_le_bytes) {
            Some(VERSION) => {}
            Some(other) => return Err(SavedError::Version(other)),
            None => return Err(SavedError::Damaged),
        }
        let sound = bytes.split_last_chunk::<HASH>();
        if sound.is_none_or(|(body, hash)| blake3::hash(body) != *hash) {
            return Err(SavedError::Damaged);
        }
        let body = rest.len().checked_sub(HASH).map(|n| &rest[..n]);
        body.and_then(parse).ok_or(SavedError::Damaged)
    }
}

fn put(bytes: &mut Vec<u8>, n: usize) {
    bytes.extend((n as u64).to_le_bytes());
}

fn parse(mut body: &[u8]) -> Option<SavedSession> {
    let fingerprint = body
        .split_off(..size_of::<Fingerprint>())?
        .try_into()
        .ok()?;
    let count = number(&mut body)?;
    let mut states = Vec::new();
    for _ in 0..count {
        let [consumed, pending, side] =
            [number(&mut body)?, number(&mut body)?, number(&mut body)?];
        let mut memory = || {
            let len = number(&mut body)?;
            Some(body.split_off(..len)?.to_vec())
        };
        let bytes = [memory()?, memory()?];
        if pending > consumed || side > 1 {
            return None;
        }
        states.push(Saved {
            bytes,
            consumed,
            pending,
            side,
        });
    }
    body.is_empty().then_some(SavedSession {
        fingerprint,
        states,
    })
}

fn number(bytes: &mut &[u8]) -> Option<usize> {
    let number = bytes.split_off(..8)?.try_into().ok()?;
    usize::try_from(u64::from_le_bytes(number)).ok()
}
