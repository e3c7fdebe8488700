//! Text to token ids and back: byte-level BPE over the vocabulary that a GGUF
//! file carries.
//!
//! Encoding takes four steps, one module each:
//!
//! 1. `special` cuts the text at added tokens such as `<|im_start|>`;
//! 2. `words` cuts what is left into words, the units no merge crosses;
//! 3. every byte of a word becomes the token of that byte (`alphabet`);
//! 4. `merges` joins neighbours in the order the vocabulary was trained in.
//!
//! Vocabularies of SentencePiece join characters by scores in place of 2 to 4 (`sentencepiece`).
//!
//! Ids agree with llama.cpp's for the same file, which is the reference. As there, characters have
//! the categories of Unicode 15.1; those of later versions are symbols.

pub(crate) mod alphabet;
mod end_of_text;
mod error;
mod from_gguf;
mod merges;
mod pieces;
mod pre;
mod sentencepiece;
mod special;
mod stream;
mod vocabulary;
mod warning;
mod words;

use rustc_hash::FxHashMap;

pub use error::TokenizerError;
pub use stream::TextStream;
pub use vocabulary::Vocabulary;
pub use warning::TokenizerWarning;

use merges::{Merges, Word};
use pieces::Pieces;
use pre::PreTokenizer;
use sentencepiece::Scored;
use special::{Fragment, SpecialTokens};
use vocabulary::Kind;
use words::WordRule;

/// `tokenizer.ggml.model` of byte-level BPE, and of SentencePiece.
const BYTE_PAIRS: &str = "gpt2";
const SENTENCE_PIECE: &str = "llama";

/// The pre-tokeniser of a file that names none, for the models that run here have this one.
const ASSUMED: &str = "qwen35";

/// How text between added tokens becomes ids.
enum Algorithm {
    BytePairs {
        rule: WordRule,
        merges: Merges,
        /// Tokens by their bytes, where a word that is one is not merged.
        whole: Option<FxHashMap<Box<[u8]>, u32>>,
    },
    SentencePiece(Scored),
}

impl Algorithm {
    fn encode(&self, text: &str, word: &mut Word, ids: &mut Vec<u32>) {
        let (rule, merges, whole) = match self {
            Algorithm::SentencePiece(scored) => return scored.encode(text, ids),
            Algorithm::BytePairs {
                rule,
                merges,
                whole,
            } => (rule, merges, whole),
        };
        for bytes in rule.words(text).map(str::as_bytes) {
            match whole.as_ref().and_then(|whole| whole.get(bytes)) {
                Some(id) => ids.push(*id),
                None => merges.encode(bytes, word, ids),
            }
        }
    }

    fn name(&self) -> String {
        match self {
            Algorithm::BytePairs { rule, .. } => format!("{rule:?}"),
            Algorithm::SentencePiece(_) => "SentencePiece".into(),
        }
    }
}

/// A vocabulary made ready to encode and decode.
///
/// It is immutable and can be shared between threads.
pub struct Tokenizer {
    texts: Vec<String>,
    kinds: Vec<Kind>,
    pieces: Pieces,
    special: SpecialTokens,
    algorithm: Algorithm,
    bos: Option<u32>,
    eos: Option<u32>,
    eot: Option<u32>,
    pad: Option<u32>,
    add_bos: bool,
    end_of_text: Vec<u32>,
    warnings: Vec<TokenizerWarning>,
}

