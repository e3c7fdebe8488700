//! What works on single columns of a product goes into the product.
//!
//! Looks for `silu(x · Gᵀ) · (x · Uᵀ)` with the rounding of the result, if nothing but that reads it,
//! for `silu(by · (x · Wᵀ))` likewise, and for `residual + x · Wᵀ`. A chunk of a product is a range
//! of columns, and these ops need no other columns, so they follow in the same chunk with the same
//! arithmetic; the two products of SwiGLU must take their input in one format, so that it is prepared
//! once. What lies between is no longer a value: a result that anything else reads, or that is an
//! output, keeps its op.

use sharpi_ir::{DType, Epilogue, Graph, NodeId, Op, Patch, Symbols, slot};

use crate::pass::{Context, Pass, PassError, Stats};
use crate::pattern::{Product, erase_with_roundings, feeder, only_user, result, value};
use crate::rewrite::{Rule, rewrite};

/// Fuses SwiGLU, residual sums and roundings into products.
pub struct FuseEpilogue;

const RULES: &[Rule] = &[
    Rule {
        name: "swiglu-of-products",
        find: swiglu_of_products,
    },
    Rule {
        name: "scaled-silu-of-product",
        find: scaled_silu_of_product,
    },
    Rule {
        name: "add-to-product",
        find: add_to_product,
    },
];

impl Pass for FuseEpilogue {
    fn name(&self) -> &'static str {
        "fuse-epilogue"
    }

    fn doc(&self) -> &'static str {
        "takes SwiGLU, scaled SiLU, their rounding and residual sums into the products that feed them"
    }

    fn run(&self, graph: &mut Graph, context: &mut Context<'_>) -> Result<Stats, PassError> {
        rewrite(graph, context, RULES)
    }
}

fn swiglu_of_products(graph: &Graph, node: NodeId, symbols: &Symbols) -> Option<Patch> {
    let Op::Mul {} = graph.op(node)? else {
        return None;
    };
    let silu = feeder(graph, node, slot::Mul::a)?;
    let Op::Silu {} = graph.op(silu)? else {
        return None;
    };
    let gate = Product::feeding(graph, silu, slot::Silu::x)?;
    let up = Product::feeding(graph, node, slot::Mul::b)?;
    let same_input = gate.x == up.x && gate.activation(symbols) == up.activation(symbols);
    if !same_input || graph.ty(result(gate.node)) != graph.ty(result(up.node)) {
        return None;
    }
    let (last, to) = rounded(graph, node);
    let mut patch = Patch::new("swiglu-of-products");
    let op = Op::Product {
        norm_eps: None,
        epilogue: Epilogue::Swiglu { to },
    };
    let y = patch.add(op, &[gate.x.into(), gate.weight.into(), up.weight.into()]);
    patch.replace(result(last), y);
    let mut replaced = vec![gate.node, up.node, silu, node, last];
    replaced.dedup();
    erase_with_roundings(graph, &mut patch, &replaced);
    Some(patch)
}

/// The op that rounds what `node` gives, if that is all that is done with it, and the format; else
/// the node itself.
fn rounded(graph: &Graph, node: NodeId) -> (NodeId, DType) {
    let user = only_user(graph, result(node));
    match user.and_then(|user| Some((user, graph.op(user)?))) {
        Some((user, Op::Quantize { to })) => (user, *to),
        Some(_) | None => (node, DType::F32),
    }
}

fn scaled_silu_of_product(graph: &Graph, node: NodeId, _: &Symbols) -> Option<Patch> {
    let Op::Silu {} = graph.op(node)? else {
        return None;
    };
    let scale = feeder(graph, node, slot::Silu::x)?;
    let Op::Scale { by } = *graph.op(scale)? else {
        return None;
    };
    let product = Product::feeding(graph, scale, slot::Scale::x)?;
    let x = value(graph, product.node, slot::Matmul::x)?;
    let (last, to) = rounded(graph, node);
    let mut patch = Patch::new("scaled-silu-of-product");
    let op = Op::Product {
        norm_eps: None,
        epilogue: Epilogue::Silu { by, to },
    };
    let y = patch.add(op, &[x.into(), product.weight.into()]);
    patch.replace(result(last), y);
    let mut replaced = vec![product.node, scale, node, last];
    replaced.dedup();
    replaced.into_iter().for_each(|node| patch.erase(node));
    Some(patch)
}

fn add_to_product(graph: &Graph, node: NodeId, _: &Symbols) -> Option<Patch> {
    let Op::Add {} = graph.op(node)? else {
        return None;
    };
    let (a, b) = (slot::Add::a, slot::Add::b);
    [(b, a), (a, b)].into_iter().find_map(|(added, to)| {
        let product = Product::feeding(graph, node, added)?;
        let residual = value(graph, node, to)?;
        if graph.ty(residual) != graph.ty(result(node)) {
            return None;
        }
        let mut patch = Patch::new("add-to-product");
        let x = value(graph, product.node, slot::Matmul::x)?;
        let op = Op::Product {
            norm_eps: None,
            epilogue: Epilogue::Add,
        };
        let y = patch.add(op, &[x.into(), residual.into(), product.weight.into()]);
        patch.replace(result(node), y);
        patch.erase(product.node);
        patch.erase(node);
        Some(patch)
    })
}
