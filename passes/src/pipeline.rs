//! The passes in the order in which they run.

use crate::cse::Cse;
use crate::dce::Dce;
use crate::fuse_attention::FuseAttention;
use crate::fuse_epilogue::FuseEpilogue;
use crate::fuse_gdn::FuseGdn;
use crate::fuse_moe::FuseMoe;
use crate::fuse_norm::FuseNorm;
use crate::merge_projections::MergeProjections;
use crate::pass::Pass;
use crate::plan_memory::PlanMemory;
use crate::quantize_activations::QuantizeActivations;
use crate::schedule::ScheduleSteps;
use crate::select_rows::SelectRows;
use crate::stage::Stage;

/// Passes that together take a module to a stage.
pub struct Phase {
    /// What is reached, and checked, at the end.
    pub stage: Stage,
    /// The passes in order.
    pub passes: &'static [&'static dyn Pass],
}

/// From [`Stage::Imported`] to [`Stage::Planned`].
pub static PIPELINE: &[Phase] = &[
    Phase {
        stage: Stage::Fused,
        passes: &[
            &QuantizeActivations,
            &Cse,
            &Dce,
            &FuseGdn,
            &FuseAttention,
            &FuseMoe,
            &SelectRows,
            &FuseEpilogue,
            &MergeProjections,
            &FuseNorm,
        ],
    },
    Phase {
        stage: Stage::Scheduled,
        passes: &[&ScheduleSteps],
    },
    Phase {
        stage: Stage::Planned,
        passes: &[&PlanMemory],
    },
];

/// All passes in order.
pub fn passes() -> impl Iterator<Item = &'static dyn Pass> {
    PIPELINE.iter().flat_map(|phase| phase.passes).copied()
}

/// What stands right before a pass: the pass before it, or the first stage.
pub fn before(pass: &str) -> Option<&'static str> {
    let names: Vec<&str> = passes().map(|p| p.name()).collect();
    let place = names.iter().position(|name| *name == pass)?;
    Some(
        place
            .checked_sub(1)
            .map_or(Stage::Imported.name(), |i| names[i]),
    )
}

/// A row of the table of passes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PassInfo {
    /// The name on the command line.
    pub name: &'static str,
    /// What it does.
    pub doc: &'static str,
    /// Whether it can be skipped.
    pub required: bool,
    /// The stage that it helps to reach.
    pub stage: Stage,
}

/// Name, documentation and standing of every pass in order.
pub fn passes_table() -> Vec<PassInfo> {
    let row = |pass: &'static dyn Pass, stage| PassInfo {
        name: pass.name(),
        doc: pass.doc(),
        required: pass.required(),
        stage,
    };
    (PIPELINE.iter())
        .flat_map(|phase| phase.passes.iter().map(|p| row(*p, phase.stage)))
        .collect()
}
