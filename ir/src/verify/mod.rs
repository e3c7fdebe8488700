//! Checks a module and says all that is wrong with it, each fault at its line.

mod body;
mod declarations;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;

use crate::graph::{Graph, NodeId};
use crate::module::{Module, Symbols};
use crate::plain::line;
use crate::text::{Line, Site, graph_lines, module_lines};

/// Lines shown before and after one with a fault.
const CONTEXT: usize = 2;

/// At most this many faults are shown.
const SHOWN: usize = 12;

/// Something that must not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The graph that it is in; `None` for a fault of the module's weights or states.
    pub graph: Option<String>,
    /// The node that it speaks of; `None` for a fault of a declaration.
    pub node: Option<NodeId>,
    /// The line of the printed text that it speaks of, from 1.
    pub line: usize,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// All faults of a module or a graph; shown, each stands under its printed line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyError {
    /// The faults in the order of their lines.
    pub faults: Vec<Fault>,
    /// The lines of the printed text.
    lines: Vec<String>,
}

/// A fault before its line is known.
struct Found {
    graph: Option<String>,
    site: Site,
    message: String,
}

/// Checks declarations and all graphs.
pub fn verify(module: &Module) -> Result<(), VerifyError> {
    let mut found = declarations::check(&module.symbols);
    for (name, graph) in &module.graphs {
        if name.is_empty() {
            found.push(Found {
                graph: Some(name.clone()),
                site: Site::Signature,
                message: "the graph has no name".into(),
            });
        }
        found.extend(body::check(name, graph, &module.symbols));
    }
    report(found, || {
        let lines = module_lines(module).into_iter();
        let owned = lines.map(|(graph, line)| (graph.map(str::to_string), line));
        owned.collect()
    })
}

/// Checks one graph.
pub fn verify_graph(name: &str, graph: &Graph, symbols: &Symbols) -> Result<(), VerifyError> {
    report(body::check(name, graph, symbols), || {
        let lines = graph_lines(name, graph, symbols).into_iter();
        lines.map(|l| (Some(name.to_string()), l)).collect()
    })
}

/// Gives each fault its line; the text is only printed if there are faults.
fn report(
    found: Vec<Found>,
    print: impl FnOnce() -> Vec<(Option<String>, Line)>,
) -> Result<(), VerifyError> {
    if found.is_empty() {
        return Ok(());
    }
    let printed = print();
    let sites = printed.iter().enumerate();
    let sites: HashMap<_, _> = sites
        .map(|(i, (g, l))| ((g.clone(), l.site), i + 1))
        .collect();
    let line_of = |graph: &Option<String>, site| {
        // Inputs have no line of their own.
        let signature = || sites.get(&(graph.clone(), Site::Signature));
        sites
            .get(&(graph.clone(), site))
            .or_else(signature)
            .copied()
    };
    let faults = found.into_iter().map(|f| Fault {
        line: line_of(&f.graph, f.site).unwrap_or(1),
        node: f.site.node(),
        graph: f.graph,
        message: f.message,
    });
    let mut faults: Vec<Fault> = faults.collect();
    faults.sort_by_key(|f| f.line);
    let lines = printed.into_iter().map(|(_, line)| line.text).collect();
    Err(VerifyError { faults, lines })
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.faults.len() == 1 { "" } else { "s" };
        writeln!(f, "{} fault{plural}", self.faults.len())?;
        let width = self.lines.len().to_string().len();
        let shown = &self.faults[..self.faults.len().min(SHOWN)];
        let near = |n: usize| shown.iter().any(|f| f.line.abs_diff(n) <= CONTEXT);
        let last = shown.last().map_or(0, |f| f.line + CONTEXT);
        let mut gap = false;
        for (n, text) in (1..=last).zip(&self.lines) {
            if !near(n) {
                gap = true;
                continue;
            }
            if std::mem::take(&mut gap) {
                writeln!(f, "{:width$} …", "")?;
            }
            writeln!(f, "{n:width$} | {}", line(text))?;
            let indent = text.len() - text.trim_start().len();
            for fault in shown.iter().filter(|f| f.line == n) {
                writeln!(
                    f,
                    "{:width$} | {:indent$}^ {}",
                    "",
                    "",
                    line(&fault.message)
                )?;
            }
        }
        match self.faults.len() - shown.len() {
            0 => Ok(()),
            more => writeln!(f, "{:width$} … and {more} more", ""),
        }
    }
}

impl std::error::Error for VerifyError {}
