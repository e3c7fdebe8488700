//! What `parity --json` prints, and the tables show.

use serde::Serialize;
use sharpi_compile::parity::{Bisection, Capture, Outcome, Verdict};

#[derive(Serialize)]
pub(super) struct Record<'a> {
    pub(super) captures: Vec<Row<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bisection: Option<&'a Bisection>,
}

/// A capture and what came of it.
#[derive(Serialize)]
pub(super) struct Row<'a> {
    /// Its place in the file, from 0.
    pub(super) capture: usize,
    pub(super) prompt: &'a str,
    pub(super) cache_type: &'static str,
    pub(super) n_draft_max: usize,
    pub(super) stable: bool,
    pub(super) verdict: Verdict,
    #[serde(flatten)]
    pub(super) outcome: &'a Outcome,
}

impl<'a> Record<'a> {
    pub(super) fn new(
        captures: &'a [Capture],
        outcomes: &'a [Outcome],
        bisection: Option<&'a Bisection>,
    ) -> Record<'a> {
        let pairs = captures.iter().zip(outcomes).enumerate();
        let row = |(i, (capture, outcome)): (usize, (&'a Capture, &'a Outcome))| Row {
            capture: i,
            prompt: &capture.prompt,
            cache_type: capture.cache_type.name(),
            n_draft_max: capture.n_draft_max,
            stable: capture.stable,
            verdict: outcome.verdict(),
            outcome,
        };
        Record {
            captures: pairs.map(row).collect(),
            bisection,
        }
    }
}
