//! Whether a patch would close a cycle, found before it is applied.
//!
//! Most patches cannot, and their own surroundings show it, so that the time to patch a graph does
//! not grow with the graph; for the others everything that the patched nodes depend on is
//! searched.
//!
//! Why surroundings are enough: call an edge of the patched graph *rewired* if it leads into an
//! old node that took its operand, or was ordered on a state, from another node before: `s → u`
//! where there was `n → u`. In a cycle, what stands before `s` is an old node `r` that `s` needs,
//! perhaps through added nodes. If there was a path from `r` to `n`, or from `s` itself, then
//! `r … n → u` was in the old graph. With all rewired edges of the cycle exchanged like that, the
//! old graph had a cycle, which it has not. For that the edge `r → s` must not be rewired itself.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet, VecDeque};

use petgraph::visit::EdgeRef;

use super::effects::Chain;
use super::{Patch, PatchOperand, Place};
use crate::graph::{Edge, Graph, NodeId, Operand, Value};

/// Levels of nodes before one that are looked at: what a rule leaves standing, such as a norm or a
/// rounding that others read too, and what that reads.
const NEAR: usize = 2;

/// An edge into an old node, from `source`, in the place of one from `before`.
struct Rewired {
    source: Place,
    before: Option<NodeId>,
}

impl Graph {
    /// Whether the patched graph would have a cycle.
    pub(super) fn would_cycle(&self, patch: &Patch, chains: &[Chain]) -> bool {
        !self.plainly_acyclic(patch, chains) && self.search_cycle(patch, chains)
    }

    /// Whether each rewired edge stands for a path that was there before; looks no further than
    /// what the patch names, erases and adds.
    fn plainly_acyclic(&self, patch: &Patch, chains: &[Chain]) -> bool {
        (self.rewired(patch, chains).iter()).all(|edge| {
            let Some(before) = edge.before else {
                return false;
            };
            let region = self.region_before(before, patch);
            match edge.source {
                Place::Old(node) if region.contains(&node) => true,
                Place::Old(node) => {
                    let needs = self.patched_needs(edge.source, patch, chains);
                    let old: Vec<Place> = self.needs(node).map(Place::Old).collect();
                    needs == old && self.needs(node).all(|n| region.contains(&n))
                }
                Place::New(_) => self
                    .old_needs(edge.source, patch, chains)
                    .is_subset(&region),
            }
        })
    }

    fn rewired(&self, patch: &Patch, chains: &[Chain]) -> Vec<Rewired> {
        let replaced = patch.replaced.iter().filter_map(|(old, new)| {
            let (source, before) = (place(*new)?, Some(old.node));
            Some(Rewired { source, before })
        });
        let set = patch.operands.iter().filter_map(|(node, slot, new)| {
            let old = self.operands(*node).get(*slot).copied();
            let before = match old {
                Some(Operand::Value(v)) => Some(v.node),
                Some(Operand::Weight(_) | Operand::State(_)) | None => None,
            };
            Some(Rewired {
                source: place(*new)?,
                before,
            })
        });
        let ordered = chains.iter().flat_map(|chain| {
            chain.new.windows(2).filter_map(|pair| {
                let Place::Old(node) = pair[1] else {
                    return None;
                };
                let (source, before) = (pair[0], self.effect_before(node, chain.state));
                (before.map(Place::Old) != Some(source)).then_some(Rewired { source, before })
            })
        });
        replaced.chain(set).chain(ordered).collect()
    }

    /// `node` and what stands near before it or before what is erased there: all of it leads to
    /// `node`.
    fn region_before(&self, node: NodeId, patch: &Patch) -> HashSet<NodeId> {
        let mut region = HashSet::from([node]);
        let mut open = VecDeque::from([(node, NEAR)]);
        while let Some((next, levels)) = open.pop_front() {
            for need in self.needs(next) {
                let levels = match patch.erased.contains(&need) {
                    true => NEAR,
                    false => levels - 1,
                };
                if region.insert(need) && levels > 0 {
                    open.push_back((need, levels));
                }
            }
        }
        region
    }

    /// The old nodes that an added one needs, through other added ones too.
    fn old_needs(&self, added: Place, patch: &Patch, chains: &[Chain]) -> HashSet<NodeId> {
        let (mut old, mut seen) = (HashSet::new(), HashSet::from([added]));
        let mut open = vec![added];
        while let Some(next) = open.pop() {
            for need in self.patched_needs(next, patch, chains) {
                match need {
                    Place::Old(node) => {
                        old.insert(node);
                    }
                    Place::New(_) if seen.insert(need) => open.push(need),
                    Place::New(_) => {}
                }
            }
        }
        old
    }

    /// Searches everything that the patched nodes depend on. A cycle that was not there before
    /// leads through an operand or an effect that the patch makes, so the search starts at these.
    fn search_cycle(&self, patch: &Patch, chains: &[Chain]) -> bool {
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

    /// What a node depends on as the graph is.
    fn needs(&self, node: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        self.incoming(node).map(|e| NodeId(e.source()))
    }

    /// What a node of the patched graph depends on.
    fn patched_needs(&self, of: Place, patch: &Patch, chains: &[Chain]) -> Vec<Place> {
        let before = |pair: &[Place]| (pair[1] == of).then_some(pair[0]);
        let pairs = chains.iter().flat_map(|c| c.new.windows(2));
        let mut needs: Vec<Place> = pairs.filter_map(before).collect();
        match of {
            Place::New(i) => {
                let operands = patch.added[i].operands.iter();
                needs.extend(operands.filter_map(|o| place(*o)));
            }
            Place::Old(node) => {
                let set = patch.operands.iter().filter(|(n, _, _)| *n == node);
                needs.extend(set.filter_map(|(_, _, new)| place(*new)));
                needs.extend(self.incoming(node).filter_map(|e| match *e.weight() {
                    Edge::Data { slot, .. } if patch.set_to(node, slot.into()).is_some() => None,
                    Edge::Data { result, .. } => {
                        let node = NodeId(e.source());
                        let old = Value { node, result };
                        place(patch.replacement(old).unwrap_or(Operand::Value(old).into()))
                    }
                    Edge::Effect(state) if chains.iter().any(|c| c.state == state) => None,
                    Edge::Effect(_) => Some(Place::Old(NodeId(e.source()))),
                }));
            }
        }
        needs
    }
}

/// The node that makes an operand; none makes weights and states.
fn place(operand: PatchOperand) -> Option<Place> {
    match operand {
        PatchOperand::Old(Operand::Value(v)) => Some(Place::Old(v.node)),
        PatchOperand::Old(Operand::Weight(_) | Operand::State(_)) => None,
        PatchOperand::New { node, .. } => Some(Place::New(node)),
    }
}
