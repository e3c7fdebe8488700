//! What was counted, for programs.

use serde::Serialize;
use sharpi_compile::perplexity::{Chunks, Divergence, quantile};
use sharpi_compile::tokenizer::Tokenizer;

use super::count::Count;

/// Tokens in front of the position that differs most which are shown.
const CONTEXT: usize = 16;

#[derive(Serialize)]
pub(super) struct Record {
    /// Tokens of a chunk.
    n_ctx: usize,
    /// Chunks that were evaluated, of so many.
    chunks: usize,
    chunks_asked: usize,
    /// Tokens that were judged.
    positions: usize,
    ppl: Option<f64>,
    ppl_error: Option<f64>,
    /// The perplexity after each chunk.
    running: Vec<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kl_divergence: Option<Apart>,
}

/// How far the base is.
#[derive(Serialize)]
struct Apart {
    ppl_base: f64,
    ppl_base_error: f64,
    log_ppl_ratio: f64,
    log_ppl_ratio_error: f64,
    correlation: Option<f64>,
    mean: f64,
    mean_error: f64,
    /// Pairs of a part of the positions and the divergence that so many do not exceed.
    quantiles: Vec<(f64, f64)>,
    mean_delta_p: f64,
    mean_delta_p_error: f64,
    rms_delta_p: f64,
    rms_delta_p_error: f64,
    same_top: f64,
    same_top_error: f64,
    largest: Option<Largest>,
}

/// The position that differs most.
#[derive(Serialize)]
pub(super) struct Largest {
    /// From 1 on, as in the running print.
    pub(super) chunk: usize,
    /// Token of the chunk whose logits differ, from 0 on.
    pub(super) token: usize,
    /// The same token's place in the text, from 0 on.
    pub(super) position: usize,
    pub(super) kl: f64,
    /// The text that ends there.
    pub(super) text: String,
    /// The token that follows.
    pub(super) next: String,
    pub(super) next_id: u32,
    pub(super) here: Side,
    pub(super) base: Side,
}

/// What one side holds for likely.
#[derive(Serialize)]
pub(super) struct Side {
    /// The probability of the token that follows.
    pub(super) next: f64,
    /// The likeliest token.
    pub(super) best: String,
    pub(super) best_id: u32,
    pub(super) best_probability: f64,
}

impl Record {
    pub(super) fn new(count: &Count, chunks: &Chunks, tokenizer: &Tokenizer) -> Record {
        let known = count.chunks() > 0;
        let divergence = count.divergence().filter(|_| known);
        Record {
            n_ctx: chunks.length(),
            chunks: count.chunks(),
            chunks_asked: chunks.count(),
            positions: count.perplexity().0.count(),
            ppl: known.then(|| count.value()),
            ppl_error: known.then(|| count.perplexity().error()),
            running: count.after().iter().map(|a| a.perplexity.0).collect(),
            kl_divergence: divergence.map(|d| Apart::new(d, chunks, tokenizer)),
        }
    }
}

impl Apart {
    fn new(divergence: &Divergence, chunks: &Chunks, tokenizer: &Tokenizer) -> Apart {
        let (_, base) = divergence.perplexities();
        let (log_ppl_ratio, log_ppl_ratio_error) = divergence.log_ratio();
        let (rms_delta_p, rms_delta_p_error) = divergence.gained_rms();
        let (same_top, same_top_error) = divergence.same_best();
        let sorted = divergence.sorted();
        let parts = super::text::PARTS.iter();
        Apart {
            ppl_base: base.value(),
            ppl_base_error: base.error(),
            log_ppl_ratio,
            log_ppl_ratio_error,
            correlation: divergence.correlation(),
            mean: divergence.mean().value(),
            mean_error: divergence.mean().error(),
            quantiles: parts
                .filter_map(|part| Some((*part, quantile(&sorted, *part)?)))
                .collect(),
            mean_delta_p: divergence.gained().value(),
            mean_delta_p_error: divergence.gained().error(),
            rms_delta_p,
            rms_delta_p_error,
            same_top,
            same_top_error,
            largest: Largest::of(divergence, chunks, tokenizer),
        }
    }
}

impl Largest {
    pub(super) fn of(
        divergence: &Divergence,
        chunks: &Chunks,
        tokenizer: &Tokenizer,
    ) -> Option<Largest> {
        let (place, compared) = divergence.largest()?;
        let tokens = chunks.chunk(place.chunk);
        let before = &tokens[(place.token + 1).saturating_sub(CONTEXT)..=place.token];
        let next_id = tokens[place.token + 1];
        let side = |nll: f64, best_id: u32, log_prob: f64| Side {
            next: (-nll).exp(),
            best: tokenizer.decode(&[best_id], true),
            best_id,
            best_probability: log_prob.exp(),
        };
        Some(Largest {
            chunk: place.chunk + 1,
            token: place.token,
            position: place.chunk * chunks.length() + place.token,
            kl: compared.kl,
            text: tokenizer.decode(before, true),
            next: tokenizer.decode(&[next_id], true),
            next_id,
            here: side(compared.nll, compared.best.0, compared.best_log_probs.0),
            base: side(
                compared.base_nll,
                compared.best.1,
                compared.best_log_probs.1,
            ),
        })
    }
}
