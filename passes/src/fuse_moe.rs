//! A mixture of experts in two ops behind its router.
//!
//! Looks, from the sum at its end, onto a residual or not, for the whole of it: softmax or sigmoid of
//! the logits, the best experts, with a bias or without, their SwiGLU (gate and up apart or as one
//! tensor), their sum weighted by probabilities as they are or divided by their own sum, scaled or
//! not, and a shared expert, gated or not, if there is one. `moe_swiglu` and `moe_sum` each choose
//! the experts from the logits by themselves, every worker for all tokens, which costs less than the
//! barriers between softmax, choice and weights; they group tokens by expert, so that a run reads
//! each expert's weights once. Nothing in between may have another reader or be an output.

use sharpi_ir::{
    DType, Gating, Graph, NodeId, Onto, Op, Patch, PatchOperand, SharedExpert, SlotName, Symbols,
    TensorType, Value, WeightId, slot,
};

use crate::pass::{Context, Pass, PassError, Stats};
use crate::pattern::{erase_with_roundings, feeder, only_user, result, value, weight};
use crate::rewrite::{Rule, rewrite};

/// Fuses the choice of experts into their products.
pub struct FuseMoe;

const RULES: &[Rule] = &[Rule {
    name: "mixture-of-experts",
    find: mixture_of_experts,
}];

impl Pass for FuseMoe {
    fn name(&self) -> &'static str {
        "fuse-moe"
    }

    fn doc(&self) -> &'static str {
        "makes two ops of routing, experts, shared expert and residual sum"
    }

    fn run(&self, graph: &mut Graph, context: &mut Context<'_>) -> Result<Stats, PassError> {
        rewrite(graph, context, RULES)
    }
}

/// The nodes that have been recognised, each with all its readers among those before it.
struct Found<'g> {
    graph: &'g Graph,
    nodes: Vec<NodeId>,
}

impl<'g> Found<'g> {
    /// What alone feeds an operand of `reader`.
    fn feeder(&mut self, reader: NodeId, name: SlotName) -> Option<(NodeId, &'g Op)> {
        let node = feeder(self.graph, reader, name)?;
        self.nodes.push(node);
        Some((node, self.graph.op(node)?))
    }

    /// The maker of a value which only recognised nodes read.
    fn maker(&mut self, v: Value) -> Option<(NodeId, &'g Op)> {
        let mut values = self.graph.values(v.node);
        let ours = values.all(|v| {
            let mut users = self.graph.users(v).into_iter();
            !self.graph.is_output(v) && users.all(|(user, _)| self.nodes.contains(&user))
        });
        if !ours {
            return None;
        }
        if !self.nodes.contains(&v.node) {
            self.nodes.push(v.node);
        }
        Some((v.node, self.graph.op(v.node)?))
    }

    /// The value before its rounding, if it is rounded; the rounding may have other readers.
    fn unrounded(&self, v: Value) -> Option<Value> {
        match self.graph.op(v.node) {
            Some(Op::Quantize { .. }) => value(self.graph, v.node, slot::Quantize::x),
            Some(_) | None => Some(v),
        }
    }
}

/// The experts' SwiGLU.
struct Swiglu {
    x: Value,
    /// The choice that the products take.
    choice: Value,
    weights: Vec<WeightId>,
    to: DType,
    /// What is done to it before the experts' second product: it may be gathered from all ranks.
    then: Vec<Op>,
}

