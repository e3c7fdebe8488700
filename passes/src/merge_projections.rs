//! Products of one input become one op.
//!
//! Looks for several `matmul`s of one f32 value, whatever formats it is rounded to for them, and
//! for a single one of a norm's result. They become one `product`, which rounds the value by
//! itself: every worker once for each format, which is cheap beside a barrier, and the same
//! arithmetic. Weights of one format stand together, so that a worker prepares each format once.
//! `quantize` ops stay only where something else reads them.

use sharpi_ir::{DType, Epilogue, Graph, NodeId, Op, Patch, PatchOperand, Symbols};

use crate::pass::{Context, Pass, PassError, Stats};
use crate::pattern::{Product, erase_with_roundings, products_of, result};
use crate::rewrite::{Rule, rewrite};

/// Makes one op of the products of one input.
pub struct MergeProjections;

const RULES: &[Rule] = &[Rule {
    name: "products-of-one-input",
    find: products_of_one_input,
}];

impl Pass for MergeProjections {
    fn name(&self) -> &'static str {
        "merge-projections"
    }

    fn doc(&self) -> &'static str {
        "makes one op with several results of products that share an input"
    }

    fn run(&self, graph: &mut Graph, context: &mut Context<'_>) -> Result<Stats, PassError> {
        rewrite(graph, context, RULES)
    }
}

fn products_of_one_input(graph: &Graph, node: NodeId, symbols: &Symbols) -> Option<Patch> {
    let x = Product::at(graph, node)?.x;
    // Rows that were rounded before they were chosen are not rounded here.
    if graph.ty(x).dtype != DType::F32 {
        return None;
    }
    let mut products = products_of(graph, x);
    let is_norm = matches!(graph.op(x.node), Some(Op::Rmsnorm { .. }));
    if products.len() < 2 && !is_norm {
        return None;
    }
    products.sort_by_key(|p| p.activation(symbols));
    let mut patch = Patch::new("products-of-one-input");
    let weights = products.iter().map(|p| p.weight.into());
    let operands: Vec<PatchOperand> = std::iter::once(x.into()).chain(weights).collect();
    let op = Op::Product {
        norm_eps: None,
        epilogue: Epilogue::None,
    };
    let added = patch.add(op, &operands);
    for (i, product) in products.iter().enumerate() {
        patch.replace(result(product.node), added.result(i as u16));
    }
    let nodes: Vec<NodeId> = products.iter().map(|p| p.node).collect();
    erase_with_roundings(graph, &mut patch, &nodes);
    Some(patch)
}
