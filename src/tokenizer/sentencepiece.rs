//! Merging by scores, as SentencePiece does it for Llama 2 and Mistral.
//!
//! A text, its spaces spelt `▁`, begins as its characters. As long as two neighbours are a token
//! together, the pair of the highest score becomes one, the leftmost of equal ones. A character that
//! is no token in the end comes apart into the tokens of its bytes. As in `merges` the candidates
//! wait in a heap, and the symbols form a linked list.
//!
//! Source: Kudo and Richardson, "SentencePiece", 2018; order and ties as in llama.cpp.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use rustc_hash::FxHashMap;

use super::TokenizerError;
use super::vocabulary::Kind;

/// How the vocabulary spells a space.
pub(super) const SPACE: char = '\u{2581}';

/// Tokens with their scores, and those of single bytes.
pub(super) struct Scored {
    ids: FxHashMap<Box<str>, u32>,
    scores: Vec<f32>,
    bytes: [u32; 256],
    /// Whether a text, or what follows an added token, begins with a space more.
    space_prefix: bool,
}

/// A piece of the text in the linked list.
#[derive(Clone, Copy)]
struct Symbol {
    /// Where it begins, and its length; 0 once it has been merged into the one before it.
    start: usize,
    length: usize,
    before: Option<usize>,
    behind: Option<usize>,
}

/// Two neighbours that were a token when they were found.
#[derive(PartialEq)]
struct Candidate {
    score: f32,
    left: usize,
    right: usize,
    length: usize,
}

impl Eq for Candidate {}

impl Ord for Candidate {
    fn cmp(&self, other: &Candidate) -> Ordering {
        let by_score = self.score.total_cmp(&other.score);
        by_score.then(other.left.cmp(&self.left))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Candidate) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Scored {
    pub(super) fn new(
        tokens: &[String],
        kinds: &[Kind],
        scores: Vec<f32>,
        space_prefix: bool,
    ) -> Result<Scored, TokenizerError> {
        if scores.len() != tokens.len() {
            return Err(TokenizerError::ScoreCount {
                tokens: tokens.len(),
                scores: scores.len(),
            });
        }
        let named = (0u32..).zip(tokens);
        let ids: FxHashMap<Box<str>, u32> =
            named.map(|(id, text)| (text.as_str().into(), id)).collect();
        let mut bytes = [0; 256];
        for (byte, id) in (0..=u8::MAX).zip(&mut bytes) {
            let found = ids.get(format!("<0x{byte:02X}>").as_str());
            let found = found.filter(|id| kinds[**id as usize] == Kind::Byte);
            *id = *found.ok_or(TokenizerError::MissingByteToken { byte })?;
        }
        Ok(Scored {
            ids,
            scores,
            bytes,
            space_prefix,
        })
    }

    /// Appends the ids of a text between added tokens, or of one that begins or ends there.
    pub(super) fn encode(&self, text: &str, ids: &mut Vec<u32>) {
        let mut spelt = String::with_capacity(text.len() + 3);
        if self.space_prefix {
            spelt.push(SPACE);
        }
        spelt.extend(text.chars().map(|c| if c == ' ' { SPACE } else { c }));
        for symbol in self.merged(&spelt) {
            let piece = &spelt[symbol.start..symbol.start + symbol.length];
            match self.ids.get(piece) {
                Some(id) => ids.push(*id),
                None => ids.extend(piece.bytes().map(|byte| self.bytes[usize::from(byte)])),
            }
        }
    }

    /// What is left once no two neighbours are a token.
    fn merged(&self, text: &str) -> Vec<Symbol> {
        let mut symbols: Vec<Symbol> = (text.char_indices().enumerate())
            .map(|(i, (start, c))| Symbol {
                start,
                length: c.len_utf8(),
                before: i.checked_sub(1),
                behind: Some(i + 1),
            })
            .collect();
        if let Some(last) = symbols.last_mut() {
            last.behind = None;
        }
        let mut candidates = BinaryHeap::new();
        for left in 0..symbols.len() {
            candidates.extend(self.candidate(text, &symbols, Some(left), symbols[left].behind));
        }
        while let Some(found) = candidates.pop() {
            let (left, right) = (symbols[found.left], symbols[found.right]);
            let stale = left.length == 0 || right.length == 0;
            if stale || left.length + right.length != found.length {
                continue;
            }
            symbols[found.left].length = found.length;
            symbols[found.left].behind = right.behind;
            symbols[found.right].length = 0;
            if let Some(behind) = right.behind {
                symbols[behind].before = Some(found.left);
            }
            candidates.extend(self.candidate(text, &symbols, left.before, Some(found.left)));
            candidates.extend(self.candidate(text, &symbols, Some(found.left), right.behind));
        }
        symbols.retain(|symbol| symbol.length > 0);
        symbols
    }

    /// Two neighbours, if together they are a token.
    fn candidate(
        &self,
        text: &str,
        symbols: &[Symbol],
        left: Option<usize>,
        right: Option<usize>,
    ) -> Option<Candidate> {
        let (left, right) = (left?, right?);
        let start = symbols[left].start;
        let length = symbols[left].length + symbols[right].length;
        let id = self.ids.get(&text[start..start + length])?;
        Some(Candidate {
            score: self.scores[*id as usize],
            left,
            right,
            length,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes, letters with a score of 0, and these with theirs.
    fn scored(space_prefix: bool, more: &[(&str, f32)]) -> (Vec<String>, Scored) {
        let bytes = (0..=u8::MAX).map(|byte| (format!("<0x{byte:02X}>"), 0.0, Kind::Byte));
        let letters = ["a", "b", "c", "▁"].map(|text| (text, 0.0));
        let normal = letters.iter().chain(more);
        let normal = normal.map(|(text, score)| (text.to_string(), *score, Kind::Normal));
        let all: Vec<(String, f32, Kind)> = bytes.chain(normal).collect();
        let tokens: Vec<String> = all.iter().map(|(text, ..)| text.clone()).collect();
        let kinds: Vec<Kind> = all.iter().map(|(.., kind)| *kind).collect();
        let scores = all.iter().map(|(_, score, _)| *score).collect();
        let scored = Scored::new(&tokens, &kinds, scores, space_prefix).expect("a vocabulary");
        (tokens, scored)
    }

    #[track_caller]
    fn check(space_prefix: bool, more: &[(&str, f32)], text: &str, pieces: &[&str]) {
        let (tokens, scored) = scored(space_prefix, more);
        let mut ids = Vec::new();
        scored.encode(text, &mut ids);
        let found: Vec<&str> = ids.iter().map(|id| tokens[*id as usize].as_str()).collect();
        assert_eq!(found, pieces);
    }

    #[test]
    fn the_highest_score_wins_and_the_leftmost_of_equal_ones() {
        check(false, &[("ab", -2.0), ("bc", -1.0)], "abc", &["a", "bc"]);
        check(false, &[("ab", -1.0), ("bc", -1.0)], "abc", &["ab", "c"]);
        check(false, &[("aa", -1.0), ("aaa", -9.0)], "aaa", &["aaa"]);
    }

    #[test]
    fn a_text_begins_with_a_space_more_where_the_vocabulary_has_it_so() {
        check(true, &[("▁a", -1.0)], "a a", &["▁a", "▁a"]);
        check(false, &[("▁a", -1.0)], "a a", &["a", "▁a"]);
    }

    #[test]
    fn what_is_no_token_falls_back_to_its_bytes() {
        check(false, &[], "aé\n", &["a", "<0xC3>", "<0xA9>", "<0x0A>"]);
    }
}
