//! Reads the vocabulary that a model file carries.

use crate::gguf::{Array, Gguf, Value};

use super::{TokenizerError, Vocabulary};

impl Vocabulary {
    /// What the `tokenizer.ggml.` keys of a file say, not yet checked against each other.
    ///
    /// # Errors
    /// A key without which there is no vocabulary is missing, or one holds a value of another
    /// type.
    pub fn read(gguf: &Gguf) -> Result<Vocabulary, TokenizerError> {
        let file = File(gguf);
        Ok(Vocabulary {
            model: file.need("tokenizer.ggml.model", "`gpt2`", text)?,
            pre: file.need("tokenizer.ggml.pre", "`qwen2` or `qwen35`", text)?,
            tokens: file.need("tokenizer.ggml.tokens", TEXTS, texts)?,
            token_types: file
                .find("tokenizer.ggml.token_type", "a list of numbers", numbers)?
                .unwrap_or_default(),
            merges: file
                .find("tokenizer.ggml.merges", TEXTS, texts)?
                .unwrap_or_default(),
            bos: file.id("tokenizer.ggml.bos_token_id")?,
            eos: file.id("tokenizer.ggml.eos_token_id")?,
            eot: file.id("tokenizer.ggml.eot_token_id")?,
            eom: file.id("tokenizer.ggml.eom_token_id")?,
            pad: file.id("tokenizer.ggml.padding_token_id")?,
            add_bos: file
                .find(
                    "tokenizer.ggml.add_bos_token",
                    "true or false",
                    Value::as_bool,
                )?
                .unwrap_or(false),
        })
    }
}

const TEXTS: &str = "a list of texts";

struct File<'g>(&'g Gguf);

impl File<'_> {
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

    fn id(&self, key: &'static str) -> Result<Option<u32>, TokenizerError> {
        self.find(key, "a token id", |value| {
            value.as_u64().and_then(|id| u32::try_from(id).ok())
        })
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn texts(value: &Value) -> Option<Vec<String>> {
    Some(value.as_array()?.as_strs()?.to_vec())
}

fn numbers(value: &Value) -> Option<Vec<i32>> {
    let each = |array: &Array, i| i32::try_from(array.get(i)?.as_i64()?).ok();
    let array = value.as_array()?;
    (0..array.len()).map(|i| each(array, i)).collect()
}
