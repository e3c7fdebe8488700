//! Random graphs that pass the verifier, for property tests of this crate and of others.
//!
//! A [`Recipe`] is a list of steps that proptest can shrink; [`build`] follows it through the
//! builder. A step that fits nothing made so far, or would repeat a node, is left out, so every
//! recipe builds. States are shared by all ops whose types allow it, so effects form chains.
#![allow(dead_code)]

pub mod patching;

use proptest::prelude::*;
use sharpi_ir::{
    Bias, Builder, DType, Dim, Graph, Index, KeyHeads, Module, NodeId, Op, Operand, RopeScaling,
    StateType, Sums, Symbol, Symbols, TensorType, Value, Weight,
};
use smallvec::smallvec;

/// One op to try: which, on what, and whether its first result gets a name.
#[derive(Clone, Debug)]
pub struct Step {
    op: usize,
    picks: [usize; 2],
    named: bool,
}

/// A graph to be.
#[derive(Clone, Debug)]
pub struct Recipe {
    steps: Vec<Step>,
    outputs: Vec<usize>,
}

/// Recipes of up to `steps` steps.
pub fn recipes(steps: usize) -> impl Strategy<Value = Recipe> {
    let step = (any::<usize>(), any::<[usize; 2]>(), any::<bool>());
    let step = step.prop_map(|(op, picks, named)| Step { op, picks, named });
    let steps = prop::collection::vec(step, 0..=steps);
    let outputs = prop::collection::vec(any::<usize>(), 0..4);
    (steps, outputs).prop_map(|(steps, outputs)| Recipe { steps, outputs })
}

/// Modules of one graph `@g`.
pub fn modules(steps: usize) -> impl Strategy<Value = Module> {
    recipes(steps).prop_map(|recipe| build(&recipe))
}

/// The module of a recipe: inputs `%x`, `%pos` and `%rows`, then its steps.
pub fn build(recipe: &Recipe) -> Module {
    let mut module = Module::new("random");
    let mut cook = Cook {
        builder: Builder::new(&mut module.symbols),
        values: Vec::new(),
        made: Vec::new(),
    };
    cook.inputs();
    for step in &recipe.steps {
        cook.follow(step);
    }
    for (i, pick) in recipe.outputs.iter().enumerate() {
        let value = cook.values[pick % cook.values.len()];
        cook.builder.output(&format!("y{i}"), value);
    }
    let graph = cook.builder.finish();
    module.graphs.insert("g".into(), graph);
    module
}

/// The same graph with its nodes made in another order, which `seed` chooses.
pub fn remade(graph: &Graph, symbols: &mut Symbols, seed: u64) -> Graph {
    let mut builder = Builder::new(symbols);
    for (symbol, range) in graph.bounds() {
        builder.bound(*symbol, range.clone());
    }
    let mut new = std::collections::HashMap::new();
    for &input in graph.inputs() {
        let sharpi_ir::NodeKind::Input(name) = graph.kind(input) else {
            unreachable!("an op among the inputs");
        };
        let ty = graph.results(input)[0].ty.clone();
        new.insert(input, builder.input(name, ty).node);
    }
    let mut left: Vec<NodeId> = graph.nodes().filter(|n| graph.op(*n).is_some()).collect();
    left.sort_by_key(|n| {
        (n.index() as u64 + 1)
            .wrapping_mul(seed | 1)
            .rotate_left(17)
    });
    while !left.is_empty() {
        let ready = |n: &NodeId| {
            let mut values = graph.value_operands(*n);
            values.all(|v| new.contains_key(&v.node))
                && graph.effect_predecessors(*n).all(|p| new.contains_key(&p))
        };
        let next = left.iter().position(ready).expect("a graph without cycles");
        let node = left.remove(next);
        let operands: Vec<Operand> = (graph.operands(node).into_iter())
            .map(|o| match o {
                Operand::Value(v) => Operand::Value(Value {
                    node: new[&v.node],
                    ..v
                }),
                Operand::Weight(_) | Operand::State(_) => o,
            })
            .collect();
        let op = graph.op(node).expect("an op").clone();
        new.insert(node, builder.op(op, &operands).expect("a valid op"));
    }
    for old in graph.nodes().flat_map(|n| graph.values(n)) {
        if let Some(name) = graph.name(old) {
            builder.name(
                Value {
                    node: new[&old.node],
                    ..old
                },
                name,
            );
        }
    }
    for (name, v) in graph.outputs() {
        builder.output(
            name,
            Value {
                node: new[&v.node],
                ..*v
            },
        );
    }
    builder.finish()
}

