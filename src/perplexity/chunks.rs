//! A text in chunks.

use crate::tokenizer::Tokenizer;

/// The shortest chunk: in a shorter one no token is judged.
pub const LEAST_CHUNK: usize = 3;

/// Where in a chunk of so many tokens judging begins: the token there is the first whose logits
/// count, for the token behind it.
pub const fn first_judged(length: usize) -> usize {
    length / 2
}

/// Tokens of a chunk that are judged. The last one's logits are for a token of the next chunk.
pub const fn judged(length: usize) -> usize {
    length - 1 - first_judged(length)
}

/// Chunks of equally many tokens; what is left behind the last whole one does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunks {
    tokens: Vec<u32>,
    length: usize,
    bos: Option<u32>,
}

/// A text of fewer than two chunks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the text has {tokens} tokens; chunks of {length} need {} at least", 2 * length)]
pub struct TooShort {
    /// Tokens that there are.
    pub tokens: usize,
    /// Tokens of a chunk.
    pub length: usize,
}

impl Chunks {
    /// Cuts a text. Control tokens in it are text, as for llama-perplexity.
    ///
    /// # Errors
    /// A text of fewer than two chunks.
    pub fn of_text(tokenizer: &Tokenizer, text: &str, length: usize) -> Result<Chunks, TooShort> {
        let bos = tokenizer.bos().filter(|_| tokenizer.adds_bos());
        let tokens = bos.into_iter().chain(tokenizer.encode(text, false));
        let tokens: Vec<u32> = tokens.collect();
        if tokens.len() < 2 * length {
            return Err(TooShort {
                tokens: tokens.len(),
                length,
            });
        }
        Ok(Chunks::new(tokens, length, bos))
    }

    /// Chunks of `length` tokens, [`LEAST_CHUNK`] at least. With a `bos`, each is fed with that in
    /// place of its first token.
    pub fn new(mut tokens: Vec<u32>, length: usize, bos: Option<u32>) -> Chunks {
        assert!(length >= LEAST_CHUNK, "a chunk of {length} tokens");
        tokens.truncate(tokens.len() / length * length);
        Chunks {
            tokens,
            length,
            bos,
        }
    }

    /// Leaves the first `most` chunks.
    pub fn truncate(&mut self, most: usize) {
        self.tokens.truncate(most.saturating_mul(self.length));
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.tokens.len() / self.length
    }

    /// Tokens of each.
    pub fn length(&self) -> usize {
        self.length
    }

    /// The tokens of all.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// The tokens of one, as they stand in the text.
    pub fn chunk(&self, chunk: usize) -> &[u32] {
        &self.tokens[chunk * self.length..][..self.length]
    }

    /// The tokens that a model is fed for one.
    pub fn fed(&self, chunk: usize) -> Vec<u32> {
        let mut tokens = self.chunk(chunk).to_vec();
        if let Some(bos) = self.bos {
            tokens[0] = bos;
        }
        tokens
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_half_of_a_chunk_is_not_judged_nor_what_comes_behind_its_last_token() {
        assert_eq!((first_judged(512), judged(512)), (256, 255));
        assert_eq!((first_judged(7), judged(7)), (3, 3));
        assert_eq!(
            (first_judged(LEAST_CHUNK), judged(LEAST_CHUNK)),
            (1, 1),
            "the shortest chunk judges one token"
        );
    }

    #[test]
    fn a_rest_behind_the_last_whole_chunk_does_not_count() {
        let mut chunks = Chunks::new((0..11).collect(), 3, None);
        assert_eq!(chunks.count(), 3);
        assert_eq!(chunks.chunk(2), [6, 7, 8]);
        chunks.truncate(2);
        assert_eq!(chunks.tokens(), [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn each_chunk_is_fed_with_the_token_that_begins_a_text() {
        let chunks = Chunks::new((0..6).collect(), 3, Some(99));
        assert_eq!(chunks.fed(1), [99, 4, 5]);
        assert_eq!(chunks.chunk(1), [3, 4, 5], "the text stays what it is");
    }
}
