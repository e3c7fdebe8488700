//! Rows are chosen before they are worked on, not after.
//!
//! Looks for a value of which nothing but the same rows is read, by `get_rows`, and which an op has
//! made that works on each row of the token axis for itself. The rows of its operands are chosen instead, and the op works on
//! them alone: the head, and the end of the last block, are then computed for positions whose
//! logits are asked for. A value that is an output is needed whole, as are the operands of ops
//! with a state; there it ends.

use sharpi_ir::{DType, Graph, NodeId, Op, Operand, Patch, PatchOperand, Symbols};

use crate::pass::{Context, Pass, PassError, Stats};
use crate::pattern::{result, value};
use crate::rewrite::{Rule, rewrite};

/// Chooses rows as early as possible.
pub struct SelectRows;

const RULES: &[Rule] = &[Rule {
    name: "rows-before-op",
    find: rows_before_op,
}];

impl Pass for SelectRows {
    fn name(&self) -> &'static str {
        "select-rows"
    }

    fn doc(&self) -> &'static str {
        "chooses rows before the ops that work on each row by itself"
    }

    fn run(&self, graph: &mut Graph, context: &mut Context<'_>) -> Result<Stats, PassError> {
        rewrite(graph, context.symbols, RULES)
    }
}

fn rows_before_op(graph: &Graph, node: NodeId, _: &Symbols) -> Option<Patch> {
    let Op::GetRows {} = graph.op(node)? else {
        return None;
    };
    let (x, rows) = (value(graph, node, 0)?, value(graph, node, 1)?);
    let op = graph.op(x.node)?;
    let readers = graph.users(x);
    let chooses_too = |(reader, _): &(NodeId, usize)| {
        matches!(graph.op(*reader), Some(Op::GetRows {})) && value(graph, *reader, 1) == Some(rows)
    };
    if !works_by_rows(op) || graph.is_output(x) || !readers.iter().all(chooses_too) {
        return None;
    }
    // A value that is broadcast along the tokens has no rows to choose from.
    let tokens = graph.ty(x).shape[0];
    let has_rows = |v| {
        let ty = graph.ty(v);
        ty.dtype == DType::F32 && ty.rank() >= 2 && ty.shape[0] == tokens
    };
    if !graph.value_operands(x.node).all(has_rows) {
        return None;
    }
    let mut patch = Patch::new("rows-before-op");
    let operands: Vec<PatchOperand> = (graph.operands(x.node).into_iter())
        .map(|o| match o {
            Operand::Value(v) => patch.add(Op::GetRows {}, &[v.into(), rows.into()]),
            Operand::Weight(_) | Operand::State(_) => o.into(),
        })
        .collect();
    let y = patch.add(op.clone(), &operands);
    for (reader, _) in readers {
        patch.replace(result(reader), y);
        patch.erase(reader);
    }
    patch.erase(x.node);
    Some(patch)
}

/// Whether row `t` of the only result depends on row `t` of each operand value and on nothing else.
fn works_by_rows(op: &Op) -> bool {
    match op {
        Op::Matmul {}
        | Op::EhProj {}
        | Op::Rmsnorm { .. }
        | Op::L2norm { .. }
        | Op::Silu {}
        | Op::Sigmoid {}
        | Op::Softplus {}
        | Op::Softmax {}
        | Op::Add {}
        | Op::Mul {}
        | Op::Div {}
        | Op::ClampMin { .. }
        | Op::RowSum {}
        | Op::Concat { .. }
        | Op::Reshape { .. }
        | Op::ExpertSum {} => true,
        Op::Embed {}
        | Op::Quantize { .. }
        | Op::Rope { .. }
        | Op::KvStore {}
        | Op::Attention { .. }
        | Op::CausalConv {}
        | Op::GdnScan {}
        | Op::Split { .. }
        | Op::GetRows {}
        | Op::TopkRouter { .. }
        | Op::MoeMatmul {}
        | Op::Project { .. }
        | Op::ProjectSwiglu { .. }
        | Op::MatmulAdd {}
        | Op::ProjectConv { .. }
        | Op::GatedDeltaNet { .. }
        | Op::MoeSwiglu { .. }
        | Op::MoeSum { .. }
        | Op::ProjectKv { .. }
        | Op::GatedAttention { .. } => false,
    }
}
