//! Receipts: what proves an answer afterwards.
//!
//! The logits of a position are a pure function of the tokens before it, and the choice is one of
//! the logits, the options and the tokens. So whoever has the model can [replay](Replay) an answer,
//! on any machine, with any number of threads, with drafts and without, and every bit of every row
//! of logits must be the same.

mod hash;
mod options;
mod replay;

use serde::{Deserialize, Serialize};
use sharpi_ir::DType;

use crate::engine::{LogitsHash, StopReason, Token};
use crate::guide::Form;
use crate::sampling::SamplerOptions;
use crate::{Executable, cache_type};

pub use hash::Hash;
pub use replay::{Difference, Replay, ReplayError, Verdict, What};

/// The version of the form.
const FORM: u32 = 1;

/// What an answer was made from, what it was, and the hash of each row of logits.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Receipt {
    /// The version of this form.
    pub receipt: u32,
    /// The version of the program that gave the answer.
    pub version: String,
    /// The model.
    pub model: ModelHash,
    /// Type of the cached keys.
    #[serde(with = "cache_type")]
    pub cache_type_k: DType,
    /// Type of the cached values.
    #[serde(with = "cache_type")]
    pub cache_type_v: DType,
    /// The tokens that were continued.
    pub prompt: Vec<u32>,
    /// How tokens were chosen.
    #[serde(with = "options::sampler")]
    pub sampler: SamplerOptions,
    /// Tokens that end a text.
    pub end_of_text: Vec<u32>,
    /// Whether those were never chosen.
    pub ignore_eos: bool,
    /// What the answer was held to, if to anything. The logits are those before it held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<Form>,
    /// The tokens of the answer.
    pub ids: Vec<u32>,
    /// For each of them the hash of the logits that it was chosen from: BLAKE3 of 32-bit floats in the
    /// order of ids, little-endian.
    pub logits: Vec<Hash>,
    /// The token that ended the text, if one did.
    pub end: Option<Ended>,
}

/// The end of a text.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ended {
    /// The token, which is no part of the answer.
    pub id: u32,
    /// The hash of the logits that it was chosen from.
    pub logits: Hash,
}

/// What tells a model from all others.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelHash {
    /// Of the states of its trunk and the constants of the ops there.
    pub arithmetic: Hash,
    /// Of names, types, shapes and bytes of the tensors that those compute with.
    pub weights: Hash,
}

impl ModelHash {
    /// That of a compiled model. The first time it reads all weights.
    pub fn of(executable: &Executable) -> ModelHash {
        let [arithmetic, weights] = executable.proof().map(Hash);
        ModelHash {
            arithmetic,
            weights,
        }
    }
}

/// Collects what a receipt says while an answer is made.
#[derive(Clone, Debug)]
pub struct Recorder(Receipt);

impl Recorder {
    /// For the answer to a prompt. The tokens must come with the hashes of their logits
    /// ([`GenerateOptions::hash_logits`](crate::generate::GenerateOptions::hash_logits)).
    pub fn new(
        executable: &Executable,
        prompt: &[u32],
        sampler: &SamplerOptions,
        (end_of_text, ignore_eos): (&[u32], bool),
    ) -> Recorder {
        let [k, v] = executable.cache_types();
        Recorder(Receipt {
            receipt: FORM,
            version: env!("CARGO_PKG_VERSION").into(),
            model: ModelHash::of(executable),
            cache_type_k: k,
            cache_type_v: v,
            prompt: prompt.to_vec(),
            sampler: sampler.clone(),
            end_of_text: end_of_text.to_vec(),
            ignore_eos,
            form: None,
            ids: Vec::new(),
            logits: Vec::new(),
            end: None,
        })
    }

    /// The same for an answer that is held to a form.
    #[must_use]
    pub fn form(mut self, form: Form) -> Recorder {
        self.0.form = (form != Form::default()).then_some(form);
        self
    }

    /// Takes note of a token.
    pub fn push(&mut self, token: &Token) {
        if let Some(hash) = token.logits_hash {
            self.0.ids.push(token.id);
            self.0.logits.push(Hash(hash));
        }
    }

    /// The receipt of the answer, which ended like this.
    pub fn finish(mut self, reason: Option<StopReason>, end: Option<LogitsHash>) -> Receipt {
        if let (Some(StopReason::EndOfText(id)), Some(hash)) = (reason, end) {
            let logits = Hash(hash);
            self.0.end = Some(Ended { id, logits });
        }
        self.0
    }
}
