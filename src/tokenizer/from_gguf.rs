//! Reads the vocabulary that a model file carries.

use crate::gguf::{Array, Gguf, Value};

use super::pre::PreTokenizer;
use super::{BYTE_PAIRS, SENTENCE_PIECE, TokenizerError, TokenizerWarning, Vocabulary};

impl Vocabulary {
    /// What the `tokenizer.ggml.` keys of a file say, not yet checked against each other.
    ///
    /// # Errors
    /// A key without which there is no vocabulary is missing, or one holds a value of another
    /// type, or one asks for what is not done.
    pub fn read(gguf: &Gguf) -> Result<Vocabulary, TokenizerError> {
        let file = File(gguf);
        file.refuse(NOT_CARRIED_OUT)?;
        let model = file.need("tokenizer.ggml.model", "`gpt2` or `llama`", text)?;
        let tokens = file.need("tokenizer.ggml.tokens", TEXTS, texts)?;
        // Without merges byte-level BPE gives bytes; other algorithms have none.
        let merges = match model == BYTE_PAIRS {
            true => file.need("tokenizer.ggml.merges", TEXTS, texts)?,
            false => Vec::new(),
        };
        let by_scores = model == SENTENCE_PIECE;
        let scores = match by_scores {
            true => file.need("tokenizer.ggml.scores", "a number for each token", floats)?,
            false => Vec::new(),
        };
        let mut ids = Ids {
            file,
            len: tokens.len(),
            warnings: Vec::new(),
        };
        let pre = file.find("tokenizer.ggml.pre", "the name of a pre-tokenizer", text)?;
        let pre = pre.unwrap_or_default();
        // As llama.cpp has it where the file says nothing.
        let adds_bos = by_scores || PreTokenizer::named(&pre).is_ok_and(|pre| pre.adds_bos);
        Ok(Vocabulary {
            model,
            pre,
            tokens,
            token_types: file
                .find(
                    "tokenizer.ggml.token_type",
                    "a number for each token",
                    numbers,
                )?
                .unwrap_or_default(),
            merges,
            scores,
            space_prefix: file
                .find("tokenizer.ggml.add_space_prefix", "true or false", flag)?
                .unwrap_or(true),
            bos: (ids.read("tokenizer.ggml.bos_token_id")).or(by_scores.then_some(1)),
            eos: (ids.read("tokenizer.ggml.eos_token_id")).or(by_scores.then_some(2)),
            eot: ids.read("tokenizer.ggml.eot_token_id"),
            eom: ids.read("tokenizer.ggml.eom_token_id"),
            pad: ids.read("tokenizer.ggml.padding_token_id"),
            add_bos: file
                .find("tokenizer.ggml.add_bos_token", "true or false", flag)?
                .unwrap_or(adds_bos),
            warnings: ids.warnings,
        })
    }
}

const TEXTS: &str = "a list of one or more texts";

/// Keys that change what a prompt is or which tokens can be chosen, unless false, 0 or empty.
const NOT_CARRIED_OUT: &[&str] = &[
    "tokenizer.ggml.add_eos_token",
    "tokenizer.ggml.add_sep_token",
    "tokenizer.ggml.suppress_tokens",
];

/// Reads ids of special tokens. None is worth refusing a file for.
struct Ids<'g> {
    file: File<'g>,
    /// Number of tokens.
    len: usize,
    warnings: Vec<TokenizerWarning>,
}

impl Ids<'_> {
    /// The id that a key holds, `None` if it is missing or holds none.
    fn read(&mut self, key: &'static str) -> Option<u32> {
        let value = self.file.0.get(key)?;
        let id = value.as_u64().and_then(|id| u32::try_from(id).ok());
        if id.is_none() {
            self.warnings.push(TokenizerWarning::IdOutOfRange {
                key,
                found: value.to_string(),
                len: self.len,
            });
        }
        id
    }
}

#[derive(Clone, Copy)]
struct File<'g>(&'g Gguf);

impl File<'_> {
    fn refuse(&self, keys: &[&'static str]) -> Result<(), TokenizerError> {
        let asks = |value: &&Value| match value {
            Value::Array(array) => !array.is_empty(),
            value => flag(value) != Some(false),
        };
        for key in keys {
            if let Some(value) = self.0.get(key).filter(asks) {
                let found = value.to_string();
                return Err(TokenizerError::NotCarriedOut { key, found });
            }
        }
        Ok(())
    }

    fn find<T>(
        &self,
        key: &'static str,
        expected: &'static str,
        read: fn(&Value) -> Option<T>,
    ) -> Result<Option<T>, TokenizerError> {
        let usable = |value| {
            read(value).ok_or_else(|| TokenizerError::BadKey {
                key,
                found: value.to_string(),
                expected,
            })
        };
        self.0.get(key).map(usable).transpose()
    }

    fn need<T>(
        &self,
        key: &'static str,
        expected: &'static str,
        read: fn(&Value) -> Option<T>,
    ) -> Result<T, TokenizerError> {
        let found = self.find(key, expected, read)?;
        found.ok_or(TokenizerError::MissingKey { key, expected })
    }
}

/// A boolean, or 0 or 1.
fn flag(value: &Value) -> Option<bool> {
    match value.as_u64() {
        Some(n @ 0..=1) => Some(n == 1),
        _ => value.as_bool(),
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn texts(value: &Value) -> Option<Vec<String>> {
    let texts = value.as_array()?.as_strs()?;
    (!texts.is_empty()).then(|| texts.to_vec())
}

fn floats(value: &Value) -> Option<Vec<f32>> {
    let array = value.as_array().filter(|array| !array.is_empty())?;
    let each = (0..array.len()).map(|i| Some(array.get(i)?.as_f64()? as f32));
    each.collect()
}

fn numbers(value: &Value) -> Option<Vec<i32>> {
    let each = |array: &Array, i| i32::try_from(array.get(i)?.as_i64()?).ok();
    let array = value.as_array().filter(|array| !array.is_empty())?;
    (0..array.len()).map(|i| each(array, i)).collect()
}
