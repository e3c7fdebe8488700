//! What passes must know of each op beyond its signature; the list an added op has to join.

use sharpi_ir::Op;

/// How the passes of this crate treat an op.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Treatment {
    /// Reads its operands, writes its results.
    Plain,
    /// Its result is its operand's bytes under another type; nothing runs.
    View,
    /// Multiplies operand `x` with the weight in slot `weight`, in the weight's activation type.
    Product {
        /// Slot of the activation.
        x: usize,
        /// Slot of the weight.
        weight: usize,
    },
}

pub(crate) fn treatment(op: &Op) -> Treatment {
    match op {
        Op::Reshape { .. } => Treatment::View,
        Op::Matmul {} | Op::EhProj {} | Op::MatmulAdd {} => Treatment::Product { x: 0, weight: 1 },
        Op::MoeMatmul {} => Treatment::Product { x: 0, weight: 2 },
        Op::MoeSum { .. } => Treatment::Product { x: 0, weight: 5 },
        Op::Embed {}
        | Op::Quantize { .. }
        | Op::Rmsnorm { .. }
        | Op::L2norm { .. }
        | Op::Rope { .. }
        | Op::KvStore {}
        | Op::Attention { .. }
        | Op::CausalConv {}
        | Op::GdnScan {}
        | Op::Silu {}
        | Op::Sigmoid {}
        | Op::Softplus {}
        | Op::Softmax {}
        | Op::Add {}
        | Op::Mul {}
        | Op::Div {}
        | Op::ClampMin { .. }
        | Op::Scale { .. }
        | Op::RowSum {}
        | Op::Concat { .. }
        | Op::Split { .. }
        | Op::GetRows {}
        | Op::TopkRouter { .. }
        | Op::ExpertRows {}
        | Op::ExpertSum {}
        | Op::Project { .. }
        | Op::ProjectSwiglu { .. }
        | Op::ProjectConv { .. }
        | Op::GatedDeltaNet { .. }
        | Op::MoeSwiglu { .. }
        | Op::ProjectKv { .. }
        | Op::GatedAttention { .. } => Treatment::Plain,
    }
}

/// Whether lowering makes the op; all others only passes make.
pub(crate) fn is_primitive(op: &Op) -> bool {
    match op {
        Op::Embed {}
        | Op::Matmul {}
        | Op::EhProj {}
        | Op::Rmsnorm { .. }
        | Op::L2norm { .. }
        | Op::Rope { .. }
        | Op::KvStore {}
        | Op::Attention { .. }
        | Op::CausalConv {}
        | Op::GdnScan {}
        | Op::Silu {}
        | Op::Sigmoid {}
        | Op::Softplus {}
        | Op::Softmax {}
        | Op::Add {}
        | Op::Mul {}
        | Op::Div {}
        | Op::ClampMin { .. }
        | Op::Scale { .. }
        | Op::RowSum {}
        | Op::Concat { .. }
        | Op::Split { .. }
        | Op::Reshape { .. }
        | Op::GetRows {}
        | Op::TopkRouter { .. }
        | Op::MoeMatmul {}
        | Op::ExpertRows {}
        | Op::ExpertSum {} => true,
        Op::Quantize { .. }
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

/// The slot of the operand whose bytes the op's result may take: each chunk reads of it just what
/// it then writes.
pub(crate) fn in_place(op: &Op) -> Option<usize> {
    match op {
        Op::MatmulAdd {} => Some(2),
        Op::MoeSum { .. } => Some(4),
        _ => None,
    }
}
