//! What tells one model from another: a saved state belongs to the arithmetic that made it.

use std::sync::Arc;

use sharpi_ir::{Attr, Module};

use super::ops::Weight;

/// Of a model: its states, the constants of its ops, names, types and shapes of its weights, and
/// samples of their bytes. How it was compiled is of no account.
pub(super) type Fingerprint = [u8; 32];

/// Places of a weight that are looked at, and bytes of each.
const SAMPLES: usize = 8;
const SAMPLE_BYTES: usize = 256;

pub(super) fn fingerprint(module: &Module, weights: &[(String, Arc<Weight>)]) -> Fingerprint {
    let mut hasher = blake3::Hasher::new();
    let mut text = |text: &str| {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    };
    for (_, name, ty) in module.symbols.states() {
        text(name);
        text(&ty.to_string());
    }
    constants(module).iter().for_each(|c| text(c));
    for (name, weight) in weights {
        text(name);
        text(&format!("{} {:?}", weight.ty.name(), weight.dims));
    }
    for (_, weight) in weights {
        let bytes = weight.bytes();
        for i in 0..SAMPLES {
            let first = bytes.len() / SAMPLES * i;
            hasher.update(&bytes[first..bytes.len().min(first + SAMPLE_BYTES)]);
        }
    }
    *hasher.finalize().as_bytes()
}

/// The numbers that ops compute with, each once: fused ops have those of their parts.
fn constants(module: &Module) -> Vec<String> {
    let ops = module.graphs.values().flat_map(|graph| {
        let nodes = graph.nodes();
        nodes
            .filter_map(|node| graph.op(node))
            .flat_map(|op| op.attrs())
    });
    let mut constants = Vec::new();
    ops.for_each(|(name, attr)| push_constants(name, &attr, &mut constants));
    constants.sort_unstable();
    constants.dedup();
    constants
}

fn push_constants(name: &str, attr: &Attr, constants: &mut Vec<String>) {
    match attr {
        Attr::Float(_) => constants.push(attr.to_string()),
        // Sizes show in the shapes of weights, and parts differ by how ops are fused.
        Attr::Int(_) | Attr::Group(_) if ["n_rot", "scaling"].contains(&name) => {
            constants.push(format!("{name} {attr}"));
        }
        Attr::Case(_, parts) => {
            let parts = parts.iter();
            parts.for_each(|(name, part)| push_constants(name, part, constants));
        }
        Attr::Int(_) | Attr::Group(_) | Attr::Ints(_) | Attr::DType(_) => {}
    }
}
