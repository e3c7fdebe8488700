//! Passes over the op graph: rewriting, scheduling and memory planning.
//!
//! [`compile`] takes a module through the [`Pipeline`] and answers with the
//! rewritten module, a [`Plan`] per graph and a [`Report`]. [`run`] stops wherever
//! [`Options::stop_after`] says and answers with a [`Snapshot`] that prints. Nothing here prints
//! or exits.
#![forbid(unsafe_code)]

pub mod check_plan;
mod compile;
mod cse;
mod dce;
mod error;
mod flow;
mod fuel;
mod fuse_attention;
mod fuse_epilogue;
mod fuse_gdn;
mod fuse_moe;
mod fuse_norm;
mod fuse_streams;
mod gather_rounded;
mod label;
mod manager;
mod merge_projections;
#[macro_use]
mod option_struct;
mod options;
mod pack;
mod pass;
mod pattern;
mod pipeline;
mod plan_memory;
mod print;
mod quantize_activations;
mod report;
pub mod rewrite;
mod schedule;
mod select_rows;
mod shard;
mod stage;
mod trace;

pub use check_plan::{PlanFault, check_memory, check_plan, check_schedule};
pub use compile::{Compiled, Plan, compile, run_until};
pub use cse::Cse;
pub use dce::Dce;
pub use error::CompileError;
pub use fuel::{Fuel, LastRewrite};
pub use fuse_attention::FuseAttention;
pub use fuse_epilogue::FuseEpilogue;
pub use fuse_gdn::FuseGdn;
pub use fuse_moe::FuseMoe;
pub use fuse_norm::FuseNorm;
pub use fuse_streams::FuseStreams;
pub use gather_rounded::GatherRounded;
pub use manager::{Snapshot, run, run_exactly};
pub use merge_projections::MergeProjections;
pub use options::{Options, Verify};
pub use pass::{Context, Decisions, Pass, PassError, Stats};
pub use pipeline::{PassInfo, Phase, Pipeline};
pub use plan_memory::{ALIGNMENT, MemoryPlan, Placement, PlanMemory, live_steps};
pub use print::{print_planned, print_snapshot};
pub use quantize_activations::QuantizeActivations;
pub use report::{PassReport, Report};
pub use schedule::{Schedule, ScheduleSteps};
pub use select_rows::SelectRows;
pub use shard::{Shard, ShardError, shard};
pub use stage::Stage;
pub use trace::{Rewrite, Traced};
