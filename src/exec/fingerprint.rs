//! What tells one model from another: a saved state belongs to the arithmetic that made it.

use std::sync::Arc;

use sharpi_ir::{Attr, Graph, Module, Operand};

use super::ops::Weight;
use crate::gguf::Gguf;
use crate::lower::TRUNK;

/// Of a model: its states, the constants of its ops, names, types and shapes of its weights, and
/// samples of their bytes; and how many ranks share it. How it was compiled is of no account.
pub(super) type Fingerprint = [u8; 32];

/// Places of a weight that are looked at, and bytes of each.
const SAMPLES: usize = 8;
const SAMPLE_BYTES: usize = 256;

pub(super) fn fingerprint(
    module: &Module,
    weights: &[(String, Arc<Weight>)],
    ranks: usize,
) -> Fingerprint {
    let mut hasher = blake3::Hasher::new();
    let mut text = |text: &str| put(&mut hasher, text.as_bytes());
    if ranks > 1 {
        text(&format!("{ranks} ranks"));
    }
    for (_, name, ty) in module.symbols.states() {
        text(name);
        text(&ty.to_string());
    }
    constants(module.graphs.values())
        .iter()
        .for_each(|c| text(c));
    for (name, weight) in weights {
        text(name);
        text(&format!("{} {:?}", weight.ty.name(), weight.dims));
    }
    for (_, weight) in weights {
        samples(weight.bytes()).for_each(|bytes| {
            hasher.update(bytes);
        });
    }
    *hasher.finalize().as_bytes()
}

/// Some of the bytes of a weight.
pub(super) fn samples(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    (0..SAMPLES).map(|i| {
        let first = bytes.len() / SAMPLES * i;
        &bytes[first..bytes.len().min(first + SAMPLE_BYTES)]
    })
}

/// What decides the logits: of the trunk alone, so that it does not depend on whether there are drafts.
/// First its states and the constants of its ops, then names, types, shapes and all bytes of the
/// tensors that it computes with, in the order of their names.
pub(super) fn proof(module: &Module, gguf: &Gguf) -> [[u8; 32]; 2] {
    let trunk = module.graphs.get(TRUNK);
    let mut arithmetic = blake3::Hasher::new();
    let mut text = |text: &str| put(&mut arithmetic, text.as_bytes());
    let mut states: Vec<String> = Vec::new();
    let mut tensors: Vec<&str> = Vec::new();
    for node in trunk.into_iter().flat_map(Graph::nodes) {
        for operand in trunk.into_iter().flat_map(|trunk| trunk.operands(node)) {
            match operand {
                Operand::Weight(id) => {
                    let weight = module.symbols.weight_of(id);
                    tensors.extend(weight.map(|(_, weight)| &*weight.source));
                }
                Operand::State(id) => {
                    let state = module.symbols.state_of(id);
                    states.extend(state.map(|(name, ty)| format!("{name} {ty}")));
                }
                Operand::Value(_) => {}
            }
        }
    }
    for list in [states, constants(trunk.into_iter())] {
        sorted(list).iter().for_each(|line| text(line));
    }
    let mut weights = blake3::Hasher::new();
    for name in sorted(tensors) {
        if let Some(tensor) = gguf.tensor(name) {
            let head = format!("{name} {} {:?}", tensor.ty.name(), tensor.dims);
            put(&mut weights, head.as_bytes());
            put(&mut weights, gguf.data(tensor));
        }
    }
    [arithmetic, weights].map(|hasher| *hasher.finalize().as_bytes())
}

/// Bytes with their length before them.
fn put(hasher: &mut blake3::Hasher, bytes: &[u8]) {
    hasher.update(&(bytes.len() as u64).to_le_bytes());
    hasher.update_rayon(bytes);
}

fn sorted<T: Ord>(mut list: Vec<T>) -> Vec<T> {
    list.sort_unstable();
    list.dedup();
    list
}

/// The numbers that ops compute with, each once: fused ops have those of their parts.
fn constants<'g>(graphs: impl Iterator<Item = &'g Graph>) -> Vec<String> {
    let ops = graphs.flat_map(|graph| {
        let nodes = graph.nodes();
        nodes
            .filter_map(|node| graph.op(node))
            .flat_map(|op| op.attrs())
    });
    let mut constants = Vec::new();
    ops.for_each(|(name, attr)| push_constants(name, &attr, &mut constants));
    sorted(constants)
}

fn push_constants(name: &str, attr: &Attr, constants: &mut Vec<String>) {
    match attr {
        Attr::Float(_) | Attr::Floats(_) => constants.push(attr.to_string()),
        // Sizes show in the shapes of weights, and parts differ by how ops are fused.
        Attr::Int(_) | Attr::Group(_) if ["n_rot", "scaling"].contains(&name) => {
            constants.push(format!("{name} {attr}"));
        }
        Attr::Case(_, parts) => {
            let parts = parts.iter();
            parts.for_each(|(name, part)| push_constants(name, part, constants));
        }
        Attr::Int(_) | Attr::Group(_) | Attr::Ints(_) | Attr::DType(_) | Attr::Parts(_) => {}
    }
}
