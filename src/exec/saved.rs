//! A copy of a session's states, in memory or as bytes that outlive the process.
//!
//! As bytes: the magic, the version, the model's fingerprint, the caller's note, the number of
//! states; of each state the first position of its rows, how many tokens it has consumed, how many
//! of them are pending, the side of its log, and its two pieces of memory; at the end the BLAKE3
//! hash of all before. The note and pieces of memory have their length before them. Numbers are
//! little-endian, of eight bytes.

use std::io::{self, Read, Write};

use super::fingerprint::Fingerprint;
use super::state::Saved;

const MAGIC: &[u8; 8] = b"SHARPI\0S";
const VERSION: u32 = 2;
/// Bytes of the hash at the end.
const HASH: usize = blake3::OUT_LEN;

/// A copy of a session's states ([`Session::save`](crate::Session::save)), or a piece of one: rows of
/// the caches of some positions, with or without the recurrent states. Two are equal if they hold
/// the same tokens' states bit for bit and neither has a tentative run behind it.
#[derive(Clone, PartialEq)]
pub struct SavedSession {
    pub(super) fingerprint: Fingerprint,
    /// Bytes of the caller's own, kept along.
    pub note: Vec<u8>,
    pub(super) states: Vec<Saved>,
}

/// Why bytes are no saved session.
#[derive(Debug, thiserror::Error)]
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
    /// They cannot be read.
    #[error("the saved session cannot be read: {0}")]
    Read(#[from] io::Error),
}

impl SavedSession {
    /// Tokens that the states have consumed, the most of any graph.
    pub fn tokens(&self) -> usize {
        let consumed = self.states.iter().map(|s| s.consumed);
        consumed.max().unwrap_or(0)
    }

    /// Bytes of memory that it takes.
    pub fn bytes(&self) -> usize {
        let states = self.states.iter().flat_map(|s| &s.bytes).map(Vec::len);
        self.note.len() + states.sum::<usize>()
    }

    /// Leaves out the recurrent states: what is left are rows of caches, a piece from which alone
    /// nothing can go on.
    pub fn drop_recurrent(&mut self) {
        for state in self.states.iter_mut().filter(|s| !s.cache) {
            state.bytes = Default::default();
        }
    }

    /// Cuts off the rows of the caches before position `at`, a piece without recurrent states; `self`
    /// keeps the others.
    pub fn split_front(&mut self, at: usize) -> SavedSession {
        let states = self.states.iter_mut().map(|state| {
            let end = at.clamp(state.first, state.consumed);
            let rows = state.consumed - state.first;
            let mut front = Saved {
                bytes: Default::default(),
                consumed: end,
                pending: 0,
                side: 0,
                ..*state
            };
            if state.cache && rows > 0 {
                let parts = front.bytes.iter_mut().zip(&mut state.bytes);
                parts.for_each(|(front, back)| {
                    let tail = back.split_off(back.len() / rows * (end - state.first));
                    *front = std::mem::replace(back, tail);
                });
                state.first = end;
            }
            front
        });
        SavedSession {
            fingerprint: self.fingerprint,
            note: Vec::new(),
            states: states.collect(),
        }
    }