impl Tokenizer {
    /// Checks a vocabulary and builds its tables.
    ///
    /// # Errors
    ///
    /// Any contradiction inside the vocabulary, and any feature there is no code
    /// for, is a [`TokenizerError`]; a tokenizer once built never fails.
    pub fn new(vocabulary: Vocabulary) -> Result<Tokenizer, TokenizerError> {
        let mut v = vocabulary;
        let mut warnings = std::mem::take(&mut v.warnings);
        let pre = match v.model.as_str() {
            SENTENCE_PIECE => None,
            BYTE_PAIRS if v.pre.is_empty() => {
                let assumed = ASSUMED;
                warnings.push(TokenizerWarning::NoPreTokenizer { assumed });
                Some(PreTokenizer::named(assumed)?)
            }
            BYTE_PAIRS => Some(PreTokenizer::named(&v.pre)?),
            _ => return Err(TokenizerError::UnknownModel { model: v.model }),
        };
        warnings.extend(v.unset_ids());
        v.check_bos()?;
        let ids = index(&v.tokens)?;
        let end_of_text = end_of_text::ids(&v, &ids);
        let mut kinds = v.kinds()?;
        for id in end_of_text::control_ids(&ids) {
            kinds[id as usize] = Kind::Control;
        }
        let pieces = Pieces::new(&v.tokens, &kinds, pre.is_some())?;
        let special = SpecialTokens::new(&v.tokens, &kinds);
        let algorithm = match pre {
            Some(pre) => {
                let merges = Merges::new(&v.merges, &ids)?;
                warnings.extend(merges.warnings(&v.merges));
                let whole = pre.takes_whole_words.then(|| pieces.by_bytes(&kinds));
                Algorithm::BytePairs {
                    rule: pre.rule,
                    merges,
                    whole,
                }
            }
            None => {
                let scored = Scored::new(&v.tokens, &kinds, v.scores, v.space_prefix)?;
                Algorithm::SentencePiece(scored)
            }
        };
        Ok(Tokenizer {
            kinds,
            pieces,
            special,
            algorithm,
            bos: v.bos,
            eos: v.eos,
            eot: v.eot,
            pad: v.pad,
            add_bos: v.add_bos,
            end_of_text,
            warnings,
            texts: v.tokens,
        })
    }

    /// The ids of `text`, exactly those: no BOS is put in front (see
    /// [`adds_bos`](Self::adds_bos)).
    ///
    /// Added tokens of the user-defined type are always recognised. Control
    /// tokens are recognised only with `parse_special`; without it their text is
    /// encoded like any other, so that a quoted `<|im_end|>` ends nothing.
    pub fn encode(&self, text: &str, parse_special: bool) -> Vec<u32> {
        self.encode_where(text, parse_special, &|_| true)
    }

    /// The ids of a text made of parts by different hands: an added token, of whatever type, is
    /// recognised only inside the parts that are trusted. Otherwise the ids are those of the whole
    /// text.
    pub fn encode_parts(&self, parts: &[(&str, bool)]) -> Vec<u32> {
        let text: String = parts.iter().map(|(text, _)| *text).collect();
        let mut end = 0;
        let ends = parts.iter().map(|(text, trusted)| {
            end += text.len();
            (end, *trusted)
        });
        // Parts of the same hand side by side are one.
        let mut parts: Vec<(usize, bool)> = Vec::new();
        for (end, trusted) in ends {
            match parts.last_mut() {
                Some(last) if last.1 == trusted => last.0 = end,
                _ => parts.push((end, trusted)),
            }
        }
        self.encode_where(&text, true, &|place| {
            let part = parts.partition_point(|(end, _)| *end <= place.start);
            let part = parts.get(part);
            part.is_some_and(|(end, trusted)| *trusted && place.end <= *end)
        })
    }

    fn encode_where(
        &self,
        text: &str,
        parse_special: bool,
        may: &impl Fn(std::ops::Range<usize>) -> bool,
    ) -> Vec<u32> {
        let mut ids = Vec::with_capacity(text.len() / 3);
        let mut word = Word::default();
        for fragment in self.special.split(text, parse_special, may) {
            match fragment {
                Fragment::Token(id) => ids.push(id),
                Fragment::Text(text) => self.algorithm.encode(text, &mut word, &mut ids),
            }
        }
        ids
    }

