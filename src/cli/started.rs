//! What a run is, told in one line before it begins.

use std::fmt;

use indexmap::IndexMap;
use serde::Serialize;
use sharpi_compile::Executable;
use sharpi_compile::exec::simd;

use super::described::Described;
use super::units::si;

/// The model, and how it is run.
#[derive(Clone, Serialize)]
pub(super) struct Started {
    #[serde(flatten)]
    model: Described,
    /// Tokens that prompt and text can have together.
    context: usize,
    threads: usize,
    /// The vector instructions of the kernels.
    simd: &'static str,
    /// By graph.
    plan: IndexMap<String, PlanSize>,
    /// Where the random numbers begin, if there are any.
    seed: Option<u64>,
}

/// How large a planned graph is.
#[derive(Clone, Copy, Serialize)]
struct PlanSize {
    ops: usize,
    /// Ops of a step run side by side.
    steps: usize,
    arena_bytes: usize,
}

impl Started {
    pub(super) fn new(
        model: Described,
        executable: &Executable,
        context: usize,
        threads: usize,
        seed: Option<u64>,
    ) -> Started {
        Started {
            model,
            context,
            threads,
            simd: simd::used(),
            plan: plan(executable),
            seed,
        }
    }
}

fn plan(executable: &Executable) -> IndexMap<String, PlanSize> {
    let names = executable.module().graphs.keys();
    let sizes = names.filter_map(|name| {
        let plan = executable.plan(name)?;
        let size = PlanSize {
            ops: plan.steps.iter().map(Vec::len).sum(),
            steps: plan.steps.len(),
            arena_bytes: plan.memory.arena_bytes,
        };
        Some((name.clone(), size))
    });
    sizes.collect()
}

impl fmt::Display for Started {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (model, threads) = (&self.model, self.threads);
        write!(
            f,
            "{}: {}, {}; context {}; {threads} {}, {}",
            model.model_filename,
            model.model_type,
            si(model.model_size as f64, "B"),
            self.context,
            if threads == 1 { "thread" } else { "threads" },
            self.simd
        )?;
        for (graph, size) in &self.plan {
            write!(f, "; @{graph} {} ops in {} steps", size.ops, size.steps)?;
        }
        match self.seed {
            Some(seed) => write!(f, "; seed {seed}"),
            None => Ok(()),
        }
    }
}
