//! The closed set of ops, one definition each: mnemonic, operands, attributes, doc.
//!
//! The token axis is always the first. `T` tokens, `E` model width, `H` heads, `D` head size.

use smallvec::SmallVec;

use crate::attr::{Attr, AttrValue};
use crate::rope::RopeScaling;
use crate::types::DType;

/// What may stand in an operand slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OperandKind {
    /// A value of the graph.
    Value,
    /// A weight of the module.
    Weight,
    /// A value or a weight.
    ValueOrWeight,
    /// One weight or more, behind all other operands.
    Weights,
    /// A state of the module, read and written.
    State,
}

/// Name and kind of an operand slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OperandSpec {
    /// The operand's name in the documentation and in errors.
    pub name: &'static str,
    /// What may stand there.
    pub kind: OperandKind,
}

/// Name and kind of an attribute.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AttrSpec {
    /// The attribute's name in the textual form.
    pub name: &'static str,
    /// What it holds, in words.
    pub kind: &'static str,
}

/// What is fixed about an op.
#[derive(Clone, Copy, Debug)]
pub struct Signature {
    /// The name in the textual form.
    pub mnemonic: &'static str,
    /// One sentence or more, from the op's doc comment.
    pub doc: &'static str,
    /// Operand slots in order.
    pub operands: &'static [OperandSpec],
    /// Attributes in order.
    pub attrs: &'static [AttrSpec],
}

impl Signature {
    /// What may stand in a slot; `None` behind the last.
    pub fn operand(&self, slot: usize) -> Option<&'static OperandSpec> {
        let repeated = self
            .operands
            .last()
            .filter(|o| o.kind == OperandKind::Weights);
        self.operands.get(slot).or(repeated)
    }
}

/// Why a mnemonic with attributes is no op.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpError {
    /// No op has that name.
    #[error("there is no op `{}`", crate::plain::Plain(.0))]
    Unknown(String),
    /// The op needs an attribute that is not there, or is of another kind.
    #[error("`{op}` needs the attribute `{attr}` ({expected})")]
    Attr {
        /// Mnemonic.
        op: &'static str,
        /// Attribute name.
        attr: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// The op has no such attribute.
    #[error("`{op}` has no attribute `{}`", crate::plain::Plain(attr))]
    Stray {
        /// Mnemonic.
        op: &'static str,
        /// Attribute name.
        attr: String,
    },
}