fn mixture_of_experts(graph: &Graph, node: NodeId, _: &Symbols) -> Option<Patch> {
    let mut found = Found {
        graph,
        nodes: vec![node],
    };
    let (routed, shared, residual) = onto_residual(&mut found, node).or_else(|| {
        found.nodes.truncate(1);
        onto_nothing(&mut found, node)
    })?;
    let (weighted, Op::Mul {}) = found.feeder(routed, slot::ExpertSum::x)? else {
        return None;
    };
    let (down, Op::MoeMatmul {}) = found.feeder(weighted, slot::Mul::a)? else {
        return None;
    };
    let swiglu = swiglu(&mut found, down)?;
    let (probabilities, min, scale) = probabilities(&mut found, weighted)?;
    let (choice, Op::TopkRouter { k, biased }) = found.maker(swiglu.choice)? else {
        return None;
    };
    let same_choice = swiglu.choice == result(choice)
        && value(graph, down, slot::MoeMatmul::experts) == Some(result(choice))
        && probabilities.node == choice;
    let (gated, op) = found.feeder(choice, slot::TopkRouter::probs)?;
    let gating = match op {
        Op::Softmax {} => Gating::Softmax,
        Op::Sigmoid {} => Gating::Sigmoid,
        _ => return None,
    };
    let logits = value(graph, gated, SlotName::FIRST)?;
    let bias = weight(graph, choice, slot::TopkRouter::bias);
    let y = graph.ty(result(node));
    let fits = residual.is_none_or(|residual| graph.ty(residual) == y);
    if !same_choice || !fits || !shared.fits(graph, y) {
        return None;
    }
    let mut patch = Patch::new("mixture-of-experts");
    let mut operands: Vec<PatchOperand> = vec![swiglu.x.into(), logits.into()];
    operands.extend(bias.map(PatchOperand::from));
    operands.extend(swiglu.weights.iter().map(|w| PatchOperand::from(*w)));
    let (k, biased) = (*k, *biased);
    let op = Op::MoeSwiglu {
        norm_eps: None,
        k,
        gating,
        biased,
        to: swiglu.to,
    };
    let act = patch.add(op, &operands);
    let then = swiglu.then.into_iter();
    let act = then.fold(act, |act, op| patch.add(op, &[act]));
    let mut operands = vec![act, logits.into()];
    operands.extend(bias.map(PatchOperand::from));
    operands.extend(shared.values.iter().map(|v| PatchOperand::from(*v)));
    let down = weight(graph, down, slot::MoeMatmul::weight)?;
    operands.extend(residual.map(PatchOperand::from));
    operands.push(down.into());
    let op = Op::MoeSum {
        gating,
        biased,
        min,
        scale,
        shared: shared.kind,
        onto: match residual {
            Some(_) => Onto::Residual,
            None => Onto::Nothing,
        },
    };
    let y = patch.add(op, &operands);
    patch.replace(result(node), y);
    erase_with_roundings(graph, &mut patch, &found.nodes);
    Some(patch)
}

/// A shared expert's result, and its gate, if there is one.
struct Shared {
    kind: SharedExpert,
    values: Vec<Value>,
}

impl Shared {
    fn fits(&self, graph: &Graph, y: &TensorType) -> bool {
        let one_a_token = TensorType::new(DType::F32, [y.shape[0], 1.into()]);
        let one = |gate: &Value| *graph.ty(*gate) == one_a_token;
        let expert = self.values.first().is_none_or(|v| graph.ty(*v) == y);
        expert && self.values.get(1).is_none_or(one)
    }
}

/// What a mixture gives: the sum of the chosen experts, the shared one, and the residual.
type Summed = (NodeId, Shared, Option<Value>);

/// A residual and what is added to it.
fn onto_residual(found: &mut Found, node: NodeId) -> Option<Summed> {
    let Op::Add {} = found.graph.op(node)? else {
        return None;
    };
    let residual = value(found.graph, node, slot::Add::a)?;
    let (sum, _) = found.feeder(node, slot::Add::b)?;
    let (routed, shared) = experts(found, sum)?;
    Some((routed, shared, Some(residual)))
}

/// A sum that nothing is added to.
fn onto_nothing(found: &mut Found, node: NodeId) -> Option<Summed> {
    let reader = only_user(found.graph, result(node));
    let added = reader.is_some_and(|reader| matches!(found.graph.op(reader), Some(Op::Add {})));
    let (routed, shared) = experts(found, node)?;
    (!added).then_some((routed, shared, None))
}

/// The sum of the chosen experts, alone or with a shared expert.
fn experts(found: &mut Found, sum: NodeId) -> Option<(NodeId, Shared)> {
    let none = Shared {
        kind: SharedExpert::None,
        values: Vec::new(),
    };
    match (sum, found.graph.op(sum)?) {
        (routed, Op::ExpertSum {}) => Some((routed, none)),
        (sum, Op::Add {}) => {
            let (routed, Op::ExpertSum {}) = found.feeder(sum, slot::Add::a)? else {
                return None;
            };
            let plain = Shared {
                kind: SharedExpert::Plain,
                values: vec![value(found.graph, sum, slot::Add::b)?],
            };
            Some((routed, gated(found, sum).unwrap_or(plain)))
        }
        _ => None,
    }
}

