//! The operands of an op while it is evaluated.

use sharpi_ir::{Op, SlotName, StateId};

use crate::tensor::Tensor;

/// An operand: where it comes from does not matter, but for states.
#[derive(Clone, Copy)]
pub(crate) enum Arg<'a> {
    Tensor(&'a Tensor),
    State(StateId),
}

/// The operands of an op in slot order, of a graph that verifies.
pub(crate) struct Args<'a> {
    pub(crate) op: &'a Op,
    pub(crate) operands: Vec<Arg<'a>>,
}

impl<'a> Args<'a> {
    /// The value or weight of that name, if the op has one.
    pub(crate) fn find(&self, name: SlotName) -> Option<&'a Tensor> {
        match self.operands.get(self.op.slot(name)?) {
            Some(Arg::Tensor(tensor)) => Some(tensor),
            Some(Arg::State(_)) | None => None,
        }
    }

    /// The value or weight of that name.
    pub(crate) fn at(&self, name: SlotName) -> Result<&'a Tensor, String> {
        self.find(name)
            .ok_or_else(|| "an operand is missing".to_string())
    }

    /// The weights of that name, one or more.
    pub(crate) fn all(&self, name: SlotName) -> Vec<&'a Tensor> {
        let weights = (0..self.operands.len()).map(|n| self.find(name.nth(n)));
        weights.map_while(|weight| weight).collect()
    }

    /// The state of that name.
    pub(crate) fn state(&self, name: SlotName) -> Result<StateId, String> {
        match self.op.slot(name).and_then(|slot| self.operands.get(slot)) {
            Some(Arg::State(state)) => Ok(*state),
            Some(Arg::Tensor(_)) | None => Err("a state is missing".into()),
        }
    }
}
