//! A structural hash: equal for graphs of the same shape, whatever their numbering and names.

use std::collections::HashMap;

use crate::graph::{Graph, NodeKind, Operand, Value};
use crate::module::Symbols;

/// FNV-1a, 64 bits: the same on every machine and in every release.
pub(crate) struct Fnv(pub(crate) u64);

impl Fnv {
    pub(crate) fn new() -> Fnv {
        Fnv(0xcbf2_9ce4_8422_2325)
    }

    pub(crate) fn text(&mut self, s: &str) {
        for byte in s.bytes().chain([0]) {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    pub(crate) fn number(&mut self, n: u64) {
        for byte in n.to_le_bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

impl Graph {
    /// Hash over ops, attributes, operands, types, bounds and the names of weights, states,
    /// inputs and outputs. Value names and node numbers do not count.
    pub fn structural_hash(&self, symbols: &Symbols) -> u64 {
        let mut hashes: HashMap<_, u64> = HashMap::new();
        let mut whole = Fnv::new();
        for node in self.order() {
            let mut h = Fnv::new();
            match self.kind(node) {
                NodeKind::Input(name) => h.text(name),
                NodeKind::Op(op) => {
                    h.text(op.mnemonic());
                    for (name, attr) in op.attrs() {
                        h.text(name);
                        h.text(&attr.to_string());
                    }
                }
            }
            for r in self.results(node) {
                h.text(&r.ty.to_string());
            }
            for operand in self.operands(node) {
                match operand {
                    Operand::Value(Value { node, result }) => {
                        h.number(hashes.get(&node).copied().unwrap_or(0));
                        h.number(u64::from(result));
                    }
                    Operand::Weight(w) => {
                        let weight = symbols.weight_of(w);
                        h.text(weight.map_or("", |(name, _)| name));
                        h.text(&weight.map_or(String::new(), |(_, w)| w.ty.to_string()));
                    }
                    Operand::State(s) => h.text(symbols.state_of(s).map_or("", |(name, _)| name)),
                }
            }
            hashes.insert(node, h.0);
            whole.number(h.0);
        }
        for (name, v) in self.outputs() {
            whole.text(name);
            whole.number(hashes.get(&v.node).copied().unwrap_or(0));
            whole.number(u64::from(v.result));
        }
        for (symbol, range) in self.bounds() {
            whole.text(&format!("{symbol} {range:?}"));
        }
        whole.0
    }
}
