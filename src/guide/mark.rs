//! Marks in free text, behind which a grammar holds.

use crate::tokenizer::Tokenizer;

/// A text such as `</think>` that ends free text.
///
/// A grammar begins at a token, so a mark has to end with one. That is so if tokens which complete the
/// mark and go on are not chosen; the same text is then written with other tokens.
#[derive(Debug)]
pub(super) struct Mark {
    text: Vec<u8>,
    /// By the number of the mark's bytes that are there, the tokens that complete it and go on.
    beyond: Vec<Vec<u32>>,
}

impl Mark {
    pub(super) fn new(tokenizer: &Tokenizer, text: &str) -> Mark {
        let text = text.as_bytes().to_vec();
        let mut beyond = vec![Vec::new(); text.len()];
        for id in 0..tokenizer.len() as u32 {
            let token = tokenizer.token_bytes(id).unwrap_or_default();
            for (there, tokens) in beyond.iter_mut().enumerate() {
                let rest = &text[there..];
                if token.len() > rest.len() && token.starts_with(rest) {
                    tokens.push(id);
                }
            }
            let inside = token.windows(text.len()).position(|part| part == text);
            if inside.is_some_and(|at| at > 0 && at + text.len() < token.len()) {
                beyond[0].push(id);
            }
        }
        Mark { text, beyond }
    }

    /// Bytes of the mark.
    pub(super) fn len(&self) -> usize {
        self.text.len()
    }

    /// Whether a text that ends like this ends with the mark.
    pub(super) fn ends(&self, tail: &[u8]) -> bool {
        tail.ends_with(&self.text)
    }

    /// The tokens that would complete the mark and go on, behind a text that ends like this.
    pub(super) fn beyond(&self, tail: &[u8]) -> impl Iterator<Item = u32> {
        let there = self.beyond.iter().enumerate();
        let there = there.filter(move |(there, _)| tail.ends_with(&self.text[..*there]));
        there.flat_map(|(_, tokens)| tokens.iter().copied())
    }
}
