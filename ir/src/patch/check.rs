//! What must hold before a patch is applied.

use smallvec::SmallVec;

use super::{Patch, PatchOperand};
use crate::graph::{Graph, NodeId, Operand, Value};
use crate::infer::{OperandType, infer};
use crate::module::{StateId, Symbols};
use crate::op::Op;
use crate::types::TensorType;

impl Patch {
    /// The state of an added op.
    pub(super) fn added_state(&self, added: usize) -> Option<StateId> {
        let operands = self.added[added].operands.iter();
        operands.into_iter().find_map(|o| match o {
            PatchOperand::Old(Operand::State(s)) => Some(*s),
            PatchOperand::Old(Operand::Value(_) | Operand::Weight(_))
            | PatchOperand::New { .. } => None,
        })
    }

    /// What an operand of an old node becomes, if the patch sets it.
    pub(super) fn set_to(&self, node: NodeId, slot: usize) -> Option<PatchOperand> {
        let set = self.operands.iter().rev();
        let set = set.into_iter().find(|(n, s, _)| (*n, *s) == (node, slot));
        set.map(|(_, _, new)| *new)
    }

    pub(super) fn replacement(&self, old: Value) -> Option<PatchOperand> {
        let found = self.replaced.iter().find(|(v, _)| *v == old);
        found.map(|(_, new)| *new)
    }

    /// All that the patch puts into a slot or an output.
    fn read(&self) -> impl Iterator<Item = PatchOperand> + '_ {
        let added = self.added.iter().flat_map(|n| n.operands.iter().copied());
        let replaced = self.replaced.iter().map(|(_, new)| *new);
        let set = self.operands.iter().map(|(_, _, new)| *new);
        added.chain(replaced).chain(set)
    }
}

impl Graph {
    /// Types of the added nodes, or what is wrong with the patch.
    pub(super) fn check(
        &self,
        patch: &Patch,
        symbols: &Symbols,
    ) -> Result<Vec<Vec<TensorType>>, String> {
        let targets = patch.operands.iter().map(|(n, _, _)| n);
        if !(patch.erased.iter().chain(targets)).all(|n| self.contains(*n)) {
            return Err("touches a node that is not there".into());
        }
        for operand in patch.read() {
            if let PatchOperand::Old(Operand::Value(v)) = operand
                && patch.erased.contains(&v.node)
            {
                return Err("reads a value that it erases".into());
            }
        }
        let types = self.check_added(patch, symbols)?;
        self.check_replaced(patch, &types, symbols)?;
        self.check_operands(patch, &types, symbols)?;
        self.check_erased(patch)?;
        Ok(types)
    }

    fn check_added(
        &self,
        patch: &Patch,
        symbols: &Symbols,
    ) -> Result<Vec<Vec<TensorType>>, String> {
        let mut types: Vec<Vec<TensorType>> = Vec::new();
        for new in &patch.added {
            let results = self.infer_patched(&new.op, &new.operands, &types, symbols)?;
            types.push(results);
        }
        Ok(types)
    }

    fn check_replaced(
        &self,
        patch: &Patch,
        types: &[Vec<TensorType>],
        symbols: &Symbols,
    ) -> Result<(), String> {
        for (i, (old, new)) in patch.replaced.iter().enumerate() {
            let Some(before) = self.find(*old).map(|r| &r.ty) else {
                return Err("replaces a value that is not there".into());
            };
            if patch.replaced[..i].iter().any(|(v, _)| v == old) {
                return Err(format!("replaces a value of type {before} twice"));
            }
            if let PatchOperand::Old(Operand::Value(v)) = new
                && patch.replacement(*v).is_some()
            {
                return Err(format!(
                    "replaces a value of type {before} by one that it replaces too"
                ));
            }
            match self.patch_type(new, types, symbols) {
                Some(OperandType::Value(after)) if after == before => {}
                Some(OperandType::Value(after)) => {
                    return Err(format!("{before} replaced by {after}"));
                }
                Some(OperandType::Weight(_) | OperandType::State(_)) | None => {
                    return Err("a value replaced by what is none".into());
                }
            }
        }
        Ok(())
    }

    fn check_operands(
        &self,
        patch: &Patch,
        types: &[Vec<TensorType>],
        symbols: &Symbols,
    ) -> Result<(), String> {
        for (node, slot, new) in &patch.operands {
            let Some(op) = self.op(*node) else {
                return Err("an input has no operands".into());
            };
            let old = self.operands(*node);
            let is_state = |o: &PatchOperand| matches!(o, PatchOperand::Old(Operand::State(_)));
            let before = *old.get(*slot).ok_or("no such operand slot")?;
            if is_state(new) || is_state(&PatchOperand::Old(before)) {
                return Err(format!("{}: the state is not to be set", op.mnemonic()));
            }
            let operands = old.into_iter().enumerate();
            let operands: Vec<PatchOperand> = operands
                .map(|(i, o)| patch.set_to(*node, i).unwrap_or(PatchOperand::Old(o)))
                .collect();
            let results = self.infer_patched(op, &operands, types, symbols)?;
            if !results.iter().eq(self.results(*node).iter().map(|r| &r.ty)) {
                return Err(format!("{} would change its result type", op.mnemonic()));
            }
        }
        Ok(())
    }

    fn check_erased(&self, patch: &Patch) -> Result<(), String> {
        for v in patch.erased.iter().flat_map(|n| self.values(*n)) {
            let reads = |(n, slot): &(NodeId, usize)| {
                !patch.erased.contains(n) && patch.set_to(*n, *slot).is_none()
            };
            let used = self.users(v).iter().any(reads) || self.is_output(v);
            if used && patch.replacement(v).is_none() {
                return Err(format!(
                    "erases a value of type {} that is used",
                    self.ty(v)
                ));
            }
        }
        Ok(())
    }

    fn infer_patched(
        &self,
        op: &Op,
        operands: &[PatchOperand],
        added: &[Vec<TensorType>],
        symbols: &Symbols,
    ) -> Result<Vec<TensorType>, String> {
        let types = operands.iter().map(|o| self.patch_type(o, added, symbols));
        let types: Option<SmallVec<[OperandType; 6]>> = types.collect();
        let types = types.ok_or_else(|| format!("{} has an unknown operand", op.mnemonic()))?;
        let results = infer(op, &types).map_err(|e| format!("{}: {e}", op.mnemonic()))?;
        Ok(results.into_vec())
    }

    fn patch_type<'a>(
        &'a self,
        operand: &PatchOperand,
        added: &'a [Vec<TensorType>],
        symbols: &'a Symbols,
    ) -> Option<OperandType<'a>> {
        match *operand {
            PatchOperand::Old(o) => self.operand_types(&[o], symbols)?.pop(),
            PatchOperand::New { node, result } => {
                let ty = added.get(node)?.get(result as usize)?;
                Some(OperandType::Value(ty))
            }
        }
    }
}
