//! Reading memory that lies in no cache.

use std::hint::black_box;

use memmap2::MmapMut;
use rayon::ThreadPool;
use rayon::prelude::*;

use sharpi_kernels::probe::{LINE, sum_words};

use super::{HwbenchError, Measured, rate};

/// Bytes of the buffer: many times any cache.
const BYTES: usize = 1 << 30;
/// Lines that a thread reads at once, a megabyte.
const PIECE: usize = (1 << 20) / LINE;
/// Numbers that a thread writes at once while filling.
const FILLED: usize = 1 << 18;

/// Memory to read, in large pages where the system gives them.
pub(super) struct Buffer(MmapMut);

impl Buffer {
    pub(super) fn new(pool: &ThreadPool) -> Result<Buffer, HwbenchError> {
        let fail = |error| HwbenchError::Memory {
            bytes: BYTES,
            error,
        };
        let mut map = MmapMut::map_anon(BYTES).map_err(fail)?;
        // A wish: without large pages reading is as slow as the system makes it.
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        pool.install(|| {
            let (words, _) = map.as_chunks_mut::<8>();
            let pieces = words.par_chunks_mut(FILLED).enumerate();
            pieces.for_each(|(i, piece)| piece.fill((i as u64 + 1).to_le_bytes()));
        });
        Ok(Buffer(map))
    }

    /// Bytes a second of all threads of the pool together, each going round in a part of its own.
    pub(super) fn rate(&self, pool: &ThreadPool) -> Measured {
        let (lines, _) = self.0.as_chunks::<LINE>();
        let pieces: Vec<_> = lines.chunks_exact(PIECE).collect();
        let part = (pieces.len() / pool.current_num_threads()).max(1);
        let per_second = rate(pool, |worker, done| {
            let piece = (worker * part + done % part) % pieces.len();
            black_box(sum_words(pieces[piece]));
        });
        per_second.times(size_of_val(pieces[0]))
    }
}
