//! The operands of an op as the shape rules ask for them.

use super::{OperandType, Result};
use crate::op::Op;
use crate::signature::{OperandKind, SlotName};
use crate::types::{DType, Dim, Index, StateType, Symbol, TensorType};

/// The operand list of one op, with errors that name the slot.
pub(super) struct Args<'a> {
    pub(super) op: &'a Op,
    pub(super) types: &'a [OperandType<'a>],
}

impl<'a> Args<'a> {
    /// The operand under a name.
    fn at(&self, name: SlotName) -> &'a OperandType<'a> {
        match self.op.slot(name) {
            Some(slot) => &self.types[slot],
            None => unreachable!("a rule asks for an operand that the op does not have"),
        }
    }

    /// The weights under the last name.
    pub(super) fn weights(&self, name: SlotName) -> Vec<SlotName> {
        let first = self.op.slot(name).unwrap_or(self.types.len());
        let count = self.types.len().saturating_sub(first);
        (0..count).map(|n| name.nth(n)).collect()
    }

    /// Number and kinds as the signature says.
    pub(super) fn check_kinds(&self) -> Result<()> {
        let (count, slots) = (self.types.len(), self.op.operands().count());
        let last = self.op.operands().last();
        let repeated = last.filter(|o| o.kind == OperandKind::Matrices);
        if count < slots || (count > slots && repeated.is_none()) {
            fail!("operand count is {count}, expected {slots}");
        }
        let specs = self.op.operands().chain(repeated.into_iter().cycle());
        for (i, (spec, ty)) in specs.zip(self.types).enumerate() {
            let (fits, found) = match ty {
                OperandType::Value(_) => (
                    matches!(spec.kind, OperandKind::Value | OperandKind::ValueOrWeight),
                    "a value",
                ),
                OperandType::Weight(_) => (
                    matches!(
                        spec.kind,
                        OperandKind::Weight
                            | OperandKind::Matrix
                            | OperandKind::Matrices
                            | OperandKind::ValueOrWeight
                    ),
                    "a weight",
                ),
                OperandType::State(_) => (spec.kind.is_state(), "a state"),
            };
            if !fits {
                let expected = match spec.kind {
                    OperandKind::Value => "a value",
                    OperandKind::Weight | OperandKind::Matrix | OperandKind::Matrices => "a weight",
                    OperandKind::ValueOrWeight => "a value or a weight",
                    OperandKind::State | OperandKind::Cache => "a state",
                };
                fail!(
                    "operand {i} ({}) is {found}, expected {expected}",
                    spec.name
                );
            }
        }
        Ok(())
    }

    /// States go on with the tokens of a run: what an op takes in stands along that axis.
    pub(super) fn check_state_axis(&self) -> Result<()> {
        let tokens = Dim::Sym(Symbol::TOKENS);
        if self.op.state_slot().is_some()
            && self.tensor(SlotName::FIRST).shape.first() != Some(&tokens)
        {
            return self.mismatch(
                SlotName::FIRST,
                "the tokens of the run along the first axis, T",
            );
        }
        Ok(())
    }

    /// Infinities and NaNs have no textual form and no sense as constants.
    pub(super) fn check_floats(&self) -> Result<()> {
        for (name, attr) in self.op.attrs() {
            if !attr.is_finite() {
                fail!("{name} is {attr}, expected finite numbers");
            }
        }
        Ok(())
    }

    /// A value's or a weight's type.
    pub(super) fn tensor(&self, name: SlotName) -> &'a TensorType {
        match self.at(name) {
            OperandType::Value(t) | OperandType::Weight(t) => t,
            OperandType::State(_) => unreachable!("check_kinds let a state into a tensor slot"),
        }
    }

    /// A state's type.
    pub(super) fn state(&self, name: SlotName) -> &'a StateType {
        match self.at(name) {
            OperandType::State(s) => s,
            OperandType::Value(_) | OperandType::Weight(_) => {
                unreachable!("check_kinds let a tensor into a state slot")
            }
        }
    }

    /// The error that an operand is not as expected.
    pub(super) fn mismatch<T>(&self, name: SlotName, expected: &str) -> Result<T> {
        let ty = match self.at(name) {
            OperandType::Value(t) | OperandType::Weight(t) => t.to_string(),
            OperandType::State(s) => s.to_string(),
        };
        let slot = self.op.slot(name).unwrap_or(0);
        let of = self.op.operand(slot).map_or("", |o| o.name);
        fail!("operand {slot} ({of}) has type {ty}, expected {expected}")
    }

    /// An f32 tensor of at least `rank` dimensions.
    pub(super) fn f32(&self, name: SlotName, rank: usize) -> Result<&'a TensorType> {
        let t = self.tensor(name);
        if t.dtype != DType::F32 || t.rank() < rank {
            return self.mismatch(name, &format!("f32 of {rank} or more dimensions"));
        }
        Ok(t)
    }

    /// The operand has this very type.
    pub(super) fn exactly(&self, name: SlotName, expected: &TensorType) -> Result<()> {
        if self.tensor(name) != expected {
            return self.mismatch(name, &expected.to_string());
        }
        Ok(())
    }

    /// Numbers of one dimension, each below some size up to `most`; their count is returned.
    pub(super) fn indices(&self, name: SlotName, most: Dim) -> Result<Dim> {
        let t = self.tensor(name);
        if t.rank() != 1 || !self.is_below(name, most) {
            return self.mismatch(name, &format!("index<{most}> of 1 dimension"));
        }
        Ok(t.shape[0])
    }

    /// Whether an operand has numbers that are all below `most`.
    pub(super) fn is_below(&self, name: SlotName, most: Dim) -> bool {
        match (self.tensor(name).index, most) {
            (Some(Index::Below(Dim::Fixed(n))), Dim::Fixed(most)) => n <= most,
            (Some(Index::Below(n)), most) => n == most,
            (Some(Index::Position) | None, _) => false,
        }
    }

    /// Head count and head size of `[T, H, D]`.
    pub(super) fn heads(&self, name: SlotName) -> Result<(usize, usize)> {
        let t = self.f32(name, 3)?;
        match (t.rank(), t.shape[1].fixed(), t.shape[2].fixed()) {
            (3, Some(h), Some(d)) => Ok((h, d)),
            _ => self.mismatch(name, "f32[T, heads, head size]"),
        }
    }
}
