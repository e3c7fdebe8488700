//! The tokens of a sequence, and how the next one is chosen.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;

use super::{GenerateError, GenerateOptions, LogitsHash, Mask, StopReason, Token};
use crate::sampling::{Proposal, Sampler, log_sum, top};

/// Tokens known so far, and what chooses more.
pub(crate) struct Text {
    pub(crate) sampler: Sampler,
    pub(crate) options: GenerateOptions,
    pub(crate) mask: Option<Box<dyn Mask + Send>>,
    /// Tokens from position `base` on: the prompt, then what was generated.
    pub(crate) ids: Vec<u32>,
    pub(crate) base: usize,
    /// How many of them were generated.
    pub(crate) generated: usize,
    /// Whether to keep the next logits as they come.
    pub(crate) keep: bool,
    /// Those, and how many tokens stand before them.
    pub(crate) kept: Option<(usize, Vec<f32>)>,
}

/// What was chosen behind the last known token.
#[derive(Default)]
pub(crate) struct Choice {
    pub(crate) tokens: Vec<Token>,
    /// Drafts among them.
    pub(crate) accepted: usize,
    pub(crate) ending: Option<StopReason>,
    /// The hash of the logits from which the end of the text was chosen.
    pub(crate) end_hash: Option<LogitsHash>,
}

impl Text {
    pub(crate) fn cancelled(&self) -> bool {
        self.options.cancel.load(Ordering::Relaxed)
    }

    /// Position behind the last token.
    pub(crate) fn end(&self) -> usize {
        self.base + self.ids.len()
    }

    /// Tokens that may still be generated; `None` for as many as there is room for.
    pub(crate) fn budget(&self) -> Option<usize> {
        let most = self.options.max_tokens?;
        Some(most.saturating_sub(self.generated))
    }

    /// Excludes drafts that the mask would not let follow these; `ids` are those of the logits, if
    /// not those from 0 on. Where the mask fails, nothing is drafted: if that is the text's way, the
    /// choice meets the failure again.
    pub(crate) fn mask_drafts(
        &mut self,
        drafts: impl Iterator<Item = u32>,
        ids: Option<&[u32]>,
        logits: &mut [f32],
    ) {
        let Some(mask) = &mut self.mask else {
            return;
        };
        let known = self.ids.len();
        self.ids.extend(drafts);
        let text = &self.ids[known - self.generated..];
        if guarded(|| Ok(mask.apply(text, ids, logits)?)).is_err() {
            logits.fill(f32::NEG_INFINITY);
        }
        self.ids.truncate(known);
    }

    /// Chooses a token for each row of logits as long as the drafts hold: the first row is that of
    /// the last token.
    pub(crate) fn choose(
        &mut self,
        logits: &mut [f32],
        drafts: &[Proposal],
    ) -> Result<Choice, GenerateError> {
        let mut choice = Choice::default();
        let width = logits.len() / (1 + drafts.len());
        for (i, logits) in logits.chunks_exact_mut(width.max(1)).enumerate() {
            if std::mem::take(&mut self.keep) {
                self.kept = Some((self.end(), logits.to_vec()));
            }
            let logits_hash = self.options.hash_logits.then(|| hash(logits));
            if self.options.ignore_eos {
                exclude(logits, &self.options.end_of_text);
            }
            if let Some(mask) = &mut self.mask {
                let generated = &self.ids[self.ids.len() - self.generated..];
                mask.apply(generated, None, logits)?;
            }
            let position = self.end();
            let best = top(logits, self.options.logits_top);
            let log_sum = match best.is_empty() {
                true => 0.0,
                false => log_sum(logits),
            };
            let given: Vec<f32> = match best.is_empty() {
                true => Vec::new(),
                false => logits.to_vec(),
            };
            let id = self.sampler.pick(logits, position);
            let id = id.ok_or(GenerateError::NoChoice { position })?;
            if !self.options.ignore_eos && self.options.end_of_text.contains(&id) {
                choice.ending = Some(StopReason::EndOfText(id));
                choice.end_hash = logits_hash;
                break;
            }
            self.sampler.accept(id);
            self.ids.push(id);
            self.generated += 1;
            let logprob = given.get(id as usize).map_or(0.0, |logit| logit - log_sum);
            choice.tokens.push(Token {
                id,
                top: best,
                logprob,
                log_sum,
                logits_hash,
            });
            match drafts.get(i) {
                Some(draft) if draft.id == id => choice.accepted += 1,
                _ => break,
            }
        }
        Ok(choice)
    }
}

fn hash(logits: &[f32]) -> LogitsHash {
    let mut hasher = blake3::Hasher::new();
    let mut bytes = Vec::with_capacity(4 << 10);
    for some in logits.chunks(1 << 10) {
        bytes.clear();
        bytes.extend(some.iter().flat_map(|logit| logit.to_le_bytes()));
        hasher.update(&bytes);
    }
    *hasher.finalize().as_bytes()
}

/// Calls a mask, which is foreign code: its panic is the end of its own sequence only.
pub(crate) fn guarded<T>(
    call: impl FnOnce() -> Result<T, GenerateError>,
) -> Result<T, GenerateError> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(|s| (*s).to_string());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        Err(GenerateError::Panicked(text.unwrap_or_default()))
    })
}

/// Excludes tokens, as the reference does: before anything is ranked.
fn exclude(logits: &mut [f32], ids: &[u32]) {
    for id in ids {
        if let Some(x) = logits.get_mut(*id as usize) {
            *x = f32::NEG_INFINITY;
        }
    }
}
