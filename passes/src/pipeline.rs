//! The passes in the order in which they run, as a value that can be extended.

use std::fmt;
use std::sync::Arc;

use crate::cse::Cse;
use crate::dce::Dce;
use crate::error::CompileError;
use crate::fuse_attention::FuseAttention;
use crate::fuse_epilogue::FuseEpilogue;
use crate::fuse_gdn::FuseGdn;
use crate::fuse_moe::FuseMoe;
use crate::fuse_norm::FuseNorm;
use crate::fuse_streams::FuseStreams;
use crate::gather_rounded::GatherRounded;
use crate::merge_projections::MergeProjections;
use crate::pass::Pass;
use crate::plan_memory::PlanMemory;
use crate::quantize_activations::QuantizeActivations;
use crate::schedule::ScheduleSteps;
use crate::select_rows::SelectRows;
use crate::stage::Stage;

/// Passes that together take a module to a stage.
#[derive(Clone)]
pub struct Phase {
    /// What is reached, and checked, at the end.
    pub stage: Stage,
    /// The passes in order.
    pub passes: Vec<Arc<dyn Pass>>,
}

/// The passes from [`Stage::Imported`] to [`Stage::Planned`]. [`Pipeline::default`] has those of
/// the compiler; which of them are left out is said by [`Options`](crate::Options).
#[derive(Clone)]
pub struct Pipeline {
    phases: Vec<Phase>,
}

impl Default for Pipeline {
    fn default() -> Pipeline {
        let phase = |stage, passes| Phase { stage, passes };
        Pipeline {
            phases: vec![
                phase(
                    Stage::Fused,
                    vec![
                        Arc::new(QuantizeActivations),
                        Arc::new(Cse),
                        Arc::new(Dce),
                        Arc::new(GatherRounded),
                        Arc::new(FuseGdn),
                        Arc::new(FuseAttention),
                        Arc::new(FuseMoe),
                        Arc::new(FuseStreams),
                        Arc::new(SelectRows),
                        Arc::new(FuseEpilogue),
                        Arc::new(MergeProjections),
                        Arc::new(FuseNorm),
                    ],
                ),
                phase(Stage::Scheduled, vec![Arc::new(ScheduleSteps)]),
                phase(Stage::Planned, vec![Arc::new(PlanMemory)]),
            ],
        }
    }
}

impl Pipeline {
    /// With one more pass, right before another. Passes of one's own rewrite: they stand before the
    /// graph is scheduled.
    ///
    /// # Errors
    /// No pass has the name, or one that runs when all rewriting is done; a pass of the new one's
    /// name is there already.
    pub fn before(self, name: &str, pass: impl Pass + 'static) -> Result<Pipeline, CompileError> {
        self.with(name, 0, Arc::new(pass))
    }

    /// As [`Pipeline::before`], right after another pass.
    ///
    /// # Errors
    /// As [`Pipeline::before`].
    pub fn after(self, name: &str, pass: impl Pass + 'static) -> Result<Pipeline, CompileError> {
        self.with(name, 1, Arc::new(pass))
    }

    fn with(
        mut self,
        name: &str,
        behind: usize,
        pass: Arc<dyn Pass>,
    ) -> Result<Pipeline, CompileError> {
        if self.passes().any(|p| p.name() == pass.name()) {
            return Err(CompileError::SameName { pass: pass.name() });
        }
        let rewriting = self.phases.iter_mut().find(|p| p.stage == Stage::Fused);
        let rewriting = rewriting.map(|phase| &mut phase.passes);
        let place = rewriting.and_then(|passes| {
            let place = passes.iter().position(|p| p.name() == name)?;
            Some((passes, place + behind))
        });
        match place {
            Some((passes, place)) => passes.insert(place, pass),
            None => {
                let rewriting = self.table().into_iter().filter(|p| p.stage == Stage::Fused);
                let names: Vec<&str> = rewriting.map(|p| p.name).collect();
                return Err(CompileError::Unknown {
                    kind: "pass that rewrites",
                    name: name.into(),
                    names: names.join(", "),
                });
            }
        }
        Ok(self)
    }

    /// The passes, by the stage that they help to reach.
    pub fn phases(&self) -> &[Phase] {
        &self.phases
    }

    /// All passes in order.
    pub fn passes(&self) -> impl Iterator<Item = &dyn Pass> {
        let passes = self.phases.iter().flat_map(|phase| &phase.passes);
        passes.map(|pass| &**pass)
    }

    /// What stands right before a pass: the pass before it, or the first stage.
    pub fn preceding(&self, pass: &str) -> Option<&'static str> {
        let names: Vec<&str> = self.passes().map(|p| p.name()).collect();
        let place = names.iter().position(|name| *name == pass)?;
        Some(match place.checked_sub(1) {
            Some(before) => names[before],
            None => Stage::Imported.name(),
        })
    }

    /// Name, documentation and standing of every pass in order.
    pub fn table(&self) -> Vec<PassInfo> {
        let row = |pass: &Arc<dyn Pass>, stage| PassInfo {
            name: pass.name(),
            doc: pass.doc(),
            required: pass.required(),
            stage,
        };
        (self.phases.iter())
            .flat_map(|phase| phase.passes.iter().map(|p| row(p, phase.stage)))
            .collect()
    }
}

impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.passes().map(|p| p.name()))
            .finish()
    }
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
