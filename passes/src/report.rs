//! What a run did and how long it took.

use std::fmt;
use std::time::Duration;

use crate::pass::Stats;

/// What a run did, pass by pass and graph by graph.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// In the order in which they ran.
    pub passes: Vec<PassReport>,
    /// Time spent on verification and on the checks between stages.
    pub checking: Duration,
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
    /// How often its rules fired.
    pub stats: Stats,
}

impl fmt::Display for PassReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = self.time.as_secs_f64() * 1e3;
        let (before, after) = (self.ops_before, self.ops_after);
        write!(f, "{:22} @{:8} {time:8.3} ms", self.pass, self.graph)?;
        write!(f, "  {before:5} -> {after:5} ops")?;
        for (rule, count) in &self.stats.rewrites {
            write!(f, "  {rule} {count}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for pass in &self.passes {
            writeln!(f, "{pass}")?;
        }
        let checking = self.checking.as_secs_f64() * 1e3;
        writeln!(f, "{:32} {checking:8.3} ms", "verification and checks")
    }
}
