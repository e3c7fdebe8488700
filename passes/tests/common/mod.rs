//! Modules to compile in tests.
#![allow(dead_code)]

use sharpi_ir::{
    Builder, DType, Dim, Graph, KeyHeads, Module, Op, Operand, StateType, Symbol, Symbols,
    TensorType, Value, Weight,
};
use smallvec::SmallVec;

/// Model width and everything else in the models of these tests.
const WIDTH: usize = 256;
const HEADS: usize = 4;
const HEAD: usize = WIDTH / HEADS;

/// A module of one graph `@g`.
pub fn module(build: impl FnOnce(&mut Builder)) -> Module {
    let mut module = Module::new("test");
    let graph = graph(&mut module.symbols, build);
    module.graphs.insert("g".into(), graph);
    module
}

fn graph(symbols: &mut Symbols, build: impl FnOnce(&mut Builder)) -> Graph {
    let mut b = Builder::new(symbols);
    b.bound(Symbol::TOKENS, 1..=8);
    build(&mut b);
    b.finish()
}

/// `f32[T, width]`.
pub fn rows(width: usize) -> TensorType {
    TensorType::new(DType::F32, [Dim::Sym(Symbol::TOKENS), Dim::Fixed(width)])
}

/// An op with one result on values of the right types.
pub fn value(b: &mut Builder, op: Op, operands: &[Operand]) -> Value {
    b.value(op, operands).expect("operands that fit")
}

pub fn weight(b: &mut Builder, name: &str, dtype: DType, dims: &[usize]) -> Operand {
    let ty = TensorType::fixed(dtype, dims);
    let source = name.to_string();
    let id = b.symbols().weight(
        name,
        Weight {
            ty,
            source,
            rows: None,
        },
    );
    id.expect("one meaning for a name").into()
}

pub fn state(b: &mut Builder, name: &str, dims: &[usize]) -> Operand {
    let ty = StateType::Recurrent(TensorType::fixed(DType::F32, dims));
    let id = b.symbols().state(name, ty);
    id.expect("one meaning for a name").into()
}

/// A model of DeltaNet layers, about 40 ops each once its activations are rounded.
pub fn deltanet(layers: usize) -> Module {
    module(|b| {
        let mut x = b.input("x", rows(WIDTH));
        for layer in 0..layers {
            x = deltanet_layer(b, x, &format!("blk.{layer}"));
        }
        b.output("h", x);
    })
}

fn deltanet_layer(b: &mut Builder, x: Value, at: &str) -> Value {
    let normed = norm(b, x, at, "attn_norm");
    let mixed = mixer(b, normed, at);
    let x = value(b, Op::Add {}, &[x.into(), mixed.into()]);
    let normed = norm(b, x, at, "ffn_norm");
    let gate = matmul(b, normed, at, "ffn_gate", 2 * WIDTH, WIDTH);
    let up = matmul(b, normed, at, "ffn_up", 2 * WIDTH, WIDTH);
    let gate = value(b, Op::Silu {}, &[gate.into()]);
    let product = value(b, Op::Mul {}, &[gate.into(), up.into()]);
    let down = matmul(b, product, at, "ffn_down", WIDTH, 2 * WIDTH);
    value(b, Op::Add {}, &[x.into(), down.into()])
}

