//! How operands and results of ops hang together: if one is divided, the other can be too.

use sharpi_ir::{Graph, NodeId, Op, Parts, SlotName, TensorType, Value, slot};

use super::Division;
use crate::pattern::{result, value};

/// What ties an operand of an op to a result.
pub(super) struct Link {
    pub(super) operand: Value,
    pub(super) result: Value,
    tie: Tie,
}

#[derive(Clone, Copy)]
enum Tie {
    /// Each index of an axis is worked on by itself, but for one axis.
    Axes { but: Option<usize> },
    /// So it is, with dimensions aligned at the last.
    Broadcast,
    /// The same elements under other dimensions.
    Reshape,
    /// A part of an axis.
    Part {
        axis: usize,
        start: usize,
        len: usize,
    },
    /// The sum over the dimension before an axis.
    Sum { axis: usize },
}

/// The links of an op. Those of heads with their scan or attention are none: their op says how both
/// are divided.
pub(super) fn links(graph: &Graph, node: NodeId) -> Vec<Link> {
    let Some(op) = graph.op(node) else {
        return Vec::new();
    };
    let one = |name: SlotName, tie| {
        let link = |operand| Link {
            operand,
            result: result(node),
            tie,
        };
        value(graph, node, name).map(link).into_iter().collect()
    };
    let each_row = || {
        let rank = value(graph, node, SlotName::FIRST).map_or(1, |x| graph.ty(x).rank());
        Tie::Axes {
            but: Some(rank - 1),
        }
    };
    match op {
        Op::Silu {}
        | Op::Sigmoid {}
        | Op::Softplus {}
        | Op::ClampMin { .. }
        | Op::Scale { .. }
        | Op::SignedSqrt { .. } => one(slot::Silu::x, Tie::Axes { but: None }),
        Op::CausalConv {} => one(slot::CausalConv::x, Tie::Axes { but: None }),
        Op::GetRows {} => one(slot::GetRows::x, Tie::Axes { but: None }),
        Op::Rmsnorm { .. }
        | Op::L2norm { .. }
        | Op::Rope { .. }
        | Op::Softmax {}
        | Op::RowSum {} => one(SlotName::FIRST, each_row()),
        Op::Add {} | Op::Mul {} | Op::Div {} => {
            let a: Vec<Link> = one(slot::Add::a, Tie::Axes { but: None });
            a.into_iter()
                .chain(one(slot::Add::b, Tie::Broadcast))
                .collect()
        }
        Op::Concat { axis } => {
            let but = Some(*axis as usize);
            let a: Vec<Link> = one(slot::Concat::a, Tie::Axes { but });
            a.into_iter()
                .chain(one(slot::Concat::b, Tie::Axes { but }))
                .collect()
        }
        Op::Reshape { .. } => one(slot::Reshape::x, Tie::Reshape),
        Op::ExpertSum {} => one(slot::ExpertSum::x, Tie::Sum { axis: 2 }),
        Op::Split { axis, sizes } => {
            let Some(operand) = value(graph, node, slot::Split::x) else {
                return Vec::new();
            };
            let mut start = 0;
            let parts = graph.values(node).zip(sizes).map(|(result, size)| {
                let (axis, len) = (*axis as usize, *size as usize);
                let tie = Tie::Part { axis, start, len };
                start += len;
                Link {
                    operand,
                    result,
                    tie,
                }
            });
            parts.collect()
        }
        Op::Streams { .. } => one(slot::Streams::x, Tie::Broadcast),
        Op::StreamMix { .. } => {
            let sum = Tie::Sum { axis: 2 };
            let x: Vec<Link> = one(slot::StreamMix::x, sum);
            x.into_iter()
                .chain(one(slot::StreamMix::gate, sum))
                .collect()
        }
        Op::GdnScan { .. }
        | Op::Attention { .. }
        | Op::KvStore {}
        | Op::Embed {}
        | Op::Matmul {}
        | Op::EhProj {}
        | Op::TopkRouter { .. }
        | Op::MoeMatmul {}
        | Op::ExpertRows {}
        | Op::Quantize { .. }
        | Op::AllGather { .. }
        | Op::StreamAdd {}
        | Op::PoolKeys { .. }
        | Op::ChooseBlocks { .. }
        | Op::DilatedConv { .. }
        | Op::NgramRows { .. }
        | Op::StreamGate { .. }
        | Op::StreamConv { .. }
        | Op::Product { .. }
        | Op::GatedDeltaNet { .. }
        | Op::MoeSwiglu { .. }
        | Op::MoeSum { .. }
        | Op::RopeAttention { .. } => Vec::new(),
    }
}

