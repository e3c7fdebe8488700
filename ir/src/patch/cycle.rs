//! Whether a patch would close a cycle, found before it is applied.

use std::collections::HashMap;

use petgraph::visit::EdgeRef;

use super::effects::Chain;
use super::{Patch, PatchOperand, Place};
use crate::graph::{Edge, Graph, NodeId, Operand, Value};

impl Graph {
    /// Whether the patched graph would have a cycle. One that was not there before leads through
    /// an operand or an effect that the patch makes, so the search starts at these.
    pub(super) fn would_cycle(&self, patch: &Patch, chains: &[Chain]) -> bool {
        let users = patch.replaced.iter().flat_map(|(v, _)| self.users(*v));
        let mut stack: Vec<(Place, bool)> = (users.map(|(n, _)| n))
            .chain(patch.operands.iter().map(|(n, _, _)| *n))
            .map(Place::Old)
            .chain((0..patch.added.len()).map(Place::New))
            .chain(chains.iter().flat_map(|c| c.new.iter().copied()))
            .map(|place| (place, false))
            .collect();
        // Present: on the way from the start or done. True: done, with all it needs.
        let mut seen: HashMap<Place, bool> = HashMap::new();
        while let Some((place, needs_done)) = stack.pop() {
            if needs_done {
                seen.insert(place, true);
                continue;
            }
            if seen.contains_key(&place) {
                continue;
            }
            seen.insert(place, false);
            stack.push((place, true));
            for need in self.patched_needs(place, patch, chains) {
                match seen.get(&need) {
                    Some(false) => return true,
                    Some(true) => {}
                    None => stack.push((need, false)),
                }
            }
        }
        false
    }

    /// What a node of the patched graph depends on.
    fn patched_needs(&self, place: Place, patch: &Patch, chains: &[Chain]) -> Vec<Place> {
        let node_of = |operand: PatchOperand| match operand {
            PatchOperand::Old(Operand::Value(v)) => Some(Place::Old(v.node)),
            PatchOperand::Old(Operand::Weight(_) | Operand::State(_)) => None,
            PatchOperand::New { node, .. } => Some(Place::New(node)),
        };
        let before = |pair: &[Place]| (pair[1] == place).then_some(pair[0]);
        let pairs = chains.iter().flat_map(|c| c.new.windows(2));
        let mut needs: Vec<Place> = pairs.filter_map(before).collect();
        match place {
            Place::New(i) => {
                let operands = patch.added[i].operands.iter();
                needs.extend(operands.filter_map(|o| node_of(*o)));
            }
            Place::Old(node) => {
                let set = patch.operands.iter().filter(|(n, _, _)| *n == node);
                needs.extend(set.filter_map(|(_, _, new)| node_of(*new)));
                needs.extend(self.incoming(node).filter_map(|e| match *e.weight() {
                    Edge::Data { slot, .. } if patch.set_to(node, slot.into()).is_some() => None,
                    Edge::Data { result, .. } => {
                        let node = NodeId(e.source());
                        let old = Value { node, result };
                        node_of(patch.replacement(old).unwrap_or(Operand::Value(old).into()))
                    }
                    Edge::Effect(state) if chains.iter().any(|c| c.state == state) => None,
                    Edge::Effect(_) => Some(Place::Old(NodeId(e.source()))),
                }));
            }
        }
        needs
    }
}
