//! The operands of an op while it is evaluated.

use sharpi_ir::StateId;

use crate::tensor::Tensor;

/// An operand: where it comes from does not matter, but for states.
#[derive(Clone, Copy)]
pub(crate) enum Arg<'a> {
    Tensor(&'a Tensor),
    State(StateId),
}

/// Operands in slot order, of a graph that verifies.
pub(crate) struct Args<'a>(pub(crate) Vec<Arg<'a>>);

impl<'a> Args<'a> {
    /// The value or weight in a slot.
    pub(crate) fn at(&self, slot: usize) -> &'a Tensor {
        match self.0[slot] {
            Arg::Tensor(tensor) => tensor,
            Arg::State(_) => panic!("a state stands in slot {slot} of a graph that verifies"),
        }
    }

    /// The weights from a slot on.
    pub(crate) fn from(&self, slot: usize) -> Vec<&'a Tensor> {
        (slot..self.0.len()).map(|slot| self.at(slot)).collect()
    }

    /// The state in a slot.
    pub(crate) fn state(&self, slot: usize) -> StateId {
        match self.0[slot] {
            Arg::State(state) => state,
            Arg::Tensor(_) => panic!("no state stands in slot {slot} of a graph that verifies"),
        }
    }
}
