//! Applies rules until none fires: the loop of every pass that is made of local rewrites.

use sharpi_ir::{Graph, NodeId, Patch, Symbols};

use crate::fuel::LastRewrite;
use crate::label;
use crate::pass::{Context, PassError, Stats};
use crate::trace::Rewrite;

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
/// changes nothing or the fuel is spent.
///
/// # Errors
/// A patch that does not fit, or rules that still fire after [`MAX_SWEEPS`] sweeps.
pub fn rewrite(
    graph: &mut Graph,
    context: &mut Context<'_>,
    rules: &[Rule],
) -> Result<Stats, PassError> {
    let mut stats = Stats::default();
    for sweep_number in 1.. {
        match sweep(graph, context, rules, &mut stats)? {
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
    context: &mut Context<'_>,
    rules: &[Rule],
    stats: &mut Stats,
) -> Result<Option<Fired>, PassError> {
    let mut last = None;
    for node in graph.order() {
        for rule in rules {
            // An earlier patch may have taken the op away.
            if graph.contains(node)
                && let Some(patch) = (rule.find)(graph, node, context.symbols)
                && apply(graph, patch, (rule.name, node), context, stats)?
            {
                last = Some((rule.name, node));
            }
        }
    }
    Ok(last)
}

/// Applies and counts one patch that a rule has made for an op, unless the fuel is spent: whether
/// it did.
///
/// # Errors
/// A patch that does not fit; names the op.
pub(crate) fn apply(
    graph: &mut Graph,
    patch: Patch,
    (rule, node): Fired,
    context: &mut Context<'_>,
    stats: &mut Stats,
) -> Result<bool, PassError> {
    if context.fuel.is_empty() {
        return Ok(false);
    }
    context.fuel.take(|| LastRewrite {
        pass: context.pass,
        graph: context.name.to_string(),
        rule,
        node: label::node(graph, node),
    });
    // A patch that is refused leaves the graph as it was.
    let applied = graph.apply(patch, context.symbols);
    let applied = applied.map_err(|source| PassError::Patch {
        node: label::node(graph, node),
        source,
    })?;
    stats.count(rule);
    if let Some(log) = &mut context.log {
        log.push(Rewrite { rule, applied });
    }
    Ok(true)
}
