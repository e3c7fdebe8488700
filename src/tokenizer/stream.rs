//! Decoding as the tokens come.

use std::ops::Deref;

use super::Tokenizer;

/// Decodes tokens one at a time and never returns part of a character.
///
/// All that a stream returns, put together, is what
/// [`Tokenizer::decode`] returns for all of its tokens. `T` is a `&Tokenizer`, or an
/// `Arc<Tokenizer>` for a stream that lives by itself.
#[derive(Debug)]
pub struct TextStream<T> {
    tokenizer: T,
    special: bool,
    /// Control tokens that print their text all the same.
    printed: Vec<u32>,
    /// The beginning of a character: at most three bytes between calls.
    pending: Vec<u8>,
}

impl<T: Deref<Target = Tokenizer>> TextStream<T> {
    /// A stream that has seen no token.
    pub fn new(tokenizer: T) -> TextStream<T> {
        TextStream {
            tokenizer,
            special: false,
            printed: Vec::new(),
            pending: Vec::new(),
        }
    }

    /// Whether control tokens print their text or, as by default, nothing.
    pub fn with_special(mut self, special: bool) -> Self {
        self.special = special;
        self
    }

    /// Control tokens that print their text even where the others do not.
    pub fn with_printed(mut self, printed: Vec<u32>) -> Self {
        self.printed = printed;
        self
    }

    /// Takes the next token and returns every character that is now complete,
    /// with U+FFFD for bytes that can no longer become one.
    pub fn push(&mut self, id: u32) -> String {
        let bytes = (self.tokenizer).printed(id, self.special || self.printed.contains(&id));
        self.pending.extend_from_slice(bytes);
        let incomplete = incomplete_tail(&self.pending);
        let complete = self.pending.len() - incomplete;
        let text = String::from_utf8_lossy(&self.pending[..complete]).into_owned();
        self.pending.drain(..complete);
        text
    }

    /// Returns what is left: nothing, or U+FFFD if a character was cut short.
    pub fn finish(self) -> String {
        String::from_utf8_lossy(&self.pending).into_owned()
    }
}

/// Number of bytes at the end that may yet become a character.
fn incomplete_tail(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    while let Err(error) = std::str::from_utf8(rest) {
        rest = &rest[error.valid_up_to()..];
        match error.error_len() {
            Some(invalid) => rest = &rest[invalid..],
            None => return rest.len(),
        }
    }
    0
}
