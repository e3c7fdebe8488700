//! The order of ops on a state, kept by a patch: what it adds stands where it erased.

use petgraph::Direction;
use petgraph::visit::EdgeRef;

use super::{Patch, Place};
use crate::graph::{Edge, Graph, NodeId};
use crate::module::{StateId, Symbols};
use crate::plain::Plain;

/// The ops on one state in the order in which they run.
pub(super) struct Chain {
    pub(super) state: StateId,
    pub(super) old: Vec<NodeId>,
    pub(super) new: Vec<Place>,
}

impl Graph {
    /// The chains of all states from which the patch erases ops or to which it adds some.
    pub(super) fn new_chains(
        &self,
        patch: &Patch,
        symbols: &Symbols,
    ) -> Result<Vec<Chain>, String> {
        let mut states: Vec<StateId> = patch.erased.iter().filter_map(|n| self.state(*n)).collect();
        states.extend((0..patch.added.len()).filter_map(|i| patch.added_state(i)));
        states.sort_unstable();
        states.dedup();
        let chains = states
            .into_iter()
            .map(|s| self.new_chain(patch, s, symbols));
        chains.collect()
    }

    fn new_chain(&self, patch: &Patch, state: StateId, symbols: &Symbols) -> Result<Chain, String> {
        let erased = |n: &NodeId| patch.erased.contains(n);
        let on_state = |n: &NodeId| self.state(*n) == Some(state);
        // Without one that is erased the whole graph has to be looked through.
        let mut touched = patch.erased.iter().copied().filter(on_state);
        let member = touched.next().or_else(|| self.nodes().find(on_state));
        let old = member.map_or_else(Vec::new, |n| self.chain_through(n, state));
        let added = (0..patch.added.len()).filter(|i| patch.added_state(*i) == Some(state));
        let added: Vec<Place> = added.map(Place::New).collect();
        let mut new: Vec<Place> = Vec::new();
        let first = old.iter().position(erased);
        let count = old.iter().filter(|n| erased(n)).count();
        if !added.is_empty() {
            let name = symbols.state_of(state).map_or("?", |(name, _)| name);
            let run = first.unwrap_or(0);
            if first.is_none() && !old.is_empty() {
                return Err(format!(
                    "adds an op on state @{} in the place of none",
                    Plain(name)
                ));
            }
            if !old[run..run + count].iter().all(erased) {
                return Err(format!(
                    "erases ops on state @{} around one that stays",
                    Plain(name)
                ));
            }
        }
        for (i, node) in old.iter().enumerate() {
            if Some(i) == first {
                new.extend(&added);
            }
            if !erased(node) {
                new.push(Place::Old(*node));
            }
        }
        if first.is_none() {
            new.extend(&added);
        }
        Ok(Chain { state, old, new })
    }

    /// The ops on a state, of which `member` is one, in the order of their effect edges.
    fn chain_through(&self, member: NodeId, state: StateId) -> Vec<NodeId> {
        let walk = |from, direction| {
            let next = move |n: &NodeId| self.effect_neighbour(*n, state, direction);
            // Only in a graph that the verifier refuses the effects go round in a circle.
            std::iter::successors(next(&from), next).take(self.inner.node_count())
        };
        let mut chain: Vec<NodeId> = walk(member, Direction::Incoming).collect();
        chain.reverse();
        chain.push(member);
        chain.extend(walk(member, Direction::Outgoing));
        chain
    }

    /// The op that must touch the state just before this one.
    pub(super) fn effect_before(&self, id: NodeId, state: StateId) -> Option<NodeId> {
        self.effect_neighbour(id, state, Direction::Incoming)
    }

    fn effect_neighbour(&self, id: NodeId, state: StateId, dir: Direction) -> Option<NodeId> {
        let mut edges = self.inner.edges_directed(id.0, dir);
        let edge = edges.find(|e| *e.weight() == Edge::Effect(state))?;
        Some(NodeId(match dir {
            Direction::Outgoing => edge.target(),
            Direction::Incoming => edge.source(),
        }))
    }

    /// Lays the effect edges of the chains anew.
    pub(super) fn set_chains(&mut self, chains: &[Chain], added: &[NodeId]) {
        for chain in chains {
            let state = chain.state;
            chain.old.iter().for_each(|n| self.cut_effect(*n, state));
            let nodes: Vec<NodeId> = (chain.new.iter())
                .map(|place| match *place {
                    Place::Old(node) => node,
                    Place::New(i) => added[i],
                })
                .collect();
            for pair in nodes.windows(2) {
                self.add_effect(pair[0], pair[1], state);
            }
        }
    }

    /// Takes away the edge from the op before on the state.
    fn cut_effect(&mut self, id: NodeId, state: StateId) {
        let edge = (self
            .incoming(id)
            .find(|e| *e.weight() == Edge::Effect(state)))
        .map(|e| e.id());
        if let Some(edge) = edge {
            self.inner.remove_edge(edge);
        }
    }

    pub(crate) fn add_effect(&mut self, before: NodeId, after: NodeId, state: StateId) {
        let effect = Edge::Effect(state);
        self.inner.add_edge(before.0, after.0, effect);
    }
}
