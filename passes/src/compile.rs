//! From a module to something that can be run.

use indexmap::IndexMap;
use sharpi_ir::{Module, NodeId, StateId, rollback_bytes};

use crate::error::CompileError;
use crate::manager::{Snapshot, run};
use crate::options::Options;
use crate::plan_memory::MemoryPlan;
use crate::report::Report;
use crate::stage::Stage;

/// A module whose graphs are ready to run.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// The rewritten module.
    pub module: Module,
    /// When and where each graph's ops run, by graph name.
    pub plans: IndexMap<String, Plan>,
    /// What was done.
    pub report: Report,
}

/// How to run one graph.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// Ops that run side by side, step after step, with a barrier between steps.
    pub steps: Vec<Vec<NodeId>>,
    /// Where the values lie.
    pub memory: MemoryPlan,
    /// Bytes that each recurrent state takes for each token that may have to be taken back.
    pub rollback: IndexMap<StateId, usize>,
}

/// Takes a module through the whole pipeline.
///
/// # Errors
/// As [`run`]; besides, [`CompileError::Unfinished`] where the options stop it early.
pub fn compile(module: Module, options: &Options) -> Result<Compiled, CompileError> {
    let Snapshot {
        module,
        decisions,
        stage,
        report,
        trace: _,
    } = run(module, options)?;
    let mut plans = IndexMap::new();
    for (name, decided) in decisions {
        let (Some(schedule), Some(memory)) = (decided.schedule, decided.memory) else {
            return Err(CompileError::Unfinished { stage });
        };
        let steps = schedule.steps;
        let rollback = module.graphs.get(&name).map(rollback_bytes);
        let plan = Plan {
            steps,
            memory,
            rollback: rollback.unwrap_or_default(),
        };
        plans.insert(name, plan);
    }
    Ok(Compiled {
        module,
        plans,
        report,
    })
}

/// Takes a module as far as a stage, whatever the options say about stopping.
///
/// # Errors
/// As [`run`].
pub fn run_until(
    module: Module,
    stage: Stage,
    options: &Options,
) -> Result<Snapshot, CompileError> {
    let stop_after = Some(stage.name().to_string());
    let options = options.clone().stop_after(stop_after);
    run(module, &options)
}
