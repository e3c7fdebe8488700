//! Where the bytes of a model file live.

use std::fs::File;
use std::io;
use std::path::Path;

use memmap2::Mmap;

/// The bytes of one model file.
pub(super) enum Storage {
    /// A read-only private map of a file.
    Mapped(Mmap),
    /// Bytes linked into the program.
    Static(&'static [u8]),
    /// Bytes on the heap.
    Owned(Vec<u8>),
}

impl Storage {
    pub(super) fn map(path: &Path) -> io::Result<Storage> {
        let file = File::open(path)?;
        // Mapping anything else fails in words that say nothing about the path.
        if !file.metadata()?.is_file() {
            let error = "not a regular file";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, error));
        }
        // SAFETY: the map is read-only, and `Gguf::open` asks its caller not to
        // change the file while it is mapped.
        let map = unsafe { Mmap::map(&file)? };
        Ok(Storage::Mapped(map))
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        match self {
            Storage::Mapped(map) => map,
            Storage::Static(bytes) => bytes,
            Storage::Owned(bytes) => bytes,
        }
    }
}
