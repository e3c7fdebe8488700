//! Captures of prompts, and whether llama.cpp agrees with itself on them.

use anyhow::{Result, ensure};
use llama_cpp_2::token::LlamaToken;
use sharpi_compile::ir::DType;
use sharpi_compile::parity::Capture;

use crate::generate::{Limits, one_by_one, reads, with_drafts};
use crate::llama::{Llama, Shape};

/// Pieces in which ids are decoded, beside the prompt as a whole and what follows one by one.
const PIECES: [usize; 3] = [1, 4, 16];

/// What is to be captured of every prompt.
pub struct Plan {
    /// Texts to continue.
    pub prompts: Vec<String>,
    /// Types of the cached keys and values.
    pub cache_types: Vec<DType>,
    /// Most ids drafted in a round; 0 for none.
    pub draft_widths: Vec<usize>,
    /// Ids wanted.
    pub max_tokens: usize,
    /// Whether ids that end a text are never chosen.
    pub ignore_eos: bool,
}

impl Plan {
    /// Captures everything. `stable` says whether the ids and the drafts are the same at all widths;
    /// the path without repacking is not looked at yet.
    pub fn capture(&self, llama: &Llama) -> Result<Vec<Capture>> {
        if self.draft_widths.iter().any(|&n| n > 0) {
            llama.expect_head()?;
        }
        let mut captures = Vec::new();
        for prompt in &self.prompts {
            let ids = llama.tokenize(prompt);
            ensure!(!ids.is_empty(), "the prompt {prompt:?} has no tokens");
            for &cache_type in &self.cache_types {
                captures.extend(self.capture_at_widths(llama, prompt, &ids, cache_type)?);
            }
        }
        Ok(captures)
    }

    /// Takes back `stable` where `unrepacked`, the same model with weights as they are in the file,
    /// gives other ids.
    pub fn compare(&self, captures: &mut [Capture], unrepacked: &Llama) -> Result<()> {
        let limits = self.limits(unrepacked);
        let same_run =
            |a: &Capture, b: &Capture| a.cache_type == b.cache_type && a.prompt_ids == b.prompt_ids;
        for captures in captures.chunk_by_mut(same_run) {
            let prompt = tokens(&captures[0].prompt_ids);
            let shape = self.shape(&prompt, captures[0].cache_type);
            let other = one_by_one(unrepacked, shape, &prompt, prompt.len(), &limits)?;
            let agrees = captures.iter().all(|capture| capture.ids == other.ids);
            for capture in captures {
                capture.stable &= agrees;
            }
        }
        Ok(())
    }

    fn capture_at_widths(
        &self,
        llama: &Llama,
        prompt: &str,
        ids: &[LlamaToken],
        cache_type: DType,
    ) -> Result<Vec<Capture>> {
        let limits = self.limits(llama);
        let shape = self.shape(ids, cache_type);
        let plain = one_by_one(llama, shape, ids, ids.len(), &limits)?;
        let mut stable = true;
        for piece in PIECES {
            stable &= one_by_one(llama, shape, ids, piece, &limits)?.ids == plain.ids;
            stable &= reads(llama, shape, (ids, &plain.ids), piece, &limits)?;
        }
        let mut captures = Vec::new();
        for &n_draft_max in &self.draft_widths {
            let mut capture = Capture {
                prompt: prompt.into(),
                prompt_ids: ids.iter().map(|id| id.0 as u32).collect(),
                cache_type,
                n_draft_max,
                ids: plain.ids.clone(),
                text: String::new(),
                ignore_eos: self.ignore_eos,
                stable,
                top5: Vec::new(),
                log_probabilities: false,
                rounds: Vec::new(),
                drafted: None,
                accepted: None,
            };
            if n_draft_max == 0 {
                capture.top5 = plain.top5.clone();
            } else {
                let drafts = |piece| with_drafts(llama, shape, (ids, piece), n_draft_max, &limits);
                let drafted = drafts(ids.len())?;
                let rounds = &drafted.rounds;
                for piece in PIECES {
                    stable &= drafts(piece)?.rounds == *rounds;
                }
                capture.drafted = Some(rounds.iter().map(|round| round.draft.len()).sum());
                capture.accepted = Some(rounds.iter().map(|round| round.accepted).sum());
                (capture.ids, capture.rounds) = (drafted.ids, drafted.rounds);
            }
            capture.text = llama.text(&capture.ids);
            captures.push(capture);
        }
        let stable = captures.iter().all(|c| c.stable && c.ids == plain.ids);
        for capture in &mut captures {
            capture.stable = stable;
        }
        Ok(captures)
    }

    fn limits(&self, llama: &Llama) -> Limits {
        Limits {
            max_tokens: self.max_tokens,
            end_of_text: llama.end_of_text(),
            ignore_eos: self.ignore_eos,
        }
    }

    /// Room for the prompt, the ids that follow, and drafts that may go past them.
    fn shape(&self, prompt: &[LlamaToken], cache_type: DType) -> Shape {
        let widest = self.draft_widths.iter().copied().max().unwrap_or_default();
        Shape {
            positions: (prompt.len() + self.max_tokens + widest + 1).max(512),
            cache_type,
            threads: 1,
            sequences: 1,
            watched: false,
        }
    }
}

fn tokens(ids: &[u32]) -> Vec<LlamaToken> {
    ids.iter().map(|&id| LlamaToken(id as i32)).collect()
}
