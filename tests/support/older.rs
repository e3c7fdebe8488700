//! Models as older converters wrote them.

use sharpi_compile::gguf::write::Writer;
use sharpi_compile::gguf::{Gguf, TensorInfo};

use super::rewrite::rewritten;

/// The bytes of a `qwen3next` file whose DeltaNet blocks have one matrix, `ssm_in.weight`, in the place
/// of `attn_qkv.weight` and `attn_gate.weight`: for each k-head the rows of its queries and keys,
/// then of the values of its v-heads, then of their gates.
pub fn joint(source: &Gguf) -> Vec<u8> {
    let parts = ["attn_qkv.weight", "attn_gate.weight"];
    let is_part = |name: &str| parts.iter().any(|part| name.ends_with(part));
    rewritten(source, is_part, |source, writer| {
        let count = |key| source.get(key).and_then(|value| value.as_u64());
        let heads = count("qwen3next.ssm.group_count").expect("k-heads") as usize;
        let names = source.tensors().keys();
        for block in names.filter_map(|name| name.strip_suffix(parts[0])) {
            let part = |name| source.tensor(&format!("{block}{name}")).expect("a matrix");
            join(source, block, parts.map(part), heads, writer);
        }
    })
}

fn join(
    source: &Gguf,
    block: &str,
    [qkv, z]: [&TensorInfo; 2],
    heads: usize,
    writer: &mut Writer<'_>,
) {
    let rows = |tensor: &TensorInfo| tensor.dims[1] as usize;
    let row = source.data(z).len() / rows(z);
    let of_values = rows(z) / heads;
    let of_keys = (rows(qkv) - rows(z)) / (2 * heads);
    let (q, rest) = source.data(qkv).split_at(heads * of_keys * row);
    let (k, v) = rest.split_at(heads * of_keys * row);
    let sizes = [of_keys, of_keys, of_values, of_values];
    let mut joint = Vec::new();
    for head in 0..heads {
        for (part, size) in [q, k, v, source.data(z)].into_iter().zip(sizes) {
            joint.extend_from_slice(&part[head * size * row..][..size * row]);
        }
    }
    let dims = [qkv.dims[0], (rows(qkv) + rows(z)) as u64];
    writer.tensor(format!("{block}ssm_in.weight"), qkv.ty, &dims, joint);
}
