//! Captures taken from a running `llama-server`.

use sharpi_ir::DType;

use super::golden::Capture;
use super::server::{Completion, LlamaServer, ServerError};

/// Best ids that are kept of a step.
const BEST: usize = 5;

/// What is captured of every prompt. A server cannot be asked for its cache type nor for its draft
/// width, so both are stated here as it was started with.
#[derive(Clone, Copy, Debug)]
pub struct CaptureOptions {
    /// Ids wanted.
    pub max_tokens: usize,
    /// Most ids drafted in a round; 0 for a server that does not draft.
    pub n_draft_max: usize,
    /// Type of the cached keys and values.
    pub cache_type: DType,
    /// Whether ids that end a text are never chosen.
    pub ignore_eos: bool,
}

/// Why there is no capture.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// The server was of no use.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// There is nothing to continue.
    #[error("the prompt {} has no tokens", sharpi_ir::plain::Quoted(prompt))]
    EmptyPrompt {
        /// The prompt.
        prompt: String,
    },
    /// The server stopped too early.
    #[error("the context of the server was full after {found} of {wanted} ids")]
    ContextFull {
        /// Ids generated.
        found: usize,
        /// Ids wanted.
        wanted: usize,
    },
    /// The server drafts, which is not what was stated.
    #[error("the server drafts tokens, but a capture without drafting was asked for")]
    Drafts,
    /// The server does not draft, which is not what was stated.
    #[error("the server does not draft tokens, but up to {n_draft_max} a round were asked for")]
    DoesNotDraft {
        /// What was stated.
        n_draft_max: usize,
    },
}

/// Captures the continuation of one prompt. It is never marked as stable, as one server cannot be
/// run in several ways; of drafts it has the sums and not the rounds; and its `top5` holds log
/// probabilities.
///
/// A server's first id comes from the run of the prompt, so that its first round of drafting
/// starts one id later than that of other captures.
///
/// # Errors
/// A server that is of no use, or that was started otherwise than `options` state.
pub fn capture(
    server: &LlamaServer,
    prompt: &str,
    options: &CaptureOptions,
) -> Result<Capture, CaptureError> {
    let prompt_ids = server.tokenize(prompt)?;
    if prompt_ids.is_empty() {
        let prompt = prompt.into();
        return Err(CaptureError::EmptyPrompt { prompt });
    }
    let n_draft_max = options.n_draft_max;
    let mut completed = server.complete(&Completion {
        prompt: &prompt_ids,
        max_tokens: options.max_tokens,
        ignore_eos: options.ignore_eos,
        probabilities: n_draft_max == 0,
    })?;
    match completed.drafts {
        Some(_) if n_draft_max == 0 => return Err(CaptureError::Drafts),
        None if n_draft_max > 0 => return Err(CaptureError::DoesNotDraft { n_draft_max }),
        _ => {}
    }
    if completed.truncated {
        return Err(CaptureError::ContextFull {
            found: completed.ids.len(),
            wanted: options.max_tokens,
        });
    }
    for best in &mut completed.best {
        best.truncate(BEST);
    }
    let (drafted, accepted) = completed.drafts.unzip();
    Ok(Capture {
        prompt: prompt.into(),
        prompt_ids,
        cache_type: options.cache_type,
        n_draft_max,
        text: server.detokenize(&completed.ids)?,
        ids: completed.ids,
        ignore_eos: options.ignore_eos,
        stable: false,
        log_probabilities: !completed.best.is_empty(),
        top5: completed.best,
        rounds: Vec::new(),
        drafted,
        accepted,
    })
}