const T: Dim = Dim::Sym(Symbol::TOKENS);
const WIDTH: usize = 64;

struct Cook<'m> {
    builder: Builder<'m>,
    values: Vec<Value>,
    made: Vec<(Op, Vec<Operand>)>,
}

impl Cook<'_> {
    fn inputs(&mut self) {
        self.builder.bound(Symbol::TOKENS, 1..=512);
        self.builder.bound(Symbol::ROWS, 0..=16);
        let inputs = [
            ("x", TensorType::new(DType::F32, [T, Dim::Fixed(WIDTH)])),
            ("pos", TensorType::position([T])),
            ("ids", TensorType::index(WIDTH, [T])),
            ("rows", TensorType::index(T, [Dim::Sym(Symbol::ROWS)])),
        ];
        for (name, ty) in inputs {
            self.values.push(self.builder.input(name, ty));
        }
    }

    fn follow(&mut self, step: &Step) {
        let Some((op, operands)) = self.choose(step) else {
            return;
        };
        if self.made.contains(&(op.clone(), operands.clone())) {
            return;
        }
        let Ok(node) = self.builder.op(op.clone(), &operands) else {
            return;
        };
        let values: Vec<Value> = self.builder.values(node).collect();
        if let Some(first) = values.first()
            && step.named
        {
            let name = format!("{}-{}", op.mnemonic(), self.made.len());
            self.builder.name(*first, name);
        }
        self.values.extend(values);
        self.made.push((op, operands));
    }

    /// The `pick`th value, round and round, whose type will do.
    fn pick(&self, pick: usize, will_do: impl Fn(&TensorType) -> bool) -> Option<Value> {
        let fitting = self.values.iter().filter(|v| will_do(self.builder.ty(**v)));
        let fitting: Vec<Value> = fitting.copied().collect();
        let count = fitting.len().max(1);
        fitting.get(pick % count).copied()
    }

    fn weight(&mut self, dtype: DType, dims: &[usize]) -> Operand {
        let ty = TensorType::fixed(dtype, dims);
        let source = format!("{ty}.weight");
        let name = format!("w.{ty}");
        let weight = self.builder.symbols().weight(
            &name,
            Weight {
                ty,
                source,
                rows: None,
            },
        );
        weight.expect("one type to a name").into()
    }

    fn state(&mut self, ty: StateType) -> Operand {
        let name = ty.to_string();
        let state = self.builder.symbols().state(&name, ty);
        state.expect("one type to a name").into()
    }

    fn choose(&mut self, step: &Step) -> Option<(Op, Vec<Operand>)> {
        let [first, second] = step.picks;
        match step.op % 5 {
            0 => self.elementwise(step.op / 5, first, second),
            1 => self.shape(step.op / 5, first, second),
            2 => self.projection(step.op / 5, first),
            3 => self.attention(step.op / 5, first, second),
            _ => self.recurrent(step.op / 5, first, second),
        }
    }

    fn elementwise(
        &mut self,
        op: usize,
        first: usize,
        second: usize,
    ) -> Option<(Op, Vec<Operand>)> {
        let x = self.pick(first, |t| t.dtype == DType::F32 && t.rank() >= 2)?;
        let ty = self.builder.ty(x).clone();
        let last = ty.last().fixed()?;
        let same = self.pick(second, |t| *t == ty)?;
        Some(match op % 11 {
            0 => (Op::Silu {}, vec![x.into()]),
            1 => (Op::Sigmoid {}, vec![x.into()]),
            2 => (Op::Softplus {}, vec![x.into()]),
            3 => (Op::Softmax {}, vec![x.into()]),
            4 => (
                Op::ClampMin {
                    min: second as f32 * 1e-9,
                },
                vec![x.into()],
            ),
            5 => (Op::Add {}, vec![x.into(), same.into()]),
            6 => (Op::Div {}, vec![x.into(), same.into()]),
            7 => (Op::L2norm { eps: 1e-6 }, vec![x.into()]),
            8 => (Op::Mul {}, vec![x.into(), self.weight(DType::F32, &[last])]),
            9 => (
                Op::Scale {
                    by: first as f32 * 1e-3,
                },
                vec![x.into()],
            ),
            _ => (
                Op::Rmsnorm { eps: 1e-6 },
                vec![x.into(), self.weight(DType::F32, &[last])],
            ),
        })
    }

    fn shape(&mut self, op: usize, first: usize, second: usize) -> Option<(Op, Vec<Operand>)> {
        let x = self.pick(first, |t| t.dtype == DType::F32 && t.rank() == 2)?;
        let ty = self.builder.ty(x).clone();
        let last = ty.last().fixed()?;
        let half = (last / 2) as u32;
        Some(match op % 6 {
            0 => (
                Op::Split {
                    axis: 1,
                    sizes: smallvec![half, last as u32 - half],
                },
                vec![x.into()],
            ),
            1 => {
                let same_rows = self.pick(second, |t| {
                    t.dtype == DType::F32 && t.rank() == 2 && t.shape[0] == ty.shape[0]
                });
                (Op::Concat { axis: 1 }, vec![x.into(), same_rows?.into()])
            }
            2 => (
                Op::Reshape {
                    dims: smallvec![2, half],
                },
                vec![x.into()],
            ),
            3 => {
                let below = Some(Index::Below(ty.shape[0]));
                let rows = self.pick(second, |t| t.index == below && t.rank() == 1)?;
                (Op::GetRows {}, vec![x.into(), rows.into()])
            }
            4 => {
                let count = 1 + second as u32 % 3;
                (Op::Streams { count }, vec![x.into()])
            }
            _ => (Op::RowSum {}, vec![x.into()]),
        })
    }

    fn projection(&mut self, op: usize, first: usize) -> Option<(Op, Vec<Operand>)> {
        let x = self.pick(first, |t| t.dtype != DType::I32 && t.rank() == 2)?;
        let last = self.builder.ty(x).last().fixed()?;
        let blocks = last % 32 == 0;
        let dtype = if blocks { DType::Q8_0 } else { DType::F16 };
        let router = self.pick(first, |t| t.dtype == DType::I32 && t.rank() == 2);
        let below = Some(Index::Below(Dim::Fixed(WIDTH)));
        let ids = self.pick(first, |t| t.index == below && t.rank() == 1)?;
        Some(match op % 7 {
            0 => (
                Op::Matmul {},
                vec![x.into(), self.weight(dtype, &[WIDTH, last])],
            ),
            1 => (
                Op::EhProj {},
                vec![x.into(), self.weight(DType::F32, &[WIDTH, last])],
            ),
            2 => (Op::Quantize { to: dtype }, vec![x.into()]),
            4 => (
                Op::Embed {},
                vec![ids.into(), self.weight(dtype, &[WIDTH, last])],
            ),
            3 => {
                let biased = [Bias::None, Bias::Added][first % 2];
                let mut operands = vec![x.into()];
                if biased == Bias::Added {
                    operands.push(self.weight(DType::F32, &[last]));
                }
                (Op::TopkRouter { k: 2, biased }, operands)
            }
            5 => {
                let (router, count) = self.router(router?)?;
                let table = self.weight(DType::F32, &[count, last]);
                (Op::ExpertRows {}, vec![router.into(), table])
            }
            _ => {
                let (router, count) = self.router(router?)?;
                let experts = self.weight(dtype, &[count, 4, last]);
                (Op::MoeMatmul {}, vec![x.into(), router.into(), experts])
            }
        })
    }

    /// Chosen experts, and how many there are to choose from.
    fn router(&self, experts: Value) -> Option<(Value, usize)> {
        match self.builder.ty(experts).index? {
            Index::Below(Dim::Fixed(count)) => Some((experts, count)),
            Index::Below(Dim::Sym(_)) | Index::Position => None,
        }
    }

    fn attention(&mut self, op: usize, first: usize, second: usize) -> Option<(Op, Vec<Operand>)> {
        let heads = |t: &TensorType| t.dtype == DType::F32 && t.rank() == 3 && t.shape[0] == T;
        let x = self.pick(first, heads)?;
        let ty = self.builder.ty(x).clone();
        let y = self.pick(second, |t| *t == ty)?;
        let pos = self.values[1];
        let (heads, dim) = (ty.shape[1].fixed()?, ty.shape[2].fixed()?);
        let cache = StateType::Kv {
            k: DType::F16,
            v: DType::F16,
            heads,
            dim,
        };
        Some(match op % 6 {
            0 => (
                Op::Rope {
                    n_rot: 2,
                    freq_base: 1e7,
                    scaling: RopeScaling {
                        freq_scale: 1.0 / (1.0 + first as f32),
                        still: (0..second as u32 % 2).collect(),
                        factors: vec![1.0 + second as f32; first % 2],
                        neighbours: second.is_multiple_of(3),
                        ..RopeScaling::default()
                    },
                },
                vec![x.into(), pos.into()],
            ),
            1 => {
                let cache = self.state(cache);
                (Op::KvStore {}, vec![x.into(), y.into(), pos.into(), cache])
            }
            2 => {
                let cache = self.state(cache);
                (
                    Op::Attention {
                        scale: 0.125,
                        pool: None,
                    },
                    vec![x.into(), pos.into(), cache],
                )
            }
            3 => {
                let sums = [Sums::Fused, Sums::Rounded][second % 2];
                (Op::StreamMix { sums }, vec![x.into(), y.into()])
            }
            4 => {
                let of = |n: usize| TensorType::new(DType::F32, [T, Dim::Fixed(n)]);
                let row = self.pick(second, |t| *t == of(dim))?;
                let inject = self.pick(first, |t| *t == of(heads))?;
                (Op::StreamAdd {}, vec![x.into(), row.into(), inject.into()])
            }
            _ => (Op::ExpertSum {}, vec![x.into()]),
        })
    }

    fn recurrent(&mut self, op: usize, first: usize, second: usize) -> Option<(Op, Vec<Operand>)> {
        if op.is_multiple_of(3) {
            return self.scan(first, second);
        }
        let x = self.pick(first, |t| {
            t.dtype == DType::F32 && t.rank() == 2 && t.shape[0] == T
        })?;
        let channels = self.builder.ty(x).last().fixed()?;
        let taps = self.weight(DType::F32, &[channels, 4]);
        let window = TensorType::fixed(DType::F32, &[3, channels]);
        let window = self.state(StateType::Recurrent(window));
        Some((Op::CausalConv {}, vec![x.into(), taps, window]))
    }

    fn scan(&mut self, first: usize, second: usize) -> Option<(Op, Vec<Operand>)> {
        let heads = |t: &TensorType| t.dtype == DType::F32 && t.rank() == 3 && t.shape[0] == T;
        let q = self.pick(first, heads)?;
        let ty = self.builder.ty(q).clone();
        let v = self.pick(second, |t| *t == ty)?;
        let (heads, dim) = (ty.shape[1].fixed()?, ty.shape[2].fixed()?);
        let per_head = TensorType::new(DType::F32, [T, Dim::Fixed(heads)]);
        let gate = self.pick(first, |t| *t == per_head)?;
        let matrix = TensorType::fixed(DType::F32, &[heads, dim, dim]);
        let matrix = self.state(StateType::Recurrent(matrix));
        let gate: Operand = gate.into();
        Some((
            Op::GdnScan {
                keys: [KeyHeads::ByTurns, KeyHeads::Grouped][second % 2],
            },
            vec![q.into(), q.into(), v.into(), gate, gate, matrix],
        ))
    }
}
