//! Applies rules until none fires: the loop of every pass that is made of local rewrites.

use sharpi_ir::{Graph, NodeId, Patch, Symbols};

use crate::label;
use crate::pass::{PassError, Stats};

/// Sweeps over a graph after which rules that still fire are taken to undo each other's work.
pub const MAX_SWEEPS: usize = 32;

/// A local rewrite: looks at one op and answers with a patch where it applies.
pub struct Rule {
    /// The name in statistics and errors.
    pub name: &'static str,
    /// The patch for this op, if the rule applies to it.
    pub find: fn(&Graph, NodeId, &Symbols) -> Option<Patch>,
}

/// A rule that fired, and the op at which it did.
type Fired = (&'static str, NodeId);

/// Sweeps over the graph in canonical order, giving each rule one try at each op, until a sweep
/// changes nothing.
///
/// # Errors
/// A patch that does not fit, or rules that still fire after [`MAX_SWEEPS`] sweeps.
pub fn rewrite(graph: &mut Graph, symbols: &Symbols, rules: &[Rule]) -> Result<Stats, PassError> {
    let mut stats = Stats::default();
    for sweep_number in 1.. {
        match sweep(graph, symbols, rules, &mut stats)? {
            None => break,
            Some((rule, node)) if sweep_number > MAX_SWEEPS => {
                return Err(PassError::Endless {
                    rule,
                    node: label::node(graph, node),
                    bound: MAX_SWEEPS,
                });
            }
            Some(_) => {}
        }
    }
    Ok(stats)
}

/// One sweep; answers with what fired last.
fn sweep(
    graph: &mut Graph,
    symbols: &Symbols,
    rules: &[Rule],
    stats: &mut Stats,
) -> Result<Option<Fired>, PassError> {
    let mut last = None;
    for node in graph.order() {
        for rule in rules {
            // An earlier patch may have taken the op away.
            if graph.contains(node)
                && let Some(patch) = (rule.find)(graph, node, symbols)
            {
                apply(graph, patch, symbols, node)?;
                stats.count(rule.name);
                last = Some((rule.name, node));
            }
        }
    }
    Ok(last)
}

/// Applies one patch that was made for `node`, with an error that names it.
pub(crate) fn apply(
    graph: &mut Graph,
    patch: Patch,
    symbols: &Symbols,
    node: NodeId,
) -> Result<(), PassError> {
    // A patch that is refused leaves the graph as it was.
    (graph.apply(patch, symbols)).map_err(|source| PassError::Patch {
        node: label::node(graph, node),
        source,
    })
}
