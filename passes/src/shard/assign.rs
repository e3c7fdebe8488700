//! Which values are divided, and how.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use sharpi_ir::{Graph, NodeId, Op, Parts, SlotName, StateType, Symbols, Value, WeightId, slot};

use super::Division;
use super::heads::{in_blocks, kv_heads, query_heads, scan_divisions, scan_heads};
use super::links::{links, whole_of_parts};
use crate::pattern::{result, value, weight};

/// The divisions of values.
pub(super) type Divisions = HashMap<Value, Division>;

/// A product with this many times more columns of weights than it has rows is computed by every
/// rank: a router, the gate of a shared expert. Its result would be gathered at once, and that costs
/// more.
const FEW_ROWS: usize = 8;

struct Assign<'g> {
    graph: &'g Graph,
    divisions: Divisions,
    /// Values whose neighbours have not been looked at.
    open: Vec<Value>,
}

/// Divides a graph's values among so many ranks.
pub(super) fn assign(graph: &Graph, symbols: &Symbols, ranks: usize) -> Divisions {
    let mut assign = Assign {
        graph,
        divisions: HashMap::new(),
        open: Vec::new(),
    };
    let order = graph.order();
    for &node in &order {
        for (v, division) in by_heads(graph, node, symbols, ranks) {
            assign.set(v, division);
        }
    }
    for &node in order.iter().rev() {
        if let Some(factors) = Factors::of(graph, node) {
            assign.set_last(factors.x, |n| in_blocks(n, 1, ranks));
        }
    }
    for &node in &order {
        if let Some(factors) = Factors::of(graph, node)
            && factors.is_worth_sharing(symbols, ranks)
        {
            assign.set_last(result(node), |n| in_blocks(n, 1, ranks));
        }
    }
    assign.divisions
}

impl Assign<'_> {
    /// Divides a value and all that hangs together with it, unless it is divided already.
    fn set(&mut self, v: Value, division: Division) {
        self.put(v, division);
        while let Some(v) = self.open.pop() {
            self.spread(v);
        }
    }

    fn set_last(&mut self, v: Value, parts: impl Fn(usize) -> Parts) {
        let ty = self.graph.ty(v);
        if let (Some(n), axis @ 1..) = (ty.last().fixed(), ty.rank() - 1) {
            self.set(
                v,
                Division {
                    axis,
                    parts: parts(n),
                },
            );
        }
    }

    fn put(&mut self, v: Value, division: Division) {
        if let Entry::Vacant(place) = self.divisions.entry(v) {
            place.insert(division);
            self.open.push(v);
        }
    }

    /// Divides the neighbours of a divided value.
    fn spread(&mut self, v: Value) {
        let (graph, division) = (self.graph, self.divisions[&v].clone());
        for (user, _) in graph.users(v) {
            for link in links(graph, user).iter().filter(|link| link.operand == v) {
                if let Some(division) = link.forward(graph, &division) {
                    self.put(link.result, division);
                }
            }
        }
        for link in links(graph, v.node).iter().filter(|link| link.result == v) {
            let parts = || whole_of_parts(graph, v.node, |v| self.divisions.get(&v).cloned());
            if let Some(division) = link.backward(graph, &division).or_else(parts) {
                self.put(link.operand, division);
            }
        }
    }
}

/// The divisions of what goes into and comes out of a scan or an attention.
fn by_heads(
    graph: &Graph,
    node: NodeId,
    symbols: &Symbols,
    ranks: usize,
) -> Vec<(Value, Division)> {
    let cache_heads = || match symbols.state_of(graph.state(node)?)?.1 {
        StateType::Kv { heads, .. } => Some(*heads),
        StateType::Recurrent(_) => None,
    };
    let division = |parts| Division { axis: 1, parts };
    let found = match graph.op(node) {
        Some(Op::GdnScan { .. }) => scan_heads(graph, node, ranks).map(|heads| {
            let values = graph.value_operands(node).chain([result(node)]);
            values.zip(scan_divisions(heads)).collect()
        }),
        Some(Op::Attention { .. }) => cache_heads().and_then(|kv| {
            let q = value(graph, node, slot::Attention::q)?;
            let heads = graph.ty(q).shape.get(1)?.fixed()?;
            let queries = division(query_heads(heads, kv, ranks));
            Some(vec![(q, queries.clone()), (result(node), queries)])
        }),
        Some(Op::KvStore {}) => cache_heads().map(|kv| {
            let names = [slot::KvStore::k, slot::KvStore::v];
            let stored = names
                .into_iter()
                .filter_map(|name| value(graph, node, name));
            stored.map(|v| (v, division(kv_heads(kv, ranks)))).collect()
        }),
        Some(_) | None => None,
    };
    found.unwrap_or_default()
}

/// What an op multiplies.
pub(super) struct Factors {
    pub(super) x: Value,
    pub(super) weight: WeightId,
    /// The name of the weight's slot.
    pub(super) slot: SlotName,
}

impl Factors {
    pub(super) fn of(graph: &Graph, node: NodeId) -> Option<Factors> {
        let product = graph.op(node)?.facts().product?;
        Some(Factors {
            x: value(graph, node, product.x)?,
            weight: weight(graph, node, product.weight)?,
            slot: product.weight,
        })
    }

    fn is_worth_sharing(&self, symbols: &Symbols, ranks: usize) -> bool {
        let Some((_, weight)) = symbols.weight_of(self.weight) else {
            return false;
        };
        match weight.ty.shape[..] {
            [.., rows, columns] => match (rows.fixed(), columns.fixed()) {
                (Some(rows), Some(columns)) => rows >= ranks && rows * FEW_ROWS > columns,
                _ => false,
            },
            _ => false,
        }
    }
}
