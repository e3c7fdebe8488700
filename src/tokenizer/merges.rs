//! Byte-pair merging.
//!
//! A word begins as the tokens of its bytes. As long as two neighbours can be
//! merged, the pair that comes first in the vocabulary's list is, the leftmost
//! of equal ones. The candidates wait in a heap and the symbols form a linked
//! list, so a word of `n` bytes takes `O(n log n)` time.
//!
//! Source: Sennrich et al., "Neural Machine Translation of Rare Words with
//! Subword Units", 2016.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rustc_hash::FxHashMap;

use super::{Index, TokenizerError, TokenizerWarning, alphabet};

/// Two tokens and the one they become.
struct Merge {
    left: u32,
    right: u32,
    joined: u32,
}

/// The merges in order of rank, and the tokens of single bytes.
pub(super) struct Merges {
    /// `GONE` for a byte without a token, which no id stands for.
    bytes: [u32; 256],
    /// Ids from here on are no tokens, but texts that merges name all the same. A merge may go by
    /// way of one; what is one in the end comes apart into its bytes again.
    tokens: u32,
    /// Ranks of the merges with such a text.
    without_token: Vec<usize>,
    merges: Vec<Merge>,
    ranks: FxHashMap<(u32, u32), u32>,
}

/// A word while its symbols are merged; kept from word to word for its memory.
#[derive(Default)]
pub(super) struct Word {
    symbols: Vec<Symbol>,
    candidates: BinaryHeap<Reverse<Candidate>>,
}

/// A token in the linked list of a word. Symbols are found by their place in the
/// word, that of their first byte.
#[derive(Clone, Copy)]
struct Symbol {
    /// `GONE` once the symbol has been merged into the one before it.
    token: u32,
    /// Place of the symbol before, `NONE` at the start of the word.
    before: usize,
    /// Place of the symbol behind, past the last at the end of the word.
    behind: usize,
}

const GONE: u32 = u32::MAX;
const NONE: usize = usize::MAX;

/// A merge that was possible when it was found; ordered by rank, then by place.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    rank: u32,
    place: usize,
}

impl Merges {
    pub(super) fn new(merges: &[String], index: &Index<'_>) -> Result<Merges, TokenizerError> {
        let mut bytes = [GONE; 256];
        for (byte, text) in alphabet::letters() {
            if let Some(id) = index.get(&*text.encode_utf8(&mut [0; 4])) {
                bytes[usize::from(byte)] = *id;
            }
        }
        let mut names = Names::new(index);
        let mut without_token = Vec::new();
        let mut parsed = Vec::with_capacity(merges.len());
        for (rank, merge) in merges.iter().enumerate() {
            let merge = parse(rank, merge, &mut names)?;
            if merge.left.max(merge.right).max(merge.joined) >= names.tokens {
                without_token.push(rank);
            }
            parsed.push(merge);
        }
        let (tokens, merges) = (names.tokens, parsed);
        let mut ranks = FxHashMap::with_capacity_and_hasher(merges.len(), Default::default());
        for (rank, merge) in (0u32..).zip(&merges) {
            // Of two equal merges only the more urgent can ever be made.
            ranks.entry((merge.left, merge.right)).or_insert(rank);
        }
        Ok(Merges {
            bytes,
            tokens,
            without_token,
            merges,
            ranks,
        })
    }

    /// Appends the ids of one word to `ids`.
    pub(super) fn encode(&self, text: &[u8], word: &mut Word, ids: &mut Vec<u32>) {
        self.begin(text, word);
        while self.step(word) {}
        for (place, symbol) in word.symbols.iter().enumerate() {
            match symbol.token {
                GONE => {}
                token if token < self.tokens => ids.push(token),
                _ => {
                    let bytes = &text[place..symbol.behind];
                    let of_bytes = bytes.iter().map(|&byte| self.bytes[usize::from(byte)]);
                    ids.extend(of_bytes.filter(|id| *id != GONE));
                }
            }
        }
    }

    /// The symbols of single bytes, and the candidates among them.
    fn begin(&self, text: &[u8], word: &mut Word) {
        word.symbols.clear();
        word.symbols
            .extend(text.iter().enumerate().map(|(place, &byte)| Symbol {
                token: self.bytes[usize::from(byte)],
                before: place.checked_sub(1).unwrap_or(NONE),
                behind: place + 1,
            }));
        for place in 0..text.len() {
            self.consider(place, word);
        }
    }