    /// The text of `ids`, with U+FFFD for bytes that are no UTF-8.
    ///
    /// Control tokens print their text if `special` is set and nothing
    /// otherwise. An id beyond the vocabulary prints nothing: a model's output
    /// layer may be padded past the last token, and those rows have no text.
    pub fn decode(&self, ids: &[u32], special: bool) -> String {
        let bytes: Vec<u8> = ids
            .iter()
            .flat_map(|&id| self.printed(id, special))
            .copied()
            .collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// A decoder for ids that come one at a time. Control tokens print nothing;
    /// see [`TextStream::with_special`].
    pub fn stream(&self) -> TextStream<&Tokenizer> {
        TextStream::new(self)
    }

    /// The bytes a token stands for, not always whole UTF-8 characters: the text
    /// itself of an added token, nothing for an unused one. `None` beyond the
    /// vocabulary.
    pub fn token_bytes(&self, id: u32) -> Option<&[u8]> {
        self.pieces.get(id)
    }

    /// A token as the file spells it, in the byte alphabet (`Ġthe` for ` the`).
    /// `None` beyond the vocabulary.
    pub fn token_text(&self, id: u32) -> Option<&str> {
        self.texts.get(id as usize).map(String::as_str)
    }

    /// Whether a token was added to the vocabulary as a whole, as `<think>` is, for control or as text.
    pub fn is_added(&self, id: u32) -> bool {
        let kind = self.kinds.get(id as usize);
        matches!(kind, Some(Kind::Control | Kind::UserDefined))
    }

    /// The added token of this text.
    pub fn added_token(&self, text: &str) -> Option<u32> {
        self.special.find(text)
    }

    /// Number of tokens; ids are below it.
    #[expect(clippy::len_without_is_empty, reason = "256 byte tokens at least")]
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Whether a model that produces this token has nothing more to say.
    pub fn is_end_of_text(&self, id: u32) -> bool {
        self.end_of_text.binary_search(&id).is_ok()
    }

    /// The tokens that end a text, in ascending order: those the file names as
    /// end of text, of turn or of message, and those known by their text
    /// (llama.cpp's "end of generation" set).
    pub fn end_of_text_ids(&self) -> &[u32] {
        &self.end_of_text
    }

    /// The token that begins a text, if the file names one.
    pub fn bos(&self) -> Option<u32> {
        self.bos
    }

    /// The token that ends a text, if the file names one.
    pub fn eos(&self) -> Option<u32> {
        self.eos
    }

    /// The token that ends a turn of a conversation, if the file names one.
    pub fn eot(&self) -> Option<u32> {
        self.eot
    }

    /// The token that fills unused places of a batch, if the file names one.
    pub fn pad(&self) -> Option<u32> {
        self.pad
    }

    /// Whether the model expects [`bos`](Self::bos), then always present, in
    /// front of a prompt.
    pub fn adds_bos(&self) -> bool {
        self.add_bos
    }

    /// What in the vocabulary was ignored or assumed.
    pub fn warnings(&self) -> &[TokenizerWarning] {
        &self.warnings
    }

    /// What `id` contributes to decoded text.
    fn printed(&self, id: u32, special: bool) -> &[u8] {
        let hidden = !special && self.kinds.get(id as usize) == Some(&Kind::Control);
        match self.pieces.get(id) {
            Some(bytes) if !hidden => bytes,
            _ => &[],
        }
    }
}

impl std::fmt::Debug for Tokenizer {
    /// The size only: a real vocabulary is hundreds of thousands of lines.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokenizer")
            .field("algorithm", &self.algorithm.name())
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

/// Ids by token text.
type Index<'v> = FxHashMap<&'v str, u32>;

fn index(tokens: &[String]) -> Result<Index<'_>, TokenizerError> {
    let mut ids = Index::with_capacity_and_hasher(tokens.len(), Default::default());
    for (second, text) in (0u32..).zip(tokens) {
        if let Some(first) = ids.insert(text, second) {
            let text = text.clone();
            return Err(TokenizerError::DuplicateToken {
                text,
                first,
                second,
            });
        }
    }
    Ok(ids)
}