impl Link {
    /// How the result is divided if the operand is divided so.
    pub(super) fn forward(&self, graph: &Graph, d: &Division) -> Option<Division> {
        let (from, to) = (graph.ty(self.operand), graph.ty(self.result));
        let Division { axis, parts } = d;
        match self.tie {
            Tie::Axes { but } => (Some(*axis) != but).then(|| d.clone()),
            Tie::Broadcast => {
                let axis = axis + (to.rank() - from.rank());
                (to.shape[axis] == from.shape[d.axis]).then(|| Division {
                    axis,
                    parts: parts.clone(),
                })
            }
            Tie::Reshape => reshaped(d, from, to),
            Tie::Part { axis: along, .. } if *axis != along => Some(d.clone()),
            Tie::Part { start, len, .. } => {
                let parts = parts.map(|part| {
                    let part = part.within(start..start + len);
                    (!part.is_empty()).then_some(part)
                })?;
                Some(Division { axis: *axis, parts })
            }
            Tie::Sum { axis: along } => (*axis == along).then(|| Division {
                axis: along - 1,
                parts: parts.clone(),
            }),
        }
    }

    /// How the operand is divided if the result is to be divided so. Of a part of the divided axis
    /// that says too little: see [`whole_of_parts`].
    pub(super) fn backward(&self, graph: &Graph, d: &Division) -> Option<Division> {
        let (from, to) = (graph.ty(self.operand), graph.ty(self.result));
        let Division { axis, parts } = d;
        match self.tie {
            Tie::Axes { but } => (Some(*axis) != but).then(|| d.clone()),
            Tie::Broadcast => {
                let axis = axis.checked_sub(to.rank() - from.rank())?;
                let divided = axis > 0 && from.shape[axis] == to.shape[d.axis];
                divided.then(|| Division {
                    axis,
                    parts: parts.clone(),
                })
            }
            Tie::Reshape => reshaped(d, to, from),
            Tie::Part { axis: along, .. } => (*axis != along).then(|| d.clone()),
            Tie::Sum { axis: along } => (axis + 1 == along).then(|| Division {
                axis: along,
                parts: parts.clone(),
            }),
        }
    }

    /// Whether the operand is the same for all indices of the result's axis.
    pub(super) fn is_broadcast_along(&self, graph: &Graph, axis: usize) -> bool {
        let Tie::Broadcast = self.tie else {
            return false;
        };
        let (from, to) = (graph.ty(self.operand), graph.ty(self.result));
        let own = axis.checked_sub(to.rank() - from.rank());
        let own = own.and_then(|axis| from.shape.get(axis).copied());
        own.is_none_or(|dim| dim.fixed() == Some(1))
    }
}

/// How the operand of a `split` is divided along the axis of the split if its results are divided
/// so.
pub(super) fn whole_of_parts(
    graph: &Graph,
    split: NodeId,
    of: impl Fn(Value) -> Option<Division>,
) -> Option<Division> {
    let Op::Split { axis, sizes } = graph.op(split)? else {
        return None;
    };
    let axis = *axis as usize;
    let mut start = 0;
    let mut whole: Option<Parts> = None;
    for (v, size) in graph.values(split).zip(sizes) {
        let division = of(v).filter(|d| d.axis == axis)?;
        let mut before = whole.iter().flat_map(Parts::iter);
        let joined = division.parts.map(|part| {
            let part = part.shifted(start);
            Some(
                before
                    .next()
                    .map_or(part.clone(), |before| before.union(&part)),
            )
        });
        drop(before);
        whole = joined;
        start += *size as usize;
    }
    whole.map(|parts| Division { axis, parts })
}

/// A division of the same elements under other dimensions: along an axis that has only dimensions
/// of 1 before it.
fn reshaped(d: &Division, from: &TensorType, to: &TensorType) -> Option<Division> {
    let outer_is_one = |ty: &TensorType, axis: usize| {
        let before = ty.shape.get(1..axis).unwrap_or_default();
        before.iter().all(|dim| dim.fixed() == Some(1))
    };
    let inner = |ty: &TensorType, axis: usize| {
        let mut behind = ty.shape[axis + 1..].iter().map(|dim| dim.fixed());
        behind.try_fold(1usize, |n, dim| n.checked_mul(dim?))
    };
    if !outer_is_one(from, d.axis) {
        return None;
    }
    let elements = d
        .parts
        .map(|part| Some(part.scaled(inner(from, d.axis)?)))?;
    let axes = (1..to.rank()).filter(|axis| outer_is_one(to, *axis));
    let axis = axes.max()?;
    let parts = elements.map(|part| part.divided(inner(to, axis)?))?;
    Some(Division { axis, parts })
}