/// `shared · sigmoid(gate)` as the second summand.
fn gated(found: &mut Found, sum: NodeId) -> Option<Shared> {
    let graph = found.graph;
    let product = feeder(graph, sum, slot::Add::b)?;
    let sigmoid = feeder(graph, product, slot::Mul::b)?;
    let (Op::Mul {}, Op::Sigmoid {}) = (graph.op(product)?, graph.op(sigmoid)?) else {
        return None;
    };
    let shared = value(graph, product, slot::Mul::a)?;
    let gate = value(graph, sigmoid, slot::Sigmoid::x)?;
    if graph.ty(gate).last() != 1.into() {
        return None;
    }
    found.nodes.extend([product, sigmoid]);
    Some(Shared {
        kind: SharedExpert::Gated,
        values: vec![shared, gate],
    })
}

/// What feeds the experts' second product.
fn swiglu(found: &mut Found, down: NodeId) -> Option<Swiglu> {
    let graph = found.graph;
    let (mut product, mut op) = found.feeder(down, slot::MoeMatmul::x)?;
    let mut then = Vec::new();
    while let Op::Quantize { .. } | Op::AllGather { .. } = op {
        then.insert(0, op.clone());
        (product, op) = found.feeder(product, SlotName::FIRST)?;
    }
    let to = match then.first() {
        Some(Op::Quantize { to }) => *to,
        Some(_) | None => DType::F32,
    };
    if to != DType::F32 {
        then.remove(0);
    }
    let Op::Mul {} = graph.op(product)? else {
        return None;
    };
    let (silu, Op::Silu {}) = found.feeder(product, slot::Mul::a)? else {
        return None;
    };
    let gate = value(graph, silu, slot::Silu::x)?;
    let up = value(graph, product, slot::Mul::b)?;
    let products = match found.maker(up)? {
        (gate_up, Op::Split { axis: 2, sizes }) => {
            let in_halves = sizes.len() == 2 && sizes[0] == sizes[1];
            let in_order = gate == result(gate_up) && up.result == 1;
            if !in_halves || !in_order {
                return None;
            }
            vec![found.feeder(gate_up, slot::Split::x)?]
        }
        by_up => vec![found.maker(gate)?, by_up],
    };
    let mut inputs = Vec::new();
    let mut weights = Vec::new();
    for (node, op) in products {
        let Op::MoeMatmul {} = op else {
            return None;
        };
        let x = found.unrounded(value(graph, node, slot::MoeMatmul::x)?)?;
        inputs.push((x, value(graph, node, slot::MoeMatmul::experts)?));
        weights.push(weight(graph, node, slot::MoeMatmul::weight)?);
    }
    let (x, choice) = inputs[0];
    let same = inputs.iter().all(|i| *i == inputs[0]) && graph.ty(x).rank() == 2;
    same.then_some(Swiglu {
        x,
        choice,
        weights,
        to,
        then,
    })
}

/// The probabilities `p` by which the experts' results are weighted, `min` where that is by
/// `p / max(Σ p, min)`, and a factor of it, if it has one.
fn probabilities(found: &mut Found, weighted: NodeId) -> Option<(Value, Option<f32>, Option<f32>)> {
    let (mut reader, Op::Reshape { .. }) = found.feeder(weighted, slot::Mul::b)? else {
        return None;
    };
    let mut weights = value(found.graph, reader, SlotName::FIRST)?;
    let mut scale = None;
    if let Some(Op::Scale { by }) = found.graph.op(weights.node) {
        scale = Some(*by);
        (reader, _) = found.feeder(reader, SlotName::FIRST)?;
        weights = value(found.graph, reader, SlotName::FIRST)?;
    }
    if let Some(Op::TopkRouter { .. }) = found.graph.op(weights.node) {
        return (weights.result == 1).then_some((weights, None, scale));
    }
    let (quotient, Op::Div {}) = found.feeder(reader, SlotName::FIRST)? else {
        return None;
    };
    let (clamped, Op::ClampMin { min }) = found.feeder(quotient, slot::Div::b)? else {
        return None;
    };
    let (total, Op::RowSum {}) = found.feeder(clamped, slot::ClampMin::x)? else {
        return None;
    };
    let p = value(found.graph, quotient, slot::Div::a)?;
    let of_all = value(found.graph, total, slot::RowSum::x)? == p && p.result == 1;
    of_all.then_some((p, Some(*min), scale))
}
