//! A module with weights of its own, and runs of it.

use std::collections::BTreeMap;

use sharpi_compile::ir::{Dim, Module, NodeKind, TensorType, Value, Weight, text, verify};
use sharpi_evaluator::script::{self, Content, Script};
use sharpi_evaluator::{Evaluator, Sizes, Tensor};

/// What is run.
pub struct Case {
    pub module: Module,
    /// Weights by their names, dense.
    pub weights: BTreeMap<String, Tensor>,
    pub runs: Vec<Run>,
}

/// One run of a graph.
pub struct Run {
    /// Where it stands, for failures.
    pub place: String,
    pub graph: String,
    pub inputs: Vec<(String, Tensor)>,
    pub expected: Vec<(String, Tensor)>,
}

pub type Outputs = BTreeMap<String, Tensor>;

impl Case {
    /// A module with its script.
    pub fn parse(source: &str) -> Result<Case, String> {
        let module = text::parse(source).map_err(|e| e.to_string())?;
        verify(&module).map_err(|e| e.to_string())?;
        let script = Script::parse(source).map_err(|e| e.to_string())?;
        let weights = weights(&module, &script)?;
        let runs = script.runs.iter().map(|run| {
            let place = format!("line {}", run.line);
            Run::new(&module, run).map_err(|e| format!("{place}: {e}"))
        });
        Ok(Case {
            runs: runs.collect::<Result<_, _>>()?,
            module,
            weights,
        })
    }

    /// What the evaluator says about each run.
    pub fn evaluated(&self) -> Result<Vec<Outputs>, String> {
        let weights = |name: &str, _: &Weight| self.weights.get(name).cloned();
        let evaluator = Evaluator::new(&self.module, &weights);
        let mut evaluator = evaluator.map_err(|e| e.to_string())?;
        let run = |run: &Run| {
            let outputs = evaluator.run(&run.graph, &run.given());
            outputs.map_err(|e| format!("{}: {e}", run.place))
        };
        self.runs.iter().map(run).collect()
    }
}

impl Run {
    fn new(module: &Module, run: &script::Run) -> Result<Run, String> {
        let graph = (module.graphs.get(&run.graph)).ok_or(format!("no graph @{}", run.graph))?;
        let input = |name: &str| {
            let nodes = graph.inputs().iter();
            let mut named = nodes.filter(|n| *graph.kind(**n) == NodeKind::Input(name.into()));
            named.next().map(|node| Value {
                node: *node,
                result: 0,
            })
        };
        let ty_of = |name: &str| -> Result<&TensorType, String> {
            input(name)
                .map(|v| graph.ty(v))
                .ok_or(format!("no input %{name}"))
        };
        let mut sizes = Vec::new();
        for (name, content) in &run.inputs {
            let ty = ty_of(name)?;
            let dims = content.dims(ty).map_err(|e| format!("%{name}: {e}"))?;
            let symbols = ty.shape.iter().zip(dims.into_iter().flatten());
            sizes.extend(symbols.filter_map(|(dim, n)| match dim {
                Dim::Sym(symbol) => Some((*symbol, n)),
                Dim::Fixed(_) => None,
            }));
        }
        let sizes = Sizes::new(sizes);
        let tensor = |name: &str, ty: &TensorType, content: &Content| {
            content
                .tensor(ty, &sizes)
                .map_err(|e| format!("%{name}: {e}"))
        };
        let inputs = run
            .inputs
            .iter()
            .map(|(name, content)| Ok((name.clone(), tensor(name, ty_of(name)?, content)?)));
        let expected = run.expected.iter().map(|(name, content)| {
            let v = graph
                .outputs()
                .get(name)
                .ok_or(format!("no output %{name}"))?;
            Ok((name.clone(), tensor(name, graph.ty(*v), content)?))
        });
        Ok(Run {
            place: format!("line {}", run.line),
            graph: run.graph.clone(),
            inputs: inputs.collect::<Result<_, String>>()?,
            expected: expected.collect::<Result<_, String>>()?,
        })
    }

    /// The inputs as the evaluator takes them.
    fn given(&self) -> Vec<(&str, Tensor)> {
        let inputs = self.inputs.iter();
        inputs.map(|(name, x)| (name.as_str(), x.clone())).collect()
    }
}

/// The weights of a module; those of some rows are taken from the weight that has all.
fn weights(module: &Module, script: &Script) -> Result<BTreeMap<String, Tensor>, String> {
    let mut weights = BTreeMap::new();
    for (name, content) in &script.weights {
        let id = module
            .symbols
            .find_weight(name)
            .ok_or(format!("no weight @{name}"))?;
        let declared = module
            .symbols
            .weight_of(id)
            .ok_or("an undeclared weight")?
            .1;
        let tensor = content.tensor(&declared.ty, &Sizes::default());
        weights.insert(
            name.clone(),
            tensor.map_err(|e| format!("weight @{name}: {e}"))?,
        );
    }
    let mut chosen = Vec::new();
    for (_, name, part) in module.symbols.weights() {
        let Some(rows) = &part.rows else { continue };
        let is_whole = |w: &Weight| w.rows.is_none() && w.source == part.source;
        let whole = module.symbols.weights().find(|(_, _, w)| is_whole(w));
        let whole = whole.and_then(|(_, name, _)| weights.get(name));
        let whole = whole.ok_or(format!("nothing has all rows of @{name}"))?;
        let width: usize = whole.dims()[1..].iter().product();
        let rows = rows.ranges().iter().cloned().flatten();
        let data = rows.flat_map(|row| whole.data()[row * width..(row + 1) * width].to_vec());
        let tensor = Tensor::new(Sizes::default().dims(&part.ty), data.collect())?;
        chosen.push((name.to_string(), tensor));
    }
    weights.extend(chosen);
    Ok(weights)
}
