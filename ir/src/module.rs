//! A module: weights, states, and the named graphs that share them.

use indexmap::IndexMap;

use crate::graph::Graph;
use crate::rows::RowSet;
use crate::types::{StateType, TensorType};

/// A weight of the module.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct WeightId(pub(crate) u32);

/// A state of the module.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct StateId(pub(crate) u32);

impl WeightId {
    /// Position among the module's weights.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl StateId {
    /// Position among the module's states.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A constant tensor that lies outside the module.
#[derive(Clone, PartialEq, Debug)]
pub struct Weight {
    /// Matrices are `[out, in]`, row-major.
    pub ty: TensorType,
    /// Name of the tensor in the model file.
    pub source: String,
    /// Rows of that tensor, in this order, where it has more; `None` for all of it. Of several
    /// matrices they are rows of each, of a vector elements.
    pub rows: Option<RowSet>,
}

/// Weights and states by name.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Symbols {
    weights: IndexMap<String, Weight>,
    states: IndexMap<String, StateType>,
}

/// A name declared twice with different meanings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{kind} @{} is declared twice with different types",
    crate::plain::Plain(name)
)]
pub struct Redeclared {
    kind: &'static str,
    name: String,
}

impl Symbols {
    /// Declares a weight; declaring the same again gives the same id.
    pub fn weight(&mut self, name: &str, weight: Weight) -> Result<WeightId, Redeclared> {
        let kind = "weight";
        declare(&mut self.weights, kind, name, weight).map(WeightId)
    }

    /// Declares a state; declaring the same again gives the same id.
    pub fn state(&mut self, name: &str, ty: StateType) -> Result<StateId, Redeclared> {
        declare(&mut self.states, "state", name, ty).map(StateId)
    }

    /// The weight of that name.
    pub fn find_weight(&self, name: &str) -> Option<WeightId> {
        self.weights.get_index_of(name).map(|i| WeightId(i as u32))
    }

    /// The state of that name.
    pub fn find_state(&self, name: &str) -> Option<StateId> {
        self.states.get_index_of(name).map(|i| StateId(i as u32))
    }

    /// Name and declaration of a weight.
    pub fn weight_of(&self, id: WeightId) -> Option<(&str, &Weight)> {
        let (name, weight) = self.weights.get_index(id.index())?;
        Some((name, weight))
    }

    /// Name and type of a state.
    pub fn state_of(&self, id: StateId) -> Option<(&str, &StateType)> {
        let (name, ty) = self.states.get_index(id.index())?;
        Some((name, ty))
    }

    /// All weights in order of declaration.
    pub fn weights(&self) -> impl ExactSizeIterator<Item = (WeightId, &str, &Weight)> {
        let ids = self.weights.iter().enumerate();
        ids.map(|(i, (name, w))| (WeightId(i as u32), name.as_str(), w))
    }

    /// All states in order of declaration.
    pub fn states(&self) -> impl ExactSizeIterator<Item = (StateId, &str, &StateType)> {
        let ids = self.states.iter().enumerate();
        ids.map(|(i, (name, s))| (StateId(i as u32), name.as_str(), s))
    }
}

fn declare<T: PartialEq>(
    map: &mut IndexMap<String, T>,
    kind: &'static str,
    name: &str,
    value: T,
) -> Result<u32, Redeclared> {
    if let Some((i, _, old)) = map.get_full(name) {
        if *old == value {
            return Ok(i as u32);
        }
        let name = name.to_string();
        return Err(Redeclared { kind, name });
    }
    let (i, _) = map.insert_full(name.to_string(), value);
    Ok(i as u32)
}

/// Weights, states and graphs of one model.
#[derive(Clone, Debug, Default)]
pub struct Module {
    /// The module's name: the architecture.
    pub name: String,
    /// What the graphs share.
    pub symbols: Symbols,
    /// Graphs by name, in order of declaration.
    pub graphs: IndexMap<String, Graph>,
}

impl Module {
    /// An empty module.
    pub fn new(name: impl Into<String>) -> Module {
        Module {
            name: name.into(),
            ..Module::default()
        }
    }
}
