//! Files put together field by field, so that any field can be wrong.

use sharpi_compile::gguf::{Fault, Gguf, GgufError};

/// The bytes of a file so far.
#[derive(Clone)]
pub struct Raw(pub Vec<u8>);

impl Raw {
    /// A version 3 header that promises these numbers of things.
    pub fn new(tensors: u64, pairs: u64) -> Raw {
        Raw(b"GGUF".to_vec()).u32(3).u64(tensors).u64(pairs)
    }

    pub fn bytes(mut self, bytes: &[u8]) -> Raw {
        self.0.extend_from_slice(bytes);
        self
    }

    pub fn u32(self, n: u32) -> Raw {
        self.bytes(&n.to_le_bytes())
    }

    pub fn u64(self, n: u64) -> Raw {
        self.bytes(&n.to_le_bytes())
    }

    pub fn text(self, text: impl AsRef<[u8]>) -> Raw {
        let text = text.as_ref();
        self.u64(text.len() as u64).bytes(text)
    }

    /// An entry of the tensor table.
    pub fn tensor(self, name: &str, dims: &[u64], ty: u32, offset: u64) -> Raw {
        let start = self.text(name).u32(dims.len() as u32);
        let dims = dims.iter().fold(start, |raw, &dim| raw.u64(dim));
        dims.u32(ty).u64(offset)
    }

    /// Zeros up to a multiple of 32 and then `bytes` more.
    pub fn data(mut self, bytes: usize) -> Raw {
        let start = self.0.len().next_multiple_of(32);
        self.0.resize(start + bytes, 0);
        self
    }

    /// Asserts that reading the file fails with exactly this message.
    pub fn fails(self, message: &str) -> Box<Fault> {
        match Gguf::from_bytes(self.0) {
            Err(error @ GgufError::Malformed { .. }) => {
                assert_eq!(error.to_string(), message);
                let GgufError::Malformed { what, .. } = error else {
                    unreachable!()
                };
                what.fault
            }
            other => panic!("expected {message:?}, got {other:?}"),
        }
    }
}