type Attrs = SmallVec<[(&'static str, Attr); 4]>;

macro_rules! ops {
    ($(
        $(#[doc = $doc:literal])+
        $Name:ident = $mnemonic:literal ( $($operand:ident : $kind:ident),* ) { $($attr:ident : $ty:ty),* }
    )*) => {
        /// An operation with its attributes.
        #[derive(Clone, PartialEq, Debug)]
        #[allow(missing_docs)]
        pub enum Op {
            $( $(#[doc = $doc])+ $Name { $($attr: $ty),* }, )*
        }

        impl Op {
            /// Every op's signature, in the order of their definition.
            pub const SIGNATURES: &'static [Signature] = &[
                $( Signature {
                    mnemonic: $mnemonic,
                    doc: concat!($($doc),+),
                    operands: &[$( OperandSpec { name: stringify!($operand), kind: OperandKind::$kind } ),*],
                    attrs: &[$( AttrSpec { name: stringify!($attr), kind: <$ty as AttrValue>::KIND } ),*],
                }, )*
            ];

            /// The op's fixed part.
            pub fn signature(&self) -> &'static Signature {
                #[allow(non_camel_case_types)]
                #[derive(Clone, Copy)]
                enum Index { $($Name),* }
                match self { $( Op::$Name { .. } => &Op::SIGNATURES[Index::$Name as usize], )* }
            }

            /// The attributes in the order of their definition.
            pub fn attrs(&self) -> Attrs {
                match self {
                    $( Op::$Name { $($attr),* } => {
                        #[allow(unused_mut)]
                        let mut attrs = Attrs::new();
                        $( attrs.extend($attr.to_attr().map(|a| (stringify!($attr), a))); )*
                        attrs
                    } )*
                }
            }

            /// The op of that mnemonic with these attributes.
            pub fn from_parts(mnemonic: &str, attrs: &[(String, Attr)]) -> Result<Op, OpError> {
                match mnemonic {
                    $( $mnemonic => {
                        const KNOWN: &[&str] = &[$( stringify!($attr) ),*];
                        if let Some((name, _)) = attrs.iter().find(|(n, _)| !KNOWN.contains(&n.as_str())) {
                            return Err(OpError::Stray { op: $mnemonic, attr: name.clone() });
                        }
                        Ok(Op::$Name { $( $attr: take::<$ty>($mnemonic, stringify!($attr), attrs)? ),* })
                    } )*
                    other => Err(OpError::Unknown(other.to_string())),
                }
            }
        }
    };
}

fn take<A: AttrValue>(
    op: &'static str,
    attr: &'static str,
    attrs: &[(String, Attr)],
) -> Result<A, OpError> {
    let found = attrs.iter().find(|(n, _)| n == attr);
    A::from_attr(found.map(|(_, a)| a)).ok_or(OpError::Attr {
        op,
        attr,
        expected: A::KIND,
    })
}

ops! {
    /// Rows of an embedding table: `i32[T] , [V, E] -> f32[T, E]`.
    Embed = "embed" (ids: Value, table: Weight) {}
    /// `y = x · Wᵀ`: `[.., K], [N, K] -> f32[.., N]`. With a quantised weight the activation is
    /// rounded to the weight's activation type first.
    Matmul = "matmul" (x: Value, weight: Weight) {}
    /// The MTP head's projection of `[embedding ‖ hidden]` back to the model width; a matmul by
    /// arithmetic, an op of its own so that the wiring of the head can be seen.
    EhProj = "eh_proj" (x: Value, weight: Weight) {}
    /// Rounds f32 rows to an activation format, as ggml does before an integer dot product.
    Quantize = "quantize" (x: Value) { to: DType }
    /// `(x / √(mean(x²) + eps)) · w` over the last dimension.
    Rmsnorm = "rmsnorm" (x: Value, weight: Weight) { eps: f32 }
    /// `x / √(Σx² + eps)` over the last dimension.
    L2norm = "l2norm" (x: Value) { eps: f32 }
    /// Rotary position embedding, NeoX pairs `(i, i + n_rot/2)`, on the first `n_rot` elements of
    /// each head, their angles scaled or not: `f32[T, H, D], i32[T] -> f32[T, H, D]`.
    Rope = "rope" (x: Value, pos: Value) { n_rot: u32, freq_base: f32, scaling: RopeScaling }
    /// Writes keys and values of a run into the cache: `f32[T, H, D]` twice, `i32[T]`.
    KvStore = "kv_store" (k: Value, v: Value, pos: Value, cache: State) {}
    /// Causal softmax attention over the cache up to each token's position:
    /// `f32[T, H, D], i32[T] -> f32[T, H, D]`; query head `h` reads kv head `h / (H / H_kv)`.
    Attention = "attention" (q: Value, pos: Value, cache: State) { scale: f32 }
    /// Depthwise causal convolution over time: `f32[T, C], f32[C, K] -> f32[T, C]`; the last tap
    /// meets the newest token, the state holds the last `K-1` inputs.
    CausalConv = "causal_conv" (x: Value, weight: Weight, window: State) {}
    /// Gated delta rule, token after token:
    /// `S ← S·exp(g); d = beta·(v − Sᵀk); S ← S + k dᵀ; o = Sᵀq / √D`.
    /// `q, k: f32[T, Hk, D]`, `v: f32[T, Hv, D]`, `g, beta: f32[T, Hv] -> f32[T, Hv, D]`;
    /// v-head `h` uses k-head `h mod Hk`. The state holds `S` by v-head and value column, each
    /// column's D elements over k contiguous.
    GdnScan = "gdn_scan" (q: Value, k: Value, v: Value, g: Value, beta: Value, matrix: State) {}
    /// `x / (1 + exp(−x))`.
    Silu = "silu" (x: Value) {}
    /// `1 / (1 + exp(−x))`.
    Sigmoid = "sigmoid" (x: Value) {}
    /// `log(1 + exp(x))`, the identity above 20.
    Softplus = "softplus" (x: Value) {}
    /// Softmax over the last dimension.
    Softmax = "softmax" (x: Value) {}
    /// Elementwise sum; `b` is broadcast onto `a`.
    Add = "add" (a: Value, b: ValueOrWeight) {}
    /// Elementwise product; `b` is broadcast onto `a`.
    Mul = "mul" (a: Value, b: ValueOrWeight) {}
    /// Elementwise quotient; `b` is broadcast onto `a`.
    Div = "div" (a: Value, b: Value) {}
    /// `max(x, min)`.
    ClampMin = "clamp_min" (x: Value) { min: f32 }
    /// `x · by`.
    Scale = "scale" (x: Value) { by: f32 }
    /// Sum over the last dimension, which becomes 1.
    RowSum = "row_sum" (x: Value) {}
    /// Joins two tensors along an axis, `a` first.
    Concat = "concat" (a: Value, b: Value) { axis: u32 }
    /// Parts of a tensor along an axis, one result per size.
    Split = "split" (x: Value) { axis: u32, sizes: SmallVec<[u32; 4]> }
    /// The same elements with other dimensions after the token axis.
    Reshape = "reshape" (x: Value) { dims: SmallVec<[u32; 4]> }
    /// Chosen rows of the token axis, of any element type: `[T, ..], i32[R] -> [R, ..]`.
    GetRows = "get_rows" (x: Value, rows: Value) {}
    /// The `k` best experts of each token and their probabilities, best first, the lower index on
    /// a tie: `f32[T, X] -> i32[T, k], f32[T, k]`.
    TopkRouter = "topk_router" (probs: Value) { k: u32 }
    /// Each token times the weights of its experts:
    /// `[T, K]` or `[T, k, K]`, `i32[T, k]`, `[X, N, K] -> f32[T, k, N]`.
    MoeMatmul = "moe_matmul" (x: Value, experts: Value, weight: Weight) {}
    /// What a table says of each token's experts: `i32[T, k], f32[X, N] -> f32[T, k, N]`, or one
    /// value of each: `f32[X] -> f32[T, k, 1]`.
    ExpertRows = "expert_rows" (experts: Value, table: Weight) {}
    /// Sum over a token's experts in their order: `f32[T, k, E] -> f32[T, E]`.
    ExpertSum = "expert_sum" (x: Value) {}

    /// Products of one input with several weights, for each of which it is rounded to the weight's
    /// activation type; with `norm_eps` of its RMS norm, whose weight comes first:
    /// `f32[.., K], (f32[K]), [N, K].. -> f32[.., N]..`.
    Project = "project" (x: Value, weights: Weights) { norm_eps: Option<f32> }
    /// `silu(x · Gᵀ) · (x · Uᵀ)`, rounded to an activation format; input and norm as for `project`:
    /// `f32[.., K], (f32[K]), [N, K], [N, K] -> [.., N]`.
    ProjectSwiglu = "project_swiglu" (x: Value, weights: Weights) { norm_eps: Option<f32>, to: DType }
    /// `residual + x · Wᵀ`: `[.., K], [N, K], f32[.., N] -> f32[.., N]`.
    MatmulAdd = "matmul_add" (x: Value, weight: Weight, residual: Value) {}
    /// SiLU of the causal convolution of a projection; input and norm as for `project`, then the
    /// projection's weight and the convolution's: `f32[T, K], (f32[K]), [C, K], f32[C, taps] ->
    /// f32[T, C]`.
    ProjectConv = "project_conv" (x: Value, window: State, weights: Weights) { norm_eps: Option<f32> }
    /// `gdn_scan` of what a DeltaNet block's projections and convolution give, then an RMS norm by
    /// heads, times `silu(z)`, rounded to an activation format. Of `u` q and k are L2-normed;
    /// `g = softplus(alpha + dt) · a`; beta goes through a sigmoid:
    /// `f32[T, 2·Hk·D + Hv·D], f32[T, Hv·D], f32[T, Hv], f32[T, Hv], f32[Hv], f32[Hv], f32[D] ->
    /// [T, Hv·D]`.
    GatedDeltaNet = "gated_delta_net" (u: Value, z: Value, alpha: Value, beta: Value, matrix: State, dt: Weight, a: Weight, norm: Weight) { l2_eps: f32, eps: f32, to: DType }
    /// The `k` experts of each token with the largest softmax of the router's logits, best first:
    /// the SwiGLU of each, rounded to an activation format. Input and norm as for `project`, then
    /// the experts' weights of gate and up, or of both as one tensor, gate first:
    /// `f32[T, K], f32[T, X], (f32[K]), [X, N, K], [X, N, K] -> [T, k, N]`.
    MoeSwiglu = "moe_swiglu" (x: Value, logits: Value, weights: Weights) { norm_eps: Option<f32>, k: u32, to: DType }
    /// `residual + (Σ pⱼ / max(Σ p, min) · xⱼ · Wⱼᵀ + shared · sigmoid(gate))` over a token's
    /// experts, chosen as in `moe_swiglu`, in their order, with the probabilities `p`:
    /// `[T, k, N], f32[T, X], f32[T, E], f32[T, 1], f32[T, E], [X, E, N] -> f32[T, E]`.
    MoeSum = "moe_sum" (x: Value, logits: Value, shared: Value, gate: Value, residual: Value, weight: Weight) { min: f32 }
    /// Projects keys and values, norms and rotates the keys by heads, and writes both into the
    /// cache. Input and norm as for `project`, then the weights of keys and of values and the
    /// keys' norm: `f32[T, K], i32[T], (f32[K]), [H·D, K], [H·D, K], f32[D]`.
    ProjectKv = "project_kv" (x: Value, pos: Value, cache: State, weights: Weights) { norm_eps: Option<f32>, eps: f32, n_rot: u32, freq_base: f32, scaling: RopeScaling }
    /// `attention` of normed and rotated queries, times the sigmoid of a gate, rounded to an
    /// activation format; each head's gate stands behind its query:
    /// `f32[T, H·2·D], i32[T], f32[D] -> [T, H·D]`.
    GatedAttention = "gated_attention" (q: Value, pos: Value, cache: State, norm: Weight) { eps: f32, n_rot: u32, freq_base: f32, scaling: RopeScaling, scale: f32, to: DType }
}

impl Op {
    /// The name in the textual form.
    pub fn mnemonic(&self) -> &'static str {
        self.signature().mnemonic
    }

    /// The operand slot that names a state, for ops that read or write one.
    pub fn state_slot(&self) -> Option<usize> {
        let operands = self.signature().operands;
        operands.iter().position(|o| o.kind == OperandKind::State)
    }
}
