//! What a run did and how long it took.

use std::fmt;
use std::time::Duration;

use crate::fuel::LastRewrite;
use crate::pass::Stats;

/// What a run did, pass by pass and graph by graph.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// In the order in which they ran.
    pub passes: Vec<PassReport>,
    /// Time spent on verification and on the checks between stages.
    pub checking: Duration,
    /// The rewrite that took the last of the fuel, if there was a limit and it was reached.
    pub last_rewrite: Option<LastRewrite>,
}

/// What one pass did to one graph.
#[derive(Clone, Debug)]
pub struct PassReport {
    /// The pass.
    pub pass: &'static str,
    /// The graph.
    pub graph: String,
    /// Time of its run.
    pub time: Duration,
    /// Ops before it ran.
    pub ops_before: usize,
    /// Ops after it ran.
    pub ops_after: usize,
    /// How often its rules fired, and what it has decided.
    pub stats: Stats,
}

impl PassReport {
    /// `scan-and-gate 3, steps 14`.
    fn told(&self) -> String {
        let rewrites = self.stats.rewrites.iter();
        let told = rewrites.chain(&self.stats.figures);
        let told: Vec<String> = told.map(|(name, n)| format!("{name} {n}")).collect();
        told.join(", ")
    }
}

/// A table.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:20}  {:8}  {:7}  {:>5}  {:>5}  {:>7}  rewrites by rule, or what is decided",
            "pass", "graph", "changed", "ops", "after", "µs"
        )?;
        for row in &self.passes {
            let line = format!(
                "{:20}  {:8}  {:7}  {:5}  {:5}  {:7}  {}",
                row.pass,
                row.graph,
                if row.stats.changed() { "yes" } else { "no" },
                row.ops_before,
                row.ops_after,
                row.time.as_micros(),
                row.told(),
            );
            writeln!(f, "{}", line.trim_end())?;
        }
        let checking = self.checking.as_micros();
        writeln!(f, "{:51}  {checking:7}", "verification and checks")?;
        match &self.last_rewrite {
            Some(last) => writeln!(f, "{last}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for LastRewrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LastRewrite {
            pass,
            graph,
            rule,
            node,
        } = self;
        write!(
            f,
            "the fuel ended with `{rule}` of {pass} at {node} in @{graph}"
        )
    }
}
