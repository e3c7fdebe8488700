//! Makes the rounding of activations an op of its own.
//!
//! Looks for products (`matmul`, `eh_proj`, `moe_matmul`) of an f32 activation with a weight whose
//! activation type is another. Such a product rounds its activation anyway, by definition and by
//! the same arithmetic, so the `quantize` put before it changes no bit. It leaves one `quantize`
//! per product; [`Cse`](crate::Cse) then makes it once for all products that share an input. The
//! activation of `moe_matmul` is rounded before it is routed: once per token, not once per expert.

use sharpi_ir::{DType, Graph, NodeId, Op, Patch, Symbols, Value};

use crate::pass::{Context, Pass, PassError, Stats};
use crate::pattern::{value, weight};
use crate::rewrite::{Rule, rewrite};

/// Gives every product with a quantised weight an explicitly rounded activation.
pub struct QuantizeActivations;

const RULES: &[Rule] = &[Rule {
    name: "round-before-product",
    find: round_before_product,
}];

impl Pass for QuantizeActivations {
    fn name(&self) -> &'static str {
        "quantize-activations"
    }

    fn doc(&self) -> &'static str {
        "rounds activations in an op of their own, before each product with a quantised weight"
    }

    fn required(&self) -> bool {
        true
    }

    fn run(&self, graph: &mut Graph, context: &mut Context<'_>) -> Result<Stats, PassError> {
        rewrite(graph, context, RULES)
    }
}

fn round_before_product(graph: &Graph, node: NodeId, symbols: &Symbols) -> Option<Patch> {
    let Unrounded { slot, x, to } = unrounded(graph, node, symbols)?;
    let mut patch = Patch::new("round-before-product");
    let rounded = patch.add(Op::Quantize { to }, &[x.into()]);
    patch.set_operand(node, slot, rounded);
    Some(patch)
}

/// An activation that is not of the type in which its product is computed.
pub(crate) struct Unrounded {
    /// The product's slot.
    pub(crate) slot: usize,
    /// The activation.
    pub(crate) x: Value,
    /// The type it is rounded to.
    pub(crate) to: DType,
}

/// The activation of a product that is still to be rounded.
pub(crate) fn unrounded(graph: &Graph, node: NodeId, symbols: &Symbols) -> Option<Unrounded> {
    let op = graph.op(node)?;
    let product = op.facts().product?;
    let x = value(graph, node, product.x)?;
    let weight = weight(graph, node, product.weight)?;
    let to = symbols.weight_of(weight)?.1.ty.dtype.activation()?;
    let slot = op.slot(product.x)?;
    (graph.ty(x).dtype != to).then_some(Unrounded { slot, x, to })
}
