//! What tells one model file from another, without reading all of it.

use crate::gguf::Gguf;

/// Bytes of a tensor that are looked at, in pieces that lie evenly apart.
const SAMPLED_BYTES: usize = 256 << 10;
const PIECE_BYTES: usize = 4 << 10;

/// BLAKE3 of names, types and shapes of all tensors and of up to 256 KiB of each: of all of a small
/// one, of a large one 64 pieces.
pub(crate) fn file_hash(gguf: &Gguf) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for tensor in gguf.tensors().values() {
        let head = format!("{} {} {:?}\n", tensor.name, tensor.ty.name(), tensor.dims);
        hasher.update(head.as_bytes());
        let bytes = gguf.data(tensor);
        if bytes.len() <= SAMPLED_BYTES {
            hasher.update(bytes);
            continue;
        }
        let pieces = SAMPLED_BYTES / PIECE_BYTES;
        for piece in 0..pieces {
            let first = (bytes.len() - PIECE_BYTES) / (pieces - 1) * piece;
            hasher.update(&bytes[first..first + PIECE_BYTES]);
        }
    }
    *hasher.finalize().as_bytes()
}
