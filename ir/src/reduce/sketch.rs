//! A module as plain lists whose parts can be taken away: what is gone leaves its place empty, so
//! that all else stays where it is. Types follow anew when it is built again.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use crate::builder::Builder;
use crate::graph::{Graph, NodeKind, Operand, Value};
use crate::module::{Module, StateId, Weight, WeightId};
use crate::op::Op;
use crate::types::{StateType, Symbol, TensorType};

#[derive(Clone)]
pub(super) struct Sketch {
    name: String,
    pub(super) weights: Vec<Option<(String, Weight)>>,
    pub(super) states: Vec<Option<(String, StateType)>>,
    pub(super) graphs: Vec<Option<Body>>,
}

/// A graph.
#[derive(Clone)]
pub(super) struct Body {
    name: String,
    pub(super) inputs: Vec<Option<Input>>,
    pub(super) ops: Vec<Option<Line>>,
    pub(super) outputs: Vec<Option<(String, Source)>>,
    pub(super) bounds: Vec<Option<(Symbol, RangeInclusive<usize>)>>,
}

#[derive(Clone)]
pub(super) struct Input {
    pub(super) name: String,
    pub(super) ty: TensorType,
    pub(super) label: Option<String>,
}

/// An op.
#[derive(Clone)]
pub(super) struct Line {
    pub(super) op: Op,
    pub(super) operands: Vec<Slot>,
    /// Types as of the first module, to find values that may stand for each other.
    pub(super) types: Vec<TensorType>,
    pub(super) labels: Vec<Option<String>>,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Slot {
    Value(Source),
    Weight(usize),
    State(usize),
}

/// Where a value comes from.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Source {
    Input(usize),
    /// A result of an op.
    Op(usize, usize),
}

impl Sketch {
    pub(super) fn of(module: &Module) -> Sketch {
        let symbols = &module.symbols;
        let weights = symbols.weights();
        let states = symbols.states();
        let graphs = module.graphs.iter();
        Sketch {
            name: module.name.clone(),
            weights: weights
                .map(|(_, name, w)| Some((name.to_string(), w.clone())))
                .collect(),
            states: states
                .map(|(_, name, s)| Some((name.to_string(), s.clone())))
                .collect(),
            graphs: graphs
                .map(|(name, graph)| Some(Body::of(name, graph)))
                .collect(),
        }
    }

    /// The module; `None` where something is read that is gone, or operands do not fit.
    pub(super) fn module(&self) -> Option<Module> {
        let mut module = Module::new(self.name.clone());
        let mut weights: HashMap<usize, WeightId> = HashMap::new();
        for (i, entry) in self.weights.iter().enumerate() {
            if let Some((name, weight)) = entry {
                weights.insert(i, module.symbols.weight(name, weight.clone()).ok()?);
            }
        }
        let mut states: HashMap<usize, StateId> = HashMap::new();
        for (i, entry) in self.states.iter().enumerate() {
            if let Some((name, ty)) = entry {
                states.insert(i, module.symbols.state(name, ty.clone()).ok()?);
            }
        }
        for body in self.graphs.iter().flatten() {
            let builder = Builder::new(&mut module.symbols);
            let graph = body.build(builder, &weights, &states)?;
            module.graphs.insert(body.name.clone(), graph);
        }
        Some(module)
    }
}

