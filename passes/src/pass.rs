//! What a pass is: a name, a line of documentation, and one run over one graph.

use indexmap::IndexMap;
use sharpi_ir::{Graph, PatchError, Symbol, Symbols};

use crate::fuel::Fuel;
use crate::plan_memory::MemoryPlan;
use crate::schedule::Schedule;
use crate::trace::Rewrite;

/// A step of the pipeline. A pass keeps nothing between runs.
pub trait Pass: Send + Sync {
    /// The name on the command line, in dumps and in errors.
    fn name(&self) -> &'static str;

    /// One line: what it does.
    fn doc(&self) -> &'static str;

    /// Whether a module cannot run without it. A pass that is not required only makes things
    /// faster: without it the results are the same bits.
    fn required(&self) -> bool {
        false
    }

    /// Rewrites a graph that verifies into one that verifies, or decides something about it.
    fn run(&self, graph: &mut Graph, context: &mut Context<'_>) -> Result<Stats, PassError>;
}

/// What surrounds the graph that a pass is given.
pub struct Context<'a> {
    /// The pass that runs.
    pub pass: &'static str,
    /// The graph's name in its module.
    pub name: &'a str,
    /// Weights and states that the graph shares with the others of its module.
    pub symbols: &'a mut Symbols,
    /// What passes have decided about the graph without changing it.
    pub decisions: &'a mut Decisions,
    /// For its rewrites.
    pub fuel: &'a mut Fuel,
    /// Where its rewrites are written down, if they are.
    pub log: Option<&'a mut Vec<Rewrite>>,
}

/// What passes decide about a graph besides its shape.
#[derive(Clone, Debug, Default)]
pub struct Decisions {
    /// When each op runs.
    pub schedule: Option<Schedule>,
    /// Where each value lies.
    pub memory: Option<MemoryPlan>,
}

/// What a pass did to one graph.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    /// How often each of its rules fired.
    pub rewrites: IndexMap<&'static str, usize>,
    /// Sizes of what it has decided.
    pub figures: IndexMap<&'static str, usize>,
}

impl Stats {
    /// Of a pass that decides and rewrites nothing.
    pub fn with_figures<const N: usize>(figures: [(&'static str, usize); N]) -> Stats {
        Stats {
            figures: figures.into(),
            ..Stats::default()
        }
    }

    /// Counts one rewrite.
    pub fn count(&mut self, rule: &'static str) {
        *self.rewrites.entry(rule).or_default() += 1;
    }

    /// Whether the graph is another than before.
    pub fn changed(&self) -> bool {
        !self.rewrites.is_empty()
    }
}

/// Why a pass gave up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PassError {
    /// A rewrite that does not fit the graph.
    #[error("at {node}: {source}")]
    Patch {
        /// The op at which the rule fired.
        node: String,
        /// What does not fit.
        source: PatchError,
    },
    /// A rule that finds no end.
    #[error(
        "rule {rule} still fires at {node} after {bound} sweeps; a rule must undo no other's work"
    )]
    Endless {
        /// The rule's name.
        rule: &'static str,
        /// The op at which it fired last.
        node: String,
        /// Sweeps allowed.
        bound: usize,
    },
    /// An op that cannot be ordered.
    #[error("{node} needs its own result; only a graph without cycles can be scheduled")]
    Cycle {
        /// An op on the cycle.
        node: String,
    },
    /// A value of unknown size.
    #[error(
        "the size of {value} is unknown: symbol {symbol} has no bounds, `where {symbol} in 1..=512` would give them"
    )]
    Unbounded {
        /// The value.
        value: String,
        /// The symbol in its type.
        symbol: Symbol,
    },
    /// A size that cannot be counted.
    #[error("{value} takes more bytes than can be addressed, or its rows are no whole blocks")]
    Unaddressable {
        /// The value at which the count stopped.
        value: String,
    },
    /// A pass that needs what another decides.
    #[error("needs what `{pass}` decides, which has not run on this graph as it is")]
    NotYet {
        /// The pass that should have run.
        pass: &'static str,
    },
}