fn mixer(b: &mut Builder, x: Value, at: &str) -> Value {
    let qkv = matmul(b, x, at, "qkv", 3 * WIDTH, WIDTH);
    let z = matmul(b, x, at, "z", WIDTH, WIDTH);
    let alpha = matmul(b, x, at, "alpha", HEADS, WIDTH);
    let beta = matmul(b, x, at, "beta", HEADS, WIDTH);
    let taps = weight(b, &format!("{at}.conv"), DType::F32, &[3 * WIDTH, 4]);
    let window = state(b, &format!("{at}.window"), &[3, 3 * WIDTH]);
    let conv = value(b, Op::CausalConv {}, &[qkv.into(), taps, window]);
    let conv = value(b, Op::Silu {}, &[conv.into()]);
    let sizes = SmallVec::from_elem(WIDTH as u32, 3);
    let parts = b.op(Op::Split { axis: 1, sizes }, &[conv.into()]);
    let parts = parts.expect("operands that fit");
    let part = |result| Value {
        node: parts,
        result,
    };
    let heads = |b: &mut Builder, v: Value| {
        let dims = SmallVec::from_slice(&[HEADS as u32, HEAD as u32]);
        value(b, Op::Reshape { dims }, &[v.into()])
    };
    let (q, k, v) = (heads(b, part(0)), heads(b, part(1)), heads(b, part(2)));
    let q = value(b, Op::L2norm { eps: 1e-6 }, &[q.into()]);
    let k = value(b, Op::L2norm { eps: 1e-6 }, &[k.into()]);
    let g = value(b, Op::Softplus {}, &[alpha.into()]);
    let beta = value(b, Op::Sigmoid {}, &[beta.into()]);
    let matrix = state(b, &format!("{at}.matrix"), &[HEADS, HEAD, HEAD]);
    let operands = [q.into(), k.into(), v.into(), g.into(), beta.into(), matrix];
    let scan = value(
        b,
        Op::GdnScan {
            keys: KeyHeads::ByTurns,
        },
        &operands,
    );
    let dims = SmallVec::from_slice(&[WIDTH as u32]);
    let scan = value(b, Op::Reshape { dims }, &[scan.into()]);
    let normed = norm(b, scan, at, "ssm_norm");
    let z = value(b, Op::Silu {}, &[z.into()]);
    let gated = value(b, Op::Mul {}, &[normed.into(), z.into()]);
    matmul(b, gated, at, "ssm_out", WIDTH, WIDTH)
}

fn norm(b: &mut Builder, x: Value, at: &str, name: &str) -> Value {
    let w = weight(b, &format!("{at}.{name}"), DType::F32, &[WIDTH]);
    value(b, Op::Rmsnorm { eps: 1e-6 }, &[x.into(), w])
}

fn matmul(b: &mut Builder, x: Value, at: &str, name: &str, n: usize, k: usize) -> Value {
    let w = weight(b, &format!("{at}.{name}"), DType::Q4_K, &[n, k]);
    value(b, Op::Matmul {}, &[x.into(), w])
}

/// How a step of a random graph picks its op and operands: each number modulo what there is.
pub type Picks = (u8, usize, usize);

/// A graph of elementwise ops, views, splits and ops on two shared states.
pub fn random(picks: &[Picks], outputs: &[usize]) -> Module {
    module(|b| {
        let mut flat = vec![b.input("a", rows(64)), b.input("b", rows(64))];
        let mut heads = vec![reshape(b, flat[0], &[2, 32])];
        for &(kind, i, j) in picks {
            let (x, y) = (flat[i % flat.len()], flat[j % flat.len()]);
            let (h, g) = (heads[i % heads.len()], heads[j % heads.len()]);
            match kind % 8 {
                0 => flat.push(value(b, Op::Silu {}, &[x.into()])),
                1 => flat.push(value(b, Op::Add {}, &[x.into(), y.into()])),
                2 => heads.push(reshape(b, x, &[2, 32])),
                3 => flat.push(reshape(b, h, &[64])),
                4 => heads.push(value(b, Op::Mul {}, &[h.into(), g.into()])),
                5 => {
                    let taps = weight(b, "taps", DType::F32, &[64, 4]);
                    let window = state(b, ["one", "other"][j % 2], &[3, 64]);
                    flat.push(value(b, Op::CausalConv {}, &[x.into(), taps, window]));
                }
                6 => {
                    let sizes = SmallVec::from_slice(&[24, 40]);
                    let node = b.op(Op::Split { axis: 1, sizes }, &[x.into()]);
                    let node = node.expect("operands that fit");
                    let part = |result| Operand::Value(Value { node, result });
                    flat.push(value(b, Op::Concat { axis: 1 }, &[part(0), part(1)]));
                }
                _ => {
                    let w = weight(b, "w", DType::Q8_0, &[64, 64]);
                    flat.push(value(b, Op::Matmul {}, &[x.into(), w]));
                }
            }
        }
        for (n, &i) in outputs.iter().enumerate() {
            let all: Vec<Value> = flat.iter().chain(&heads).copied().collect();
            b.output(&format!("y{n}"), all[i % all.len()]);
        }
    })
}

fn reshape(b: &mut Builder, v: Value, dims: &[u32]) -> Value {
    let dims = SmallVec::from_slice(dims);
    value(b, Op::Reshape { dims }, &[v.into()])
}