impl Body {
    fn of(name: &str, graph: &Graph) -> Body {
        let order = graph.order();
        let inputs = graph.inputs().iter();
        let mut sources: HashMap<Value, Source> = HashMap::new();
        for (i, &input) in inputs.clone().enumerate() {
            sources.extend(graph.values(input).map(|v| (v, Source::Input(i))));
        }
        let nodes = order.iter().filter_map(|n| Some((*n, graph.op(*n)?)));
        let nodes: Vec<_> = nodes.collect();
        for (i, (node, _)) in nodes.iter().enumerate() {
            let results = graph.values(*node).enumerate();
            sources.extend(results.map(|(result, v)| (v, Source::Op(i, result))));
        }
        let slot = |operand: Operand| match operand {
            Operand::Value(v) => Slot::Value(sources[&v]),
            Operand::Weight(w) => Slot::Weight(w.index()),
            Operand::State(s) => Slot::State(s.index()),
        };
        let lines = nodes.iter().map(|(node, op)| {
            let results = graph.results(*node).iter();
            Line {
                op: (*op).clone(),
                operands: graph.operands(*node).into_iter().map(slot).collect(),
                types: results.clone().map(|r| r.ty.clone()).collect(),
                labels: results.map(|r| r.name.clone()).collect(),
            }
        });
        let inputs = inputs.filter_map(|n| match (graph.kind(*n), graph.results(*n)) {
            (NodeKind::Input(name), [info]) => Some(Some(Input {
                name: name.clone(),
                ty: info.ty.clone(),
                label: info.name.clone(),
            })),
            _ => None,
        });
        let outputs = graph.outputs().iter();
        Body {
            name: name.to_string(),
            inputs: inputs.collect(),
            ops: lines.map(Some).collect(),
            outputs: outputs
                .map(|(name, v)| Some((name.clone(), sources[v])))
                .collect(),
            bounds: graph.bounds().clone().into_iter().map(Some).collect(),
        }
    }

    fn build(
        &self,
        mut b: Builder<'_>,
        weights: &HashMap<usize, WeightId>,
        states: &HashMap<usize, StateId>,
    ) -> Option<Graph> {
        let mut values: HashMap<(bool, usize, usize), Value> = HashMap::new();
        let key = |source: Source| match source {
            Source::Input(i) => (true, i, 0),
            Source::Op(i, result) => (false, i, result),
        };
        for (symbol, range) in self.bounds.iter().flatten() {
            b.bound(*symbol, range.clone());
        }
        for (i, input) in self.inputs.iter().enumerate() {
            let Some(input) = input else { continue };
            let v = b.input(&input.name, input.ty.clone());
            if let Some(label) = &input.label {
                b.name(v, label.clone());
            }
            values.insert(key(Source::Input(i)), v);
        }
        for (i, line) in self.ops.iter().enumerate() {
            let Some(line) = line else { continue };
            let operands = line.operands.iter().map(|slot| {
                Some(match slot {
                    Slot::Value(source) => Operand::Value(*values.get(&key(*source))?),
                    Slot::Weight(w) => Operand::Weight(*weights.get(w)?),
                    Slot::State(s) => Operand::State(*states.get(s)?),
                })
            });
            let operands: Option<Vec<Operand>> = operands.collect();
            let node = b.op(line.op.clone(), &operands?).ok()?;
            let results: Vec<Value> = b.values(node).collect();
            for (result, v) in results.into_iter().enumerate() {
                if let Some(Some(label)) = line.labels.get(result) {
                    b.name(v, label.clone());
                }
                values.insert(key(Source::Op(i, result)), v);
            }
        }
        for (name, source) in self.outputs.iter().flatten() {
            b.output(name, *values.get(&key(*source))?);
        }
        Some(b.finish())
    }

    /// Type of a value.
    pub(super) fn ty(&self, source: Source) -> Option<&TensorType> {
        match source {
            Source::Input(i) => Some(&self.inputs[i].as_ref()?.ty),
            Source::Op(i, result) => self.ops[i].as_ref()?.types.get(result),
        }
    }

    /// Every place that reads a value.
    pub(super) fn reads(&mut self) -> impl Iterator<Item = &mut Source> {
        let slots = self.ops.iter_mut().flatten().flat_map(|l| &mut l.operands);
        let operands = slots.filter_map(|slot| match slot {
            Slot::Value(source) => Some(source),
            Slot::Weight(_) | Slot::State(_) => None,
        });
        let outputs = self.outputs.iter_mut().flatten();
        operands.chain(outputs.map(|(_, source)| source))
    }
}
