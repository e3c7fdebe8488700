//! What fusing passes look for in a graph.

use sharpi_ir::{Graph, NodeId, Op, Operand, Patch, SlotName, Symbols, Value, WeightId, slot};
use smallvec::SmallVec;

/// The first result of a node.
pub(crate) fn result(node: NodeId) -> Value {
    Value { node, result: 0 }
}

/// The value under a name.
pub(crate) fn value(graph: &Graph, node: NodeId, name: SlotName) -> Option<Value> {
    match graph.operand(node, name)? {
        Operand::Value(v) => Some(v),
        Operand::Weight(_) | Operand::State(_) => None,
    }
}

/// The weight under a name.
pub(crate) fn weight(graph: &Graph, node: NodeId, name: SlotName) -> Option<WeightId> {
    match graph.operand(node, name)? {
        Operand::Weight(w) => Some(w),
        Operand::Value(_) | Operand::State(_) => None,
    }
}

/// The weight of an `rmsnorm` that is the same for all rows.
pub(crate) fn norm_weight(graph: &Graph, norm: NodeId, symbols: &Symbols) -> Option<WeightId> {
    let by = weight(graph, norm, slot::Rmsnorm::weight)?;
    (symbols.weight_of(by)?.1.ty.rank() == 1).then_some(by)
}

/// The only reader of a value that is no output: once both are one op, nobody misses the value.
pub(crate) fn only_user(graph: &Graph, v: Value) -> Option<NodeId> {
    match graph.users(v)[..] {
        [(user, _)] if !graph.is_output(v) => Some(user),
        _ => None,
    }
}

/// The maker of a value that `reader` alone reads.
pub(crate) fn feeder(graph: &Graph, reader: NodeId, name: SlotName) -> Option<NodeId> {
    let v = value(graph, reader, name)?;
    (only_user(graph, v) == Some(reader)).then_some(v.node)
}

/// A `matmul`, and the `quantize` that rounds its input, if one does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Product {
    pub(crate) node: NodeId,
    /// The value before it is rounded.
    pub(crate) x: Value,
    pub(crate) weight: WeightId,
    /// The `quantize` op, if there is one.
    pub(crate) rounding: Option<NodeId>,
}

impl Product {
    /// The `matmul` at `node`.
    pub(crate) fn at(graph: &Graph, node: NodeId) -> Option<Product> {
        let Op::Matmul {} = graph.op(node)? else {
            return None;
        };
        let given = value(graph, node, slot::Matmul::x)?;
        let weight = weight(graph, node, slot::Matmul::weight)?;
        let rounding = rounding(graph, given);
        let x = match rounding {
            Some(rounding) => value(graph, rounding, slot::Quantize::x)?,
            None => given,
        };
        Some(Product {
            node,
            x,
            weight,
            rounding,
        })
    }

    /// The matmul whose product `reader` alone reads.
    pub(crate) fn feeding(graph: &Graph, reader: NodeId, name: SlotName) -> Option<Product> {
        Product::at(graph, feeder(graph, reader, name)?)
    }

    /// The format in which the input meets the weight.
    pub(crate) fn activation(&self, symbols: &Symbols) -> Option<sharpi_ir::DType> {
        symbols.weight_of(self.weight)?.1.ty.dtype.activation()
    }
}

/// The `quantize` that makes a value.
fn rounding(graph: &Graph, v: Value) -> Option<NodeId> {
    matches!(graph.op(v.node)?, Op::Quantize { .. }).then_some(v.node)
}

/// All products of a value, rounded or not, in canonical order of their nodes.
pub(crate) fn products_of(graph: &Graph, x: Value) -> Vec<Product> {
    let direct = graph.users(x).into_iter().map(|(n, _)| n);
    let mut readers: Vec<NodeId> = Vec::new();
    for user in direct {
        readers.push(user);
        if matches!(graph.op(user), Some(Op::Quantize { .. })) {
            readers.extend(graph.users(result(user)).into_iter().map(|(n, _)| n));
        }
    }
    readers.sort_unstable();
    readers.dedup();
    let products = readers.into_iter().filter_map(|n| Product::at(graph, n));
    products.filter(|p| p.x == x).collect()
}

/// Erases ops that one op replaces, and the roundings that they alone have read.
pub(crate) fn erase_with_roundings(graph: &Graph, patch: &mut Patch, replaced: &[NodeId]) {
    let mut roundings: SmallVec<[NodeId; 4]> = SmallVec::new();
    for &node in replaced {
        patch.erase(node);
        roundings.extend(
            graph
                .value_operands(node)
                .filter_map(|v| rounding(graph, v)),
        );
    }
    roundings.sort_unstable();
    roundings.dedup();
    for rounding in roundings {
        let v = result(rounding);
        let mut users = graph.users(v).into_iter();
        if users.all(|(user, _)| replaced.contains(&user))
            && !graph.is_output(v)
            && !replaced.contains(&rounding)
        {
            patch.erase(rounding);
        }
    }
}
