//! What tells one model file from another.

use crate::gguf::Gguf;

/// BLAKE3 of names, types, shapes and bytes of all tensors. It reads the whole file once: a share that
/// was of another file would change results, and nothing else would show it.
pub(crate) fn file_hash(gguf: &Gguf) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for tensor in gguf.tensors().values() {
        let head = format!("{} {} {:?}\n", tensor.name, tensor.ty.name(), tensor.dims);
        hasher.update(head.as_bytes());
        hasher.update_rayon(gguf.data(tensor));
    }
    *hasher.finalize().as_bytes()
}
