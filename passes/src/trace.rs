//! What a run went through: the module after every pass, and the rewrites between.

use indexmap::IndexMap;
use sharpi_ir::{Applied, Module};

use crate::manager::Snapshot;
use crate::pass::Decisions;
use crate::stage::Stage;

/// A rewrite that was made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rewrite {
    /// The rule that fired.
    pub rule: &'static str,
    /// The nodes that came, went and took over.
    pub applied: Applied,
}

/// A module as a pass has left it.
#[derive(Clone, Debug)]
pub struct Traced {
    /// The pass; `None` for the module as imported.
    pub pass: Option<&'static str>,
    /// The stage last reached.
    pub stage: Stage,
    /// The module.
    pub module: Module,
    /// What was decided about each graph so far.
    pub decisions: IndexMap<String, Decisions>,
    /// What the pass rewrote in each graph, in its order.
    pub rewrites: IndexMap<String, Vec<Rewrite>>,
}

impl Traced {
    /// As the snapshot stands now.
    pub(crate) fn new(
        snapshot: &Snapshot,
        pass: Option<&'static str>,
        rewrites: IndexMap<String, Vec<Rewrite>>,
    ) -> Traced {
        Traced {
            pass,
            stage: snapshot.stage,
            module: snapshot.module.clone(),
            decisions: snapshot.decisions.clone(),
            rewrites,
        }
    }
}
