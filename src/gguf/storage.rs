//! Where the bytes of a model file live.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::SystemTime;

use memmap2::Mmap;

use crate::regular_file;

/// The bytes of one model file.
pub(super) enum Storage {
    /// A read-only private map of a file.
    Mapped(Mmap, File),
    /// Bytes linked into the program.
    Static(&'static [u8]),
    /// Bytes on the heap.
    Owned(Vec<u8>),
}

impl Storage {
    pub(super) fn map(path: &Path) -> io::Result<Storage> {
        let file = regular_file::open(path)?;
        // SAFETY: the map is read-only, and `Gguf::open` asks its caller not to
        // change the file while it is mapped.
        let map = unsafe { Mmap::map(&file)? };
        Ok(Storage::Mapped(map, file))
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        match self {
            Storage::Mapped(map, _) => map,
            Storage::Static(bytes) => bytes,
            Storage::Owned(bytes) => bytes,
        }
    }

    pub(super) fn written(&self) -> Option<SystemTime> {
        match self {
            Storage::Mapped(_, file) => file.metadata().ok()?.modified().ok(),
            Storage::Static(_) | Storage::Owned(_) => None,
        }
    }

    /// `len` bytes from `start` on. Of a file they are read into `room`, not through the map, so
    /// that each is held once; with `drop_behind` the system need not keep them either.
    pub(super) fn read<'r>(
        &'r self,
        start: usize,
        len: usize,
        room: &'r mut Vec<u8>,
        drop_behind: bool,
    ) -> io::Result<&'r [u8]> {
        #[cfg(unix)]
        if let Storage::Mapped(_, file) = self {
            use std::os::unix::fs::FileExt;
            room.resize(len, 0);
            file.read_exact_at(room, start as u64)?;
            if drop_behind {
                forget(file, start, len);
            }
            return Ok(room);
        }
        let _ = (room, drop_behind);
        Ok(&self.as_slice()[start..start + len])
    }
}

/// Tells the system that these bytes will not be read again; it may not listen.
#[cfg(target_os = "linux")]
fn forget(file: &File, start: usize, len: usize) {
    use rustix::fs::{Advice, fadvise};
    let len = std::num::NonZeroU64::new(len as u64);
    let _ = fadvise(file, start as u64, len, Advice::DontNeed);
}

#[cfg(all(unix, not(target_os = "linux")))]
fn forget(_: &File, _: usize, _: usize) {}
