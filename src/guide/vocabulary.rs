//! The tokens of a model as bytes in a tree, in which a parser finds those that may follow.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use llguidance::ParserFactory;
use llguidance::toktrie::{ApproximateTokEnv, SimpleVob, TokEnv, TokRxInfo, TokTrie};

use super::error::GuideError;
use super::limits;
use super::mark::Mark;
use crate::tokenizer::Tokenizer;

/// Longer tokens are never chosen under a grammar; the tree has no room for them.
const MOST_TOKEN: usize = 1000;
/// Most bytes of all tokens together; the vocabularies of 2026 have two million.
const MOST_BYTES: usize = 4 << 20;

/// The tokens of a tokenizer, ready to be searched.
///
/// Making one takes a while, so it is made once for a model. It can be shared between threads.
pub struct GuideVocabulary {
    tokenizer: Arc<Tokenizer>,
    pub(super) factory: ParserFactory,
    marks: Mutex<HashMap<String, Arc<Mark>>>,
}

impl GuideVocabulary {
    /// The tokens of `tokenizer`.
    ///
    /// # Errors
    /// A vocabulary without a token that ends a text, or larger than the tables of the parser.
    pub fn new(tokenizer: Arc<Tokenizer>) -> Result<GuideVocabulary, GuideError> {
        let ends = tokenizer.end_of_text_ids();
        if ends.is_empty() {
            return Err(GuideError::NoEnd);
        }
        let words = words(&tokenizer);
        let bytes: usize = words.iter().map(Vec::len).sum();
        if bytes > MOST_BYTES {
            return Err(GuideError::TooLarge {
                what: "the vocabulary",
                found: bytes,
                unit: "bytes",
                most: MOST_BYTES,
            });
        }
        let info = TokRxInfo::new(words.len() as u32, ends[0]);
        let trie = TokTrie::from(&info, &words).with_eos_tokens(ends);
        let tokens: TokEnv = Arc::new(ApproximateTokEnv::new(trie));
        let mut factory = ParserFactory::new_simple(&tokens)
            .map_err(|error| GuideError::Vocabulary(error.to_string()))?;
        *factory.limits_mut() = limits::parser();
        factory.quiet();
        Ok(GuideVocabulary {
            tokenizer,
            factory,
            marks: Mutex::default(),
        })
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// How a grammar in Lark's notation names a mark such as `<tool_call>`: as the added token of that
    /// text, or as text where there is none.
    pub fn lark_mark(&self, text: &str) -> String {
        match self.tokenizer.added_token(text) {
            Some(id) => format!("<[{id}]>"),
            None => serde_json::Value::from(text).to_string(),
        }
    }

    /// The tokens that end a text.
    pub(super) fn ends(&self) -> SimpleVob {
        self.factory.tok_env().tok_trie().eos_token_set()
    }

    /// The tables of a mark; made at its first use.
    pub(super) fn mark(&self, text: &str) -> Arc<Mark> {
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mark) = marks.get(text) {
            return mark.clone();
        }
        let mark = Arc::new(Mark::new(&self.tokenizer, text));
        marks.insert(text.to_owned(), mark.clone());
        mark
    }
}

impl std::fmt::Debug for GuideVocabulary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GuideVocabulary")
            .field("tokenizer", &self.tokenizer)
            .finish_non_exhaustive()
    }
}

/// Bytes by id, as the parser wants them: added tokens behind a byte that no text has, and nothing for
/// tokens that are never to be chosen.
fn words(tokenizer: &Tokenizer) -> Vec<Vec<u8>> {
    let ids = 0..tokenizer.len() as u32;
    let word = |id: u32| {
        let bytes = tokenizer.token_bytes(id).unwrap_or_default();
        let marker = TokTrie::SPECIAL_TOKEN_MARKER;
        if bytes.is_empty() || bytes.len() > MOST_TOKEN {
            return Vec::new();
        }
        match tokenizer.is_added(id) || tokenizer.is_end_of_text(id) {
            true => [&[marker], bytes].concat(),
            // A token that begins like the marker would be taken for one.
            false if bytes[0] == marker && bytes.len() > 1 => Vec::new(),
            false => bytes.to_vec(),
        }
    };
    ids.map(word).collect()
}
