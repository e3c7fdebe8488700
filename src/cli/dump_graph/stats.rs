//! What each pass did, for programs.

use indexmap::IndexMap;
use serde::Serialize;
use sharpi_passes::{LastRewrite, PassReport, Report};

#[derive(Serialize)]
pub(super) struct Document<'a> {
    passes: Vec<Row<'a>>,
    /// Verification, and checks between stages.
    checking_microseconds: u128,
    /// The rewrite that took the last of --fuel.
    last_rewrite: Option<Rewrite<'a>>,
}

#[derive(Serialize)]
struct Row<'a> {
    pass: &'static str,
    graph: &'a str,
    changed: bool,
    ops_before: usize,
    ops_after: usize,
    microseconds: u128,
    /// How often each rule fired.
    rewrites: &'a IndexMap<&'static str, usize>,
    /// Sizes of what the pass has decided.
    figures: &'a IndexMap<&'static str, usize>,
}

#[derive(Serialize)]
struct Rewrite<'a> {
    pass: &'static str,
    graph: &'a str,
    rule: &'static str,
    op: &'a str,
}

impl<'a> Document<'a> {
    pub(super) fn new(report: &'a Report) -> Document<'a> {
        Document {
            passes: report.passes.iter().map(Row::new).collect(),
            checking_microseconds: report.checking.as_micros(),
            last_rewrite: report.last_rewrite.as_ref().map(Rewrite::new),
        }
    }
}

impl<'a> Row<'a> {
    fn new(row: &'a PassReport) -> Row<'a> {
        Row {
            pass: row.pass,
            graph: &row.graph,
            changed: row.stats.changed(),
            ops_before: row.ops_before,
            ops_after: row.ops_after,
            microseconds: row.time.as_micros(),
            rewrites: &row.stats.rewrites,
            figures: &row.stats.figures,
        }
    }
}

impl<'a> Rewrite<'a> {
    fn new(last: &'a LastRewrite) -> Rewrite<'a> {
        Rewrite {
            pass: last.pass,
            graph: &last.graph,
            rule: last.rule,
            op: &last.node,
        }
    }
}
