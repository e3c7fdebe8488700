//! A profile for programs.

use serde::Serialize;
use sharpi_compile::cost::Ceilings;

use super::Recorded;
use super::measured::Measured;
use crate::cli::timings::Timings;

#[derive(Serialize)]
pub(super) struct Document<'a> {
    threads: usize,
    timings: &'a Timings,
    ceilings: &'a Ceilings,
    /// By phase and graph.
    profile: &'a [Measured],
}

impl<'a> Document<'a> {
    pub(super) fn new(recorded: &'a Recorded, profile: &'a [Measured]) -> Document<'a> {
        Document {
            threads: recorded.threads,
            timings: &recorded.timings,
            ceilings: &recorded.ceilings,
            profile,
        }
    }
}
