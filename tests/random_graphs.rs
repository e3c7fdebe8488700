//! Random graphs through the whole pipeline, on one rank and on several: the same bits as without
//! the optional passes.
//!
//! They are made of a model's own graph, so that the passes find what they look for: some operands
//! become other values of the same type, and some values become outputs or get another reader.

mod support;

use std::collections::HashMap;
use std::sync::Arc;

use proptest::prelude::*;
use sharpi_compile::ir::{
    Builder, DType, Graph, Module, NodeId, NodeKind, Op, Operand, Symbols, Value, verify,
};
use sharpi_compile::lower::LowerOptions;
use sharpi_compile::passes::Options;
use sharpi_compile::ranks::Ranks;
use sharpi_compile::{CompileOptions, Input, Model, Session};
use support::{model, session};

/// What is done to a graph; numbers are taken round and round.
#[derive(Clone, Debug)]
struct Changes {
    /// An op, one of its operands, and what to put there.
    rewired: Vec<[usize; 3]>,
    /// A value, and whether it becomes an output itself or gets a reader that does.
    observed: Vec<(usize, bool)>,
}

fn changes() -> impl Strategy<Value = Changes> {
    let rewired = prop::collection::vec(any::<[usize; 3]>(), 0..4);
    let observed = prop::collection::vec(any::<(usize, bool)>(), 0..6);
    (rewired, observed).prop_map(|(rewired, observed)| Changes { rewired, observed })
}

/// The trunk, changed.
fn changed(model: &Model, changes: &Changes) -> Module {
    let mut module = model.lower(&LowerOptions::default()).expect("graphs");
    let graph = module.graphs["trunk"].clone();
    let trunk = Copy::of(&graph, &mut module.symbols, changes);
    module.graphs.clear();
    module.graphs.insert("trunk".into(), trunk);
    verify(&module).expect("a sound module");
    module
}

struct Copy<'g> {
    graph: &'g Graph,
    builder: Builder<'g>,
    new: HashMap<NodeId, NodeId>,
    /// All values so far.
    values: Vec<Value>,
}

impl<'g> Copy<'g> {
    fn of(graph: &'g Graph, symbols: &'g mut Symbols, changes: &Changes) -> Graph {
        let mut copy = Copy {
            graph,
            builder: Builder::new(symbols),
            new: HashMap::new(),
            values: Vec::new(),
        };
        for (symbol, range) in graph.bounds() {
            copy.builder.bound(*symbol, range.clone());
        }
        let order = graph.order();
        for (i, &node) in order.iter().enumerate() {
            let here = |r: &&[usize; 3]| r[0] % order.len() == i;
            copy.node(node, changes.rewired.iter().find(here));
        }
        for (name, v) in graph.outputs() {
            let v = copy.renewed(*v);
            copy.builder.output(name, v);
        }
        for (i, (pick, itself)) in changes.observed.iter().enumerate() {
            let is_f32 = |v: &&Value| copy.builder.ty(**v).dtype == DType::F32;
            let floats: Vec<Value> = copy.values.iter().filter(is_f32).copied().collect();
            let mut v = floats[pick % floats.len()];
            if !itself {
                v = (copy.builder.value(Op::Sigmoid {}, &[v.into()])).expect("an f32 value");
            }
            copy.builder.output(&format!("observed_{i}"), v);
        }
        copy.builder.finish()
    }

    fn renewed(&self, v: Value) -> Value {
        let node = self.new[&v.node];
        Value { node, ..v }
    }

    fn node(&mut self, node: NodeId, rewired: Option<&[usize; 3]>) {
        let new = match self.graph.kind(node) {
            NodeKind::Input(name) => {
                let ty = self.graph.results(node)[0].ty.clone();
                self.builder.input(name, ty).node
            }
            NodeKind::Op(op) => {
                let operands = self.graph.operands(node).into_iter();
                let mut operands: Vec<Operand> = operands
                    .map(|o| match o {
                        Operand::Value(v) => self.renewed(v).into(),
                        Operand::Weight(_) | Operand::State(_) => o,
                    })
                    .collect();
                if let Some([_, slot, pick]) = rewired {
                    self.rewire(&mut operands, *slot, *pick);
                }
                (self.builder.op(op.clone(), &operands)).expect("operands of the same types")
            }
        };
        self.new.insert(node, new);
        self.values.extend(self.builder.values(new));
    }

    /// Puts another value of the same type in the place of an operand.
    fn rewire(&self, operands: &mut [Operand], slot: usize, pick: usize) {
        let slot = slot % operands.len();
        if let Operand::Value(old) = operands[slot] {
            let ty = self.builder.ty(old);
            let same = self.values.iter().filter(|v| self.builder.ty(**v) == ty);
            let same: Vec<Value> = same.copied().collect();
            operands[slot] = same[pick % same.len()].into();
        }
    }
}

/// Every output of two runs as bits; what is no number is that and nothing more.
fn bits(session: &mut Session, outputs: &[String]) -> Vec<Vec<u32>> {
    let mut all = Vec::new();
    for (start, tokens) in [(0, 17), (17, 3)] {
        let ids: Vec<i32> = (0..tokens).map(|i| (start + i) * 37 % 500).collect();
        let pos: Vec<i32> = (start..start + tokens).collect();
        let inputs = [
            ("ids", Input::I32(&ids[..])),
            ("pos", Input::I32(&pos)),
            ("rows", Input::I32(&[2, 0])),
        ];
        let run = session.run("trunk", &inputs).expect("a run");
        for name in outputs {
            let values = run.get(name).expect("an output").iter();
            let bits = |x: &f32| if x.is_nan() { f32::NAN } else { *x }.to_bits();
            all.push(values.map(bits).collect());
        }
    }
    all
}

fn check(model: &Model, changes: &Changes, ranks: usize) {
    let module = changed(model, changes);
    let names: Vec<String> = module.graphs["trunk"].outputs().keys().cloned().collect();
    let run = |options: Options, poisoned: bool, ranks: usize| {
        let ranks = Ranks::in_process(ranks, false).expect("ranks");
        let options = CompileOptions::default().passes(options).ranks(ranks);
        let executable = model.compile_module(module.clone(), &options, &|_, _| ());
        let mut session = session(&Arc::new(executable.expect("a plan")), 2);
        session.poison(poisoned);
        bits(&mut session, &names)
    };
    let expected = run(Options::required_only(), false, 1);
    for (found, how) in [
        (
            run(Options::default(), true, 1),
            "the whole pipeline".to_string(),
        ),
        (
            run(Options::default(), true, ranks),
            format!("{ranks} ranks"),
        ),
        (
            run(Options::required_only(), false, ranks),
            format!("{ranks} ranks, nothing fused"),
        ),
    ] {
        for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert!(found == expected, "{}, {how}", names[i % names.len()]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, ..ProptestConfig::default() })]

    #[test]
    fn a_random_dense_graph_gives_the_same_bits_through_the_whole_pipeline_and_on_ranks(
        changes in changes(),
        ranks in 2usize..6,
    ) {
        check(&model("tiny-dense-Q4_K_M"), &changes, ranks);
    }

    #[test]
    fn a_random_graph_with_experts_gives_the_same_bits_through_the_whole_pipeline_and_on_ranks(
        changes in changes(),
        ranks in 2usize..6,
    ) {
        check(&model("tiny-moe-Q4_K_M"), &changes, ranks);
    }
}
