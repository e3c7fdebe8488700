//! The closed set of ops, one definition each: mnemonic, operands, attributes, doc.
//!
//! The token axis is always the first. `T` tokens, `E` model width, `H` heads, `D` head size.

use smallvec::SmallVec;

use crate::attr::{Attr, AttrValue};
use crate::epilogue::{
    Bias, Epilogue, Gating, KeyHeads, Onto, OutputGate, ScanGate, SharedExpert, Sums,
};
use crate::ngram::NgramHash;
use crate::parts::Parts;
use crate::rope::RopeScaling;
use crate::signature::{AttrSpec, Facts, OperandKind, OperandSpec, Signature, SlotName};
use crate::types::DType;

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

/// What stands for a block of positions where none is chosen.
pub const NO_BLOCK: i32 = i32::MAX - 1;

type Attrs = SmallVec<[(&'static str, Attr); 4]>;

macro_rules! ops {
    ($(
        $(#[doc = $doc:literal])+
        $Name:ident = $mnemonic:literal
            ( $($operand:ident : $kind:ident $(if $there:expr)?),* ) { $($attr:ident : $ty:ty),* }
            [$( $fact:ident $(( $($of:ident),* ))? ),*]
    )*) => {
        /// The operands of each op by their names, so that nobody has to count slots.
        pub mod slot {
            $(
                #[doc = concat!("Operands of `", $mnemonic, "`.")]
                #[allow(non_snake_case, non_upper_case_globals, missing_docs)]
                pub mod $Name {
                    use crate::signature::SlotName;
                    #[allow(non_camel_case_types)]
                    enum Index { $($operand),* }
                    $( pub const $operand: SlotName = SlotName::of(Index::$operand as usize); )*
                }
            )*
        }

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
                    facts: Facts::of_op()$( .$fact($($( slot::$Name::$of ),*)?) )*,
                }, )*
            ];

            /// The op's fixed part.
            pub fn signature(&self) -> &'static Signature {
                #[allow(non_camel_case_types)]
                #[derive(Clone, Copy)]
                enum Index { $($Name),* }
                match self { $( Op::$Name { .. } => &Op::SIGNATURES[Index::$Name as usize], )* }
            }

            /// Which of the declared operands an op with these attributes has: bit `i` is the `i`-th.
            #[allow(unused_variables)]
            fn present(&self) -> u32 {
                match self {
                    $( Op::$Name { $($attr),* } => {
                        0 $( | u32::from(true $(&& $there)?) << slot::$Name::$operand.index )*
                    } )*
                }
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
    /// Rows of an embedding table: `index<V>[T], [V, E] -> f32[T, E]`, or several for each token:
    /// `index<V>[T, k] -> f32[T, k, E]`.
    Embed = "embed" (ids: Value, table: Weight) {} [imported]
    /// `y = x · Wᵀ`: `[.., K], [N, K] -> f32[.., N]`. With a quantised weight the activation is
    /// rounded to the weight's activation type first.
    Matmul = "matmul" (x: Value, weight: Matrix) {} [imported, product(x, weight)]
    /// The MTP head's projection of `[embedding ‖ hidden]` back to the model width; a matmul by
    /// arithmetic, an op of its own so that the wiring of the head can be seen.
    EhProj = "eh_proj" (x: Value, weight: Matrix) {} [imported, product(x, weight)]
    /// Rounds f32 rows to an activation format, as ggml does before an integer dot product.
    Quantize = "quantize" (x: Value) { to: DType } []
    /// `(x / √(mean(x²) + eps)) · w` over the last dimension; each row has one weight, `f32[D]`, or
    /// each of a token's rows its own, `f32[S, D]` for `f32[T, S, D]`.
    Rmsnorm = "rmsnorm" (x: Value, weight: Weight) { eps: f32 } [imported]
    /// `x / √(Σx² + eps)` over the last dimension.
    L2norm = "l2norm" (x: Value) { eps: f32 } [imported]
    /// Rotary position embedding, pairs `(i, i + n_rot/2)` as in NeoX or neighbours, of the first
    /// `n_rot` elements of each head, their angles scaled or not:
    /// `f32[T, H, D], position[T] -> f32[T, H, D]`.
    Rope = "rope" (x: Value, pos: Value) { n_rot: u32, freq_base: f32, scaling: RopeScaling } [imported]
    /// Writes keys and values of a run into the cache: `f32[T, H, D]` twice, `position[T]`.
    KvStore = "kv_store" (k: Value, v: Value, pos: Value, cache: Cache) {} [imported]
    /// Causal softmax attention over the cache up to each token's position:
    /// `f32[T, H, D], position[T] -> f32[T, H, D]`; query head `h` reads kv head `h / (H / H_kv)`.
    /// With `pool` a token sees of the blocks of so many positions that are complete only those that
    /// it has chosen, `index<most>[T, k]` as of `choose_blocks`, and what is behind them.
    Attention = "attention" (
        q: Value,
        pos: Value,
        cache: Cache,
        blocks: Value if pool.is_some()
    ) { scale: f32, pool: Option<u32> } [imported]
    /// Writes keys of an indexer into a cache of one head, `f32[T, D], position[T], f32[D]`: as they
    /// are among its keys; and where a token completes a block of `pool` positions from 0 on, at its
    /// position among the values the block's pooled key: the mean of its keys as the cache holds
    /// them, normed, and turned as at the block's first position.
    PoolKeys = "pool_keys" (k: Value, pos: Value, cache: Cache, norm: Weight) { pool: u32, eps: f32, n_rot: u32, freq_base: f32, scaling: RopeScaling } [imported]
    /// The `most` complete blocks of `pool` positions whose pooled keys have most to do with each
    /// token, in their order: `f32[T, H·D], position[T], f32[D] -> index<2147483647>[T, most]`, at the
    /// end 2147483646 where there are fewer. Queries are normed by heads and turned; the measure is
    /// `Σ max(q·k, 0) / √D` over the heads. Of equal ones those are chosen that a heap of `most`
    /// leaves, which takes all in order and gives up its least for each that is more.
    ChooseBlocks = "choose_blocks" (q: Value, pos: Value, cache: Cache, norm: Weight) { pool: u32, most: u32, eps: f32, n_rot: u32, freq_base: f32, scaling: RopeScaling } [imported]
    /// Depthwise causal convolution over time: `f32[T, C], f32[C, K] -> f32[T, C]`; the last tap
    /// meets the newest token, the state holds the last `K-1` inputs.
    CausalConv = "causal_conv" (x: Value, weight: Weight, window: State) {} [imported, logs(x)]
    /// As `causal_conv`, but taps meet inputs that lie `dilation` tokens apart, and products are
    /// rounded before they are added: `f32[T, C], [C, K] -> f32[T, C]`; the state holds the last
    /// `(K-1) · dilation` inputs.
    DilatedConv = "dilated_conv" (x: Value, weight: Weight, window: State) { dilation: u32 } [imported, logs(x)]
    /// For each token the rows of a table that n-grams of it and the tokens before it are hashed to:
    /// `index<V>[T] -> index<rows>[T, heads]`. The state holds the tokens before, the oldest first,
    /// each plus one, and 0 where there is none.
    NgramRows = "ngram_rows" (ids: Value, window: State) { hash: NgramHash } [imported, logs(ids)]
    /// Gated delta rule, token after token:
    /// `S ← S·exp(g); d = beta·(v − Sᵀk); S ← S + k dᵀ; o = Sᵀq / √D`.
    /// `q, k: f32[T, Hk, D]`, `v: f32[T, Hv, D]`, `g, beta: f32[T, Hv] -> f32[T, Hv, D]`;
    /// `keys` says which k-head v-head `h` uses: `h mod Hk` or `h / (Hv / Hk)`. The state holds `S` by v-head and value column, each
    /// column's D elements over k contiguous.
    GdnScan = "gdn_scan" (q: Value, k: Value, v: Value, g: Value, beta: Value, matrix: State) { keys: KeyHeads } [imported, logs(v), logs_twice(k), logs_twice(g)]
    /// `x / (1 + exp(−x))`.
    Silu = "silu" (x: Value) {} [imported]
    /// `1 / (1 + exp(−x))`.
    Sigmoid = "sigmoid" (x: Value) {} [imported]
    /// `log(1 + exp(x))`, the identity above 20.
    Softplus = "softplus" (x: Value) {} [imported]
    /// Softmax over the last dimension.
    Softmax = "softmax" (x: Value) {} [imported]
    /// `√max(|x|, min)` with the sign of x, 0 for 0.
    SignedSqrt = "signed_sqrt" (x: Value) { min: f32 } [imported]
    /// Elementwise sum; `b` is broadcast onto `a`.
    Add = "add" (a: Value, b: ValueOrWeight) {} [imported]
    /// Elementwise product; `b` is broadcast onto `a`.
    Mul = "mul" (a: Value, b: ValueOrWeight) {} [imported]
    /// Elementwise quotient; `b` is broadcast onto `a`.
    Div = "div" (a: Value, b: Value) {} [imported]
    /// `max(x, min)`.
    ClampMin = "clamp_min" (x: Value) { min: f32 } [imported]
    /// `x · by`.
    Scale = "scale" (x: Value) { by: f32 } [imported]
    /// Sum over the last dimension, which becomes 1.
    RowSum = "row_sum" (x: Value) {} [imported]
    /// Joins two tensors along an axis, `a` first.
    Concat = "concat" (a: Value, b: Value) { axis: u32 } [imported]
    /// Parts of a tensor along an axis, one result per size.
    Split = "split" (x: Value) { axis: u32, sizes: SmallVec<[u32; 4]> } [imported]
    /// The same elements with other dimensions after the token axis.
    Reshape = "reshape" (x: Value) { dims: SmallVec<[u32; 4]> } [imported, view]
    /// Chosen rows of the token axis, of any element type: `[T, ..], index<T>[R] -> [R, ..]`.
    GetRows = "get_rows" (x: Value, rows: Value) {} [imported]
    /// The `k` best experts of each token and their probabilities, best first, the lower index on
    /// a tie; with a bias those of which the sum with it is best:
    /// `f32[T, X], (f32[X]) -> index<X>[T, k], f32[T, k]`.
    TopkRouter = "topk_router" (probs: Value, bias: Weight if *biased == Bias::Added) { k: u32, biased: Bias } [imported]
    /// Each token times the weights of its experts:
    /// `[T, K]` or `[T, k, K]`, `index<X>[T, k]`, `[X, N, K] -> f32[T, k, N]`.
    MoeMatmul = "moe_matmul" (x: Value, experts: Value, weight: Matrix) {} [imported, product(x, weight)]
    /// What a table says of each token's experts: `index<X>[T, k], f32[X, N] -> f32[T, k, N]`, or
    /// one value of each: `f32[X] -> f32[T, k, 1]`.
    ExpertRows = "expert_rows" (experts: Value, table: Weight) {} [imported]
    /// Sum over a token's experts in their order: `f32[T, k, E] -> f32[T, E]`.
    ExpertSum = "expert_sum" (x: Value) {} [imported]
    /// The first of the residual streams that blocks read and add to in parallel: `count` times the
    /// same, `f32[T, E] -> f32[T, S, E]`.
    Streams = "streams" (x: Value) { count: u32 } [imported]
    /// The mean over a token's streams, each times the sigmoid of a gate for every element, first to
    /// last: `f32[T, S, E]` twice `-> f32[T, E]`.
    StreamMix = "stream_mix" (x: Value, gate: Value) { sums: Sums } [imported]
    /// Each of a token's streams with what a block adds to it, `x · 2 sigmoid(inject / S)`, rounded
    /// once: `f32[T, S, E], f32[T, E], f32[T, S] -> f32[T, S, E]`.
    StreamAdd = "stream_add" (streams: Value, x: Value, inject: Value) {} [imported, in_place(streams)]

    /// Of a value whose indices along an axis are divided among ranks the whole, on every rank, each
    /// of which runs the same op: rank `rank` gives the indices `parts[rank]`, `[T, .., N of the
    /// rank, ..] -> [T, .., N, ..]`. What several ranks have comes from the first of them. Of
    /// rounded rows the parts are whole blocks.
    AllGather = "all_gather" (x: Value) { axis: u32, rank: u32, parts: Parts } []

    /// Products of one input with one weight or several, for each of which it is rounded to the
    /// weight's activation type, unless it comes so; with `norm_eps` of its RMS norm. An epilogue
    /// works on them before they are written; without one each is a result:
    /// `f32[.., K], (f32[K]), [N, K].. -> f32[.., N]..`. `swiglu` takes the products with two
    /// weights: `-> [.., N]`. `add` takes a residual: `f32[.., N] -> f32[.., N]`. `silu` scales
    /// before and rounds behind: `-> [.., N]`. `conv_silu` takes
    /// the convolution's window and weight: `f32[C, taps] -> f32[T, C]`. `store` takes
    /// `position[T]`, a cache, biases of keys and of values, `f32[N]`, if there are any, with
    /// `norm_eps` of its own the keys' norm, `f32[D]`, and the weights of keys and of values.
    Product = "product" (
        x: Value,
        norm: Weight if norm_eps.is_some(),
        residual: Value if epilogue.adds(),
        window: State if epilogue.convolves(),
        kernel: Weight if epilogue.convolves(),
        pos: Value if epilogue.stores(),
        cache: Cache if epilogue.stores(),
        key_bias: Weight if epilogue.biases(),
        value_bias: Weight if epilogue.biases(),
        key_norm: Weight if epilogue.norms_keys(),
        weights: Matrices
    ) { norm_eps: Option<f32>, epilogue: Epilogue } [in_place(residual), logs_result]
    /// A row for each stream of a token, weighted by how the stream's key and query agree:
    /// `value · sigmoid(signed_sqrt(by · Σ key·query))`: `f32[T, S, E]` twice, `f32[T, E] ->
    /// f32[T, S, E]`; `min` is as of `signed_sqrt`.
    StreamGate = "stream_gate" (key: Value, query: Value, value: Value) { by: f32, min: f32 } []
    /// `streams + (gated + silu(dilated_conv(x)))`: `f32[T, S·E], f32[T, S, E]` twice `->
    /// f32[T, S, E]`.
    StreamConv = "stream_conv" (x: Value, streams: Value, gated: Value, weight: Weight, window: State) { dilation: u32 } [logs(x)]
    /// `gdn_scan` of what a DeltaNet block's projections and convolution give, then an RMS norm by
    /// heads, times `silu(z)` or `sigmoid(z)`, rounded to an activation format. Of `u` q and k are L2-normed;
    /// `keys` is as of `gdn_scan`, `g = softplus(alpha + dt) · a`; beta goes through a sigmoid:
    /// `f32[T, 2·Hk·D + Hv·D], f32[T, Hv·D], f32[T, Hv], f32[T, Hv], f32[Hv], f32[Hv], f32[D] ->
    /// [T, Hv·D]`.
    GatedDeltaNet = "gated_delta_net" (u: Value, z: Value, alpha: Value, beta: Value, matrix: State, dt: Weight, a: Weight, norm: Weight) { keys: KeyHeads, gate: ScanGate, l2_eps: f32, eps: f32, to: DType } [logs(u), logs_twice(alpha)]
    /// The `k` experts of each token with the largest softmax or sigmoid of the router's logits, or
    /// sum of that and a bias, best first: the SwiGLU of each, rounded to an activation format. Input
    /// and norm as for `product`, then the experts' weights of gate and up, or of both as one tensor,
    /// gate first: `f32[T, K], (f32[K]), f32[T, X], (f32[X]), [X, N, K], [X, N, K] -> [T, k, N]`.
    MoeSwiglu = "moe_swiglu" (
        x: Value,
        norm: Weight if norm_eps.is_some(),
        logits: Value,
        bias: Weight if *biased == Bias::Added,
        weights: Matrices
    ) { norm_eps: Option<f32>, k: u32, gating: Gating, biased: Bias, to: DType } []
    /// `residual + (Σ wⱼ · xⱼ · Wⱼᵀ + shared · sigmoid(gate))` over a token's experts, chosen as in
    /// `moe_swiglu`, in their order. Their weights `w` are the probabilities `p`, with `min`
    /// divided by `max(Σ p, min)`, then times `scale`. There may be no shared expert, or one without
    /// a gate, and no residual: `[T, k, N], f32[T, X], (f32[X]), (f32[T, E]), (f32[T, 1]), (f32[T, E]),
    /// [X, E, N] -> f32[T, E]`.
    MoeSum = "moe_sum" (
        x: Value,
        logits: Value,
        bias: Weight if *biased == Bias::Added,
        shared: Value if *shared != SharedExpert::None,
        gate: Value if *shared == SharedExpert::Gated,
        residual: Value if *onto == Onto::Residual,
        weight: Matrix
    ) { gating: Gating, biased: Bias, min: Option<f32>, scale: Option<f32>, shared: SharedExpert, onto: Onto } [product(x, weight), in_place(residual)]
    /// `attention` of queries that it rotates, unless `n_rot` is 0, with `norm_eps` normed by heads
    /// before and, if there is one, with a bias before that, `f32[H·D]`; rounds the result to an
    /// activation format. With a gate, each head's stands behind its query:
    /// `f32[T, H·2·D], position[T], (f32[D]) -> [T, H·D]`; else `f32[T, H·D] -> [T, H·D]`. Blocks and
    /// `pool` are as of `attention`.
    RopeAttention = "rope_attention" (
        q: Value,
        pos: Value,
        cache: Cache,
        blocks: Value if pool.is_some(),
        bias: Weight if *biased == Bias::Added,
        norm: Weight if norm_eps.is_some()
    ) {
        biased: Bias,
        norm_eps: Option<f32>,
        n_rot: u32,
        freq_base: f32,
        scaling: RopeScaling,
        scale: f32,
        gate: OutputGate,
        to: DType,
        pool: Option<u32>
    } []
}

impl Op {
    /// The name in the textual form.
    pub fn mnemonic(&self) -> &'static str {
        self.signature().mnemonic
    }

    /// What is true of it beyond its operands and types.
    pub fn facts(&self) -> &'static Facts {
        &self.signature().facts
    }

    /// The operands that it has, in slot order.
    pub fn operands(&self) -> impl Iterator<Item = &'static OperandSpec> + '_ {
        let (present, declared) = (self.present(), self.signature().operands.iter());
        let has = move |index: usize| present >> index & 1 == 1;
        declared
            .enumerate()
            .filter_map(move |(index, spec)| has(index).then_some(spec))
    }

    /// What may stand in a slot; `None` behind the last.
    pub fn operand(&self, slot: usize) -> Option<&'static OperandSpec> {
        let repeated = |o: &&OperandSpec| o.kind == OperandKind::Matrices;
        (self.operands().nth(slot)).or(self.signature().operands.last().filter(repeated))
    }

    /// The slot in which a named operand stands; `None` if it has no such operand. The name is one of
    /// this op: another's means whatever is declared in the same place.
    pub fn slot(&self, name: SlotName) -> Option<usize> {
        let (present, bit) = (self.present(), 1u32 << name.index);
        let before = (present & (bit - 1)).count_ones() as usize;
        (present & bit != 0).then_some(before + name.nth)
    }

    /// The operand slot that names a state, for ops that read or write one.
    pub fn state_slot(&self) -> Option<usize> {
        self.operands().position(|o| o.kind.is_state())
    }

    /// Whether it works on a recurrent state, and so logs what it does to it.
    pub fn is_recurrent(&self) -> bool {
        self.operands().any(|o| o.kind == OperandKind::State)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_op_on_a_recurrent_state_says_what_it_logs() {
        for op in Op::SIGNATURES {
            let recurrent = op.operands.iter().any(|o| o.kind == OperandKind::State);
            assert_eq!(recurrent, op.facts.logs_rows(), "{}", op.mnemonic);
        }
    }

    #[test]
    fn operands_stand_where_the_attributes_put_them() {
        use slot::Product::{norm, pos, residual, weights, x};
        let slots = |op: &Op| [x, norm, residual, pos, weights].map(|name| op.slot(name));
        let mut op = Op::Product {
            norm_eps: None,
            epilogue: Epilogue::Add,
        };
        assert_eq!(slots(&op), [Some(0), None, Some(1), None, Some(2)]);
        assert_eq!(op.operand(5).map(|o| o.name), Some("weights"));
        op = Op::Product {
            norm_eps: Some(1e-6),
            epilogue: Epilogue::None,
        };
        assert_eq!(slots(&op), [Some(0), Some(1), None, None, Some(2)]);
        assert_eq!(op.slot(weights.nth(3)), Some(5));
    }

    #[test]
    fn a_product_multiplies_a_matrix() {
        for op in Op::SIGNATURES {
            let weight = op.facts.product.map(|p| op.operands[p.weight.index].kind);
            assert!(weight.is_none_or(OperandKind::is_matrix), "{}", op.mnemonic);
        }
    }

    #[test]
    fn slots_have_the_names_of_the_operands() {
        let of = |mnemonic: &str| Op::SIGNATURES.iter().find(|s| s.mnemonic == mnemonic);
        let moe_sum = of("moe_sum").expect("an op");
        assert_eq!(
            moe_sum.operands[slot::MoeSum::residual.index].name,
            "residual"
        );
        assert_eq!(moe_sum.facts.in_place, Some(slot::MoeSum::residual));
    }
}
