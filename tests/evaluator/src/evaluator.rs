//! Runs of a module's graphs, one op after another.

use std::collections::{BTreeMap, HashMap};

use sharpi_ir::text::graph_lines;
use sharpi_ir::{Graph, Module, NodeId, Operand, StateId, Value, Weight, WeightId, verify};

use crate::args::{Arg, Args};
use crate::error::EvalError;
use crate::inputs::{Inputs, Sizes};
use crate::op::evaluate;
use crate::states::States;
use crate::tensor::Tensor;

/// A module with its weights and states.
pub struct Evaluator<'m> {
    module: &'m Module,
    weights: HashMap<WeightId, Tensor>,
    states: States,
    exchange: Box<Exchange<'m>>,
}

/// Gives a tensor to all ranks; what each of them has given, this one among them.
pub type Exchange<'m> = dyn Fn(&Tensor) -> Result<Vec<Tensor>, String> + 'm;

impl<'m> Evaluator<'m> {
    /// A module with weights by their names, dense, and fresh states. A weight may be `None` as
    /// long as no graph that is run reads it.
    ///
    /// # Errors
    /// A module that does not verify, or a weight of other dimensions than it is declared with.
    pub fn new(
        module: &'m Module,
        weights: &dyn Fn(&str, &Weight) -> Option<Tensor>,
    ) -> Result<Evaluator<'m>, EvalError> {
        verify(module)
            .map_err(|e| EvalError::new(format!("module @{}", module.name), e.to_string()))?;
        let mut all = HashMap::new();
        for (id, name, declared) in module.symbols.weights() {
            let Some(weight) = weights(name, declared) else {
                continue;
            };
            if weight.dims() != Sizes::default().dims(&declared.ty) {
                let message = format!(
                    "it has dimensions {:?}, expected {}",
                    weight.dims(),
                    declared.ty
                );
                return Err(EvalError::new(format!("weight @{name}"), message));
            }
            all.insert(id, weight.with_dtype(declared.ty.dtype));
        }
        Ok(Evaluator {
            module,
            weights: all,
            states: States::new(&module.symbols),
            exchange: Box::new(|_| Err("there are no other ranks".into())),
        })
    }

    /// The same as one of several ranks, which runs its share of a module with the others.
    pub fn with_ranks(
        mut self,
        exchange: impl Fn(&Tensor) -> Result<Vec<Tensor>, String> + 'm,
    ) -> Evaluator<'m> {
        self.exchange = Box::new(exchange);
        self
    }

    /// Runs a graph once, on the states that the runs before have left; all its outputs by name.
    ///
    /// # Errors
    /// An unknown graph, inputs that do not fit, or an op that cannot be evaluated, with its line.
    /// The states are then of no use any more.
    pub fn run(
        &mut self,
        graph: &str,
        inputs: &[(&str, Tensor)],
    ) -> Result<BTreeMap<String, Tensor>, EvalError> {
        let (name, module) = (graph, self.module);
        let graph = module.graphs.get(name);
        let graph =
            graph.ok_or_else(|| EvalError::new(format!("@{name}"), "there is no such graph"))?;
        let states = states(graph);
        let start = self.start(name, &states)?;
        let Inputs { sizes, values } = Inputs::check(name, graph, inputs, start)?;
        let mut values: HashMap<Value, Tensor> = values.into_iter().collect();
        for node in graph.order() {
            self.node(graph, node, &sizes, &mut values)
                .map_err(|message| EvalError::new(self.place(name, node), message))?;
        }
        for state in states {
            *self.states.consumed(state) += sizes.of(sharpi_ir::Symbol::TOKENS);
        }
        let outputs = graph.outputs().iter();
        Ok(outputs
            .map(|(name, v)| (name.clone(), values[v].clone()))
            .collect())
    }

    /// Tokens that the states of a graph have taken in.
    fn start(&mut self, name: &str, states: &[StateId]) -> Result<usize, EvalError> {
        let mut counts = states.iter().map(|state| *self.states.consumed(*state));
        let first = counts.next().unwrap_or(0);
        match counts.all(|count| count == first) {
            true => Ok(first),
            false => Err(EvalError::new(
                format!("@{name}"),
                "its states have taken in different numbers of tokens",
            )),
        }
    }

    fn node(
        &mut self,
        graph: &Graph,
        node: NodeId,
        sizes: &Sizes,
        values: &mut HashMap<Value, Tensor>,
    ) -> Result<(), String> {
        let Some(op) = graph.op(node) else {
            return Ok(());
        };
        let operands = graph.operands(node);
        let args = operands.iter().map(|operand| match operand {
            Operand::Value(v) => Ok(Arg::Tensor(&values[v])),
            Operand::State(state) => Ok(Arg::State(*state)),
            Operand::Weight(w) => match self.weights.get(w) {
                Some(weight) => Ok(Arg::Tensor(weight)),
                None => {
                    let name = self
                        .module
                        .symbols
                        .weight_of(*w)
                        .map_or("", |(name, _)| name);
                    Err(format!("weight @{name} is not given"))
                }
            },
        });
        let operands = args.collect::<Result<_, String>>()?;
        let args = Args { op, operands };
        let results = evaluate(op, &args, &mut self.states, &*self.exchange)?;
        let expected: Vec<Value> = graph.values(node).collect();
        if results.len() != expected.len() {
            return Err(format!(
                "{} results, expected {}",
                results.len(),
                expected.len()
            ));
        }
        for (v, result) in expected.into_iter().zip(results) {
            let ty = graph.ty(v);
            if result.dims() != sizes.dims(ty) || result.dtype() != ty.dtype {
                let found = (result.dims(), result.dtype());
                return Err(format!("a result is {found:?}, expected {ty}"));
            }
            values.insert(v, result);
        }
        Ok(())
    }

    /// The graph and the printed line of an op.
    fn place(&self, name: &str, node: NodeId) -> String {
        let graph = &self.module.graphs[name];
        let lines = graph_lines(name, graph, &self.module.symbols);
        let line = lines.iter().find(|line| line.node == Some(node));
        format!("@{name}: {}", line.map_or("", |line| line.text.trim()))
    }
}

/// The states that the ops of a graph name.
fn states(graph: &Graph) -> Vec<StateId> {
    let mut states: Vec<StateId> = graph.nodes().filter_map(|node| graph.state(node)).collect();
    states.sort_unstable();
    states.dedup();
    states
}