    /// As bytes, to be read again by this version of the program.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.bytes() + 1024);
        // A vector takes everything.
        self.write_to(&mut bytes).ok();
        bytes
    }

    /// Writes what [`SavedSession::to_bytes`] returns.
    ///
    /// # Errors
    /// What the writer says.
    pub fn write_to(&self, out: &mut impl Write) -> io::Result<()> {
        let mut hasher = blake3::Hasher::new();
        let mut put = |bytes: &[u8]| {
            hasher.update_rayon(bytes);
            out.write_all(bytes)
        };
        let mut head = [&MAGIC[..], &VERSION.to_le_bytes(), &self.fingerprint].concat();
        push(&mut head, self.note.len());
        head.extend(&self.note);
        push(&mut head, self.states.len());
        put(&head)?;
        for state in &self.states {
            let mut numbers = Vec::new();
            for n in [state.first, state.consumed, state.pending, state.side] {
                push(&mut numbers, n);
            }
            push(&mut numbers, usize::from(state.cache));
            put(&numbers)?;
            for memory in &state.bytes {
                put(&(memory.len() as u64).to_le_bytes())?;
                put(memory)?;
            }
        }
        out.write_all(hasher.finalize().as_bytes())
    }

    /// What [`SavedSession::to_bytes`] has written. Whether it fits a session,
    /// [`Session::restore`](crate::Session::restore) finds out.
    ///
    /// # Errors
    /// Bytes that are something else, of another version, or damaged.
    pub fn from_bytes(mut bytes: &[u8]) -> Result<SavedSession, SavedError> {
        let size = bytes.len() as u64;
        SavedSession::read_from(&mut bytes, size)
    }

    /// [`SavedSession::from_bytes`] of all that a reader has: `size` bytes.
    ///
    /// # Errors
    /// Besides, what the reader says.
    pub fn read_from(input: &mut impl Read, size: u64) -> Result<SavedSession, SavedError> {
        let mut body = Body::begin(input, size)?;
        let fingerprint = body.array()?;
        let note = body.memory()?;
        let mut states = Vec::new();
        for _ in 0..body.number()? {
            let mut next = || body.number();
            let [first, consumed, pending, side, cache] =
                [next()?, next()?, next()?, next()?, next()?];
            if pending > consumed || first > consumed || side > 1 || cache > 1 {
                return Err(SavedError::Damaged);
            }
            states.push(Saved {
                bytes: [body.memory()?, body.memory()?],
                cache: cache == 1,
                first,
                consumed,
                pending,
                side,
            });
        }
        body.end()?;
        Ok(SavedSession {
            fingerprint,
            note,
            states,
        })
    }

    /// The note of a saved session of `size` bytes, from its beginning: whether the whole is sound,
    /// only [`SavedSession::read_from`] finds out.
    ///
    /// # Errors
    /// Bytes that are something else, of another version, or too few; what the reader says.
    pub fn read_note(input: &mut impl Read, size: u64) -> Result<Vec<u8>, SavedError> {
        let mut body = Body::begin(input, size)?;
        body.array::<{ size_of::<Fingerprint>() }>()?;
        body.memory()
    }
}

/// What comes behind magic and version, hashed as it is read.
struct Body<'r, R> {
    input: &'r mut R,
    hasher: blake3::Hasher,
    /// Bytes that may still come: no length is believed that says more.
    left: u64,
}

impl<'r, R: Read> Body<'r, R> {
    fn begin(input: &'r mut R, size: u64) -> Result<Body<'r, R>, SavedError> {
        let mut body = Body {
            input,
            hasher: blake3::Hasher::new(),
            left: size,
        };
        match body.array() {
            Ok(magic) if magic == *MAGIC => {}
            Ok(_) | Err(SavedError::Damaged) => return Err(SavedError::Magic),
            Err(error) => return Err(error),
        }
        match u32::from_le_bytes(body.array()?) {
            VERSION => Ok(body),
            other => Err(SavedError::Version(other)),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], SavedError> {
        let bytes = self.take(N)?;
        bytes.try_into().map_err(|_| SavedError::Damaged)
    }

    fn number(&mut self) -> Result<usize, SavedError> {
        let number = u64::from_le_bytes(self.array()?);
        usize::try_from(number).map_err(|_| SavedError::Damaged)
    }

    /// Bytes with their length before them.
    fn memory(&mut self) -> Result<Vec<u8>, SavedError> {
        let len = self.number()?;
        self.take(len)
    }

    fn take(&mut self, len: usize) -> Result<Vec<u8>, SavedError> {
        let left = self.left.checked_sub(len as u64);
        self.left = left.ok_or(SavedError::Damaged)?;
        let mut bytes = Vec::with_capacity(len);
        self.input.take(len as u64).read_to_end(&mut bytes)?;
        if bytes.len() < len {
            return Err(SavedError::Damaged);
        }
        self.hasher.update_rayon(&bytes);
        Ok(bytes)
    }

    /// The hash of all before must follow, and nothing else.
    fn end(mut self) -> Result<(), SavedError> {
        let found = self.hasher.finalize();
        let hash: [u8; HASH] = self.array()?;
        match found == hash && self.left == 0 {
            true => Ok(()),
            false => Err(SavedError::Damaged),
        }
    }
}

fn push(bytes: &mut Vec<u8>, n: usize) {
    bytes.extend((n as u64).to_le_bytes());
}
