//! Files that differ from another in some keys or tensors.

use sharpi_compile::gguf::Gguf;
use sharpi_compile::gguf::write::Writer;

/// The bytes of a file without the keys and tensors that are `left_out`, and with what `edit` adds
/// or puts in the place of others.
pub fn rewritten(
    source: &Gguf,
    left_out: impl Fn(&str) -> bool,
    edit: impl FnOnce(&Gguf, &mut Writer<'_>),
) -> Vec<u8> {
    let mut writer = Writer::new();
    for (key, value) in source.metadata().iter().filter(|(k, _)| !left_out(k)) {
        writer.metadata(key.clone(), value.clone());
    }
    for (name, tensor) in source.tensors().iter().filter(|(n, _)| !left_out(n)) {
        let data = source.data(tensor).to_vec();
        writer.tensor(name.clone(), tensor.ty, &tensor.dims, data);
    }
    edit(source, &mut writer);
    let mut bytes = Vec::new();
    writer.write(&mut bytes).expect("a model in memory");
    bytes
}
