//! What a graph is given: sizes of its symbols, and numbers that its types allow.

use std::collections::BTreeMap;

use sharpi_ir::{Dim, Graph, Index, NodeKind, Symbol, TensorType, Value};

use crate::error::EvalError;
use crate::tensor::Tensor;

/// The sizes of a graph's symbols in one run.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Sizes(BTreeMap<Symbol, usize>);

impl Sizes {
    /// Symbols of known sizes.
    pub fn new(sizes: impl IntoIterator<Item = (Symbol, usize)>) -> Sizes {
        Sizes(sizes.into_iter().collect())
    }

    /// A symbol's size, 0 where nothing tells it.
    pub fn of(&self, symbol: Symbol) -> usize {
        self.0.get(&symbol).copied().unwrap_or(0)
    }

    /// The dimensions of a type.
    pub fn dims(&self, ty: &TensorType) -> Vec<usize> {
        let size = |dim: &Dim| match dim {
            Dim::Fixed(n) => *n,
            Dim::Sym(symbol) => self.of(*symbol),
        };
        ty.shape.iter().map(size).collect()
    }

    /// Finds the sizes that an input of a type has, and compares those that are known.
    fn bind(&mut self, ty: &TensorType, dims: &[usize]) -> Result<(), String> {
        if dims.len() != ty.rank() {
            return Err(format!("it has dimensions {dims:?}, expected {ty}"));
        }
        for (dim, found) in ty.shape.iter().zip(dims) {
            let expected = match dim {
                Dim::Fixed(n) => *n,
                Dim::Sym(symbol) => *self.0.entry(*symbol).or_insert(*found),
            };
            if expected != *found {
                return Err(format!(
                    "it has dimensions {dims:?}, expected {ty} with {dim} = {expected}"
                ));
            }
        }
        Ok(())
    }
}

/// The inputs of a run.
pub(crate) struct Inputs {
    pub(crate) sizes: Sizes,
    pub(crate) values: Vec<(Value, Tensor)>,
}

impl Inputs {
    /// Checks what is given to a graph whose next token has the position `start`. Positions may be
    /// left out.
    pub(crate) fn check(
        name: &str,
        graph: &Graph,
        given: &[(&str, Tensor)],
        start: usize,
    ) -> Result<Inputs, EvalError> {
        let fail = |input: &str, message: String| {
            EvalError::new(format!("@{name}: input %{input}"), message)
        };
        let inputs: Vec<(&str, Value)> = (graph.inputs().iter())
            .filter_map(|node| match graph.kind(*node) {
                NodeKind::Input(input) => Some((
                    input.as_str(),
                    Value {
                        node: *node,
                        result: 0,
                    },
                )),
                NodeKind::Op(_) => None,
            })
            .collect();
        let mut sizes = Sizes::default();
        for (i, (input, tensor)) in given.iter().enumerate() {
            let known = inputs.iter().find(|(known, _)| known == input);
            let (_, value) = known.ok_or_else(|| fail(input, "there is no such input".into()))?;
            if given[..i].iter().any(|(before, _)| before == input) {
                return Err(fail(input, "it is given twice".into()));
            }
            (sizes.bind(graph.ty(*value), tensor.dims())).map_err(|m| fail(input, m))?;
        }
        let mut values = Vec::new();
        for (input, value) in inputs {
            let ty = graph.ty(value);
            let found = given.iter().find(|(given, _)| *given == input);
            let tensor = match (found, ty.index) {
                (Some((_, tensor)), _) => tensor.clone(),
                (None, Some(Index::Position)) => {
                    Tensor::from_fn(sizes.dims(ty), |i| (start + i) as f64)
                }
                (None, Some(Index::Below(_)) | None) => {
                    return Err(fail(input, "it is missing".into()));
                }
            };
            check_numbers(ty, &tensor, &sizes, start).map_err(|m| fail(input, m))?;
            values.push((value, tensor.with_dtype(ty.dtype)));
        }
        check_bounds(name, graph, &sizes)?;
        Ok(Inputs { sizes, values })
    }
}

/// Whether numbers are what their type says.
fn check_numbers(ty: &TensorType, x: &Tensor, sizes: &Sizes, start: usize) -> Result<(), String> {
    let below = |limit: usize| (0..x.data().len()).try_for_each(|i| x.index(i, limit).map(|_| ()));
    match ty.index {
        None => Ok(()),
        Some(Index::Below(Dim::Fixed(n))) => below(n),
        Some(Index::Below(Dim::Sym(symbol))) => below(sizes.of(symbol)),
        Some(Index::Position) => {
            let wrong = (start..).zip(x.data()).find(|(i, x)| *i as f64 != **x);
            wrong.map_or(Ok(()), |(i, x)| {
                Err(format!("{x} stands where the position is {i}"))
            })
        }
    }
}

fn check_bounds(name: &str, graph: &Graph, sizes: &Sizes) -> Result<(), EvalError> {
    for (symbol, range) in graph.bounds() {
        let size = sizes.of(*symbol);
        if !range.contains(&size) {
            let message = format!("{symbol} is {size}, which is not in {range:?}");
            return Err(EvalError::new(format!("@{name}"), message));
        }
    }
    Ok(())
}