    /// What there is to say of bytes without a token, and of merges that name what is none; `texts`
    /// are those given to `new`.
    pub(super) fn warnings(&self, texts: &[String]) -> Vec<TokenizerWarning> {
        let missing = (0..=u8::MAX).filter(|byte| self.bytes[usize::from(*byte)] == GONE);
        let missing: Vec<u8> = missing.filter(|byte| occurs_in_utf8(*byte)).collect();
        let bytes = missing
            .first()
            .map(|first| TokenizerWarning::BytesWithoutToken {
                count: missing.len(),
                first: *first,
            });
        let first = self.without_token.first().and_then(|rank| texts.get(*rank));
        let merges = first.map(|first| TokenizerWarning::MergesWithoutToken {
            count: self.without_token.len(),
            first: first.clone(),
        });
        bytes.into_iter().chain(merges).collect()
    }

    /// Takes the next candidate; false once there is none.
    fn step(&self, word: &mut Word) -> bool {
        let Some(Reverse(candidate)) = word.candidates.pop() else {
            return false;
        };
        self.apply(candidate, word);
        true
    }

    /// Notes the merge of the symbol at `place` with the one behind it, if there
    /// is one.
    fn consider(&self, place: usize, word: &mut Word) {
        let Some(left) = word.symbols.get(place) else {
            return;
        };
        let Some(right) = word.symbols.get(left.behind) else {
            return;
        };
        if let Some(&rank) = self.ranks.get(&(left.token, right.token)) {
            word.candidates.push(Reverse(Candidate { rank, place }));
        }
    }

    /// Makes a merge, unless one of its symbols has changed since it was noted.
    fn apply(&self, Candidate { rank, place }: Candidate, word: &mut Word) {
        let merge = &self.merges[rank as usize];
        let left = word.symbols[place];
        let Some(&right) = word.symbols.get(left.behind) else {
            return;
        };
        if (left.token, right.token) != (merge.left, merge.right) {
            return;
        }
        word.symbols[left.behind].token = GONE;
        word.symbols[place].token = merge.joined;
        word.symbols[place].behind = right.behind;
        if let Some(behind) = word.symbols.get_mut(right.behind) {
            behind.before = place;
        }
        self.consider(left.before, word);
        self.consider(place, word);
    }
}

/// Whether a text can have the byte.
fn occurs_in_utf8(byte: u8) -> bool {
    !matches!(byte, 0xC0 | 0xC1 | 0xF5..)
}

/// Ids by text, of tokens and of what else merges name.
struct Names<'v> {
    index: &'v Index<'v>,
    tokens: u32,
    others: FxHashMap<String, u32>,
}

impl<'v> Names<'v> {
    fn new(index: &'v Index<'v>) -> Names<'v> {
        Names {
            index,
            tokens: index.len() as u32,
            others: FxHashMap::default(),
        }
    }

    fn id(&mut self, text: &str) -> u32 {
        if let Some(id) = self.index.get(text) {
            return *id;
        }
        let next = self.tokens + self.others.len() as u32;
        *self.others.entry(text.to_owned()).or_insert(next)
    }
}

/// Reads `left right`. No other space can occur: the byte alphabet has none.
fn parse(rank: usize, merge: &str, names: &mut Names<'_>) -> Result<Merge, TokenizerError> {
    let (left, right) = merge
        .split_once(' ')
        .filter(|(left, right)| !left.is_empty() && !right.is_empty())
        .ok_or_else(|| TokenizerError::MalformedMerge {
            rank,
            merge: merge.to_owned(),
        })?;
    Ok(Merge {
        left: names.id(left),
        right: names.id(right),
        joined: names.id(&[left, right].concat()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Candidates that a word of so many letters `a` takes; all of them can be merged.
    fn candidates(length: usize) -> usize {
        let mut texts: Vec<String> = alphabet::letters().map(|(_, c)| c.to_string()).collect();
        texts.extend(["aa", "aaaa", "aaaaaaaa"].map(String::from));
        let ids = texts
            .iter()
            .zip(0u32..)
            .map(|(text, id)| (text.as_str(), id));
        let merges = ["a a", "aa aa", "aaaa aaaa"].map(String::from);
        let merges = Merges::new(&merges, &ids.collect()).expect("merges");
        let mut word = Word::default();
        merges.begin(&b"a".repeat(length), &mut word);
        std::iter::repeat_with(|| merges.step(&mut word))
            .take_while(|more| *more)
            .count()
    }

    #[test]
    fn a_long_word_takes_a_few_candidates_for_each_of_its_bytes() {
        for length in [1, 10, 1000, 100_000] {
            let taken = candidates(length);
            assert!(taken <= 3 * length, "{taken} candidates for {length} bytes");
        }
        assert!(candidates(1000) > 1000);
    }
}
