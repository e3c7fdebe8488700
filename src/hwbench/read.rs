//! Reading memory, from sets of bytes that fit the caches to one that lies in none.

use std::hint::black_box;
use std::ptr;

use memmap2::MmapMut;
use rayon::ThreadPool;
use rayon::prelude::*;

use sharpi_kernels::probe::{LINE, sum_words};

use super::{HwbenchError, Measured, rate};

/// Bytes of the buffer: many times any cache.
const BYTES: usize = 1 << 30;
/// Bytes that all threads together go round in, the least first; models with fewer are no matter.
/// The steps are narrow where last-level caches end.
pub(super) const SETS: [usize; 8] = [
    1 << 18,
    1 << 20,
    1 << 22,
    1 << 24,
    1 << 26,
    1 << 28,
    1 << 29,
    BYTES,
];
/// Bytes of a piece of work.
const PIECE: usize = 1 << 20;
/// Bytes that a thread reads at once where it asks for nothing ahead.
const BLOCK: usize = 1 << 16;
/// Where it does: few enough for what is asked for to come between what is read.
const ASKING_BLOCK: usize = 1 << 12;
/// A cache line.
const CACHE_LINE: usize = 64;
/// Numbers that a thread writes at once while filling.
const FILLED: usize = 1 << 18;
/// Bytes of a large page.
const LARGE_PAGE: usize = 1 << 21;

/// How far ahead of what is read a thread asks for lines, in bytes; nowhere in the first place.
#[derive(Clone, Copy)]
struct Prefetch {
    /// Into the first cache.
    first: Option<usize>,
    /// Into the second.
    second: Option<usize>,
}

/// Sets of so many bytes and fewer are read without asking: they are in the caches that are asked to
/// hold them.
const NEAR: usize = 1 << 22;

/// Processors differ in what is fastest, and a bound takes the best.
const PATTERNS: [Prefetch; 5] = [
    Prefetch {
        first: None,
        second: None,
    },
    Prefetch {
        first: Some(4 << 10),
        second: None,
    },
    Prefetch {
        first: None,
        second: Some(16 << 10),
    },
    Prefetch {
        first: Some(4 << 10),
        second: Some(16 << 10),
    },
    Prefetch {
        first: Some(4 << 10),
        second: Some(64 << 10),
    },
];

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

    /// Bytes a second of all threads of the pool together, each going round in its part of the
    /// first `set` bytes, in the fastest way.
    pub(super) fn rate(&self, pool: &ThreadPool, set: usize) -> Measured {
        let bytes = &self.0[..set];
        // A virtual machine's host may have dropped large pages: the first touch brings them back.
        for page in bytes.chunks(LARGE_PAGE) {
            black_box(page[0]);
        }
        let ways = match set <= NEAR {
            true => &PATTERNS[..1],
            false => &PATTERNS,
        };
        let ways = ways.iter().map(|ahead| self.rate_of(pool, bytes, *ahead));
        let best = ways.reduce(|a, b| Measured {
            rate: a.rate.max(b.rate),
            quiet: a.quiet && b.quiet,
            piece: a.piece.min(b.piece),
            fastest: a.fastest.min(b.fastest),
        });
        best.unwrap_or_default()
    }

    fn rate_of(&self, pool: &ThreadPool, bytes: &[u8], ahead: Prefetch) -> Measured {
        let asks = ahead.first.is_some() || ahead.second.is_some();
        let part = bytes.len() / pool.current_num_threads();
        let block = if asks { ASKING_BLOCK } else { BLOCK };
        let block = block.min(part / LINE * LINE).max(LINE);
        let blocks = (part / block).max(1);
        let per_piece = (PIECE / block).max(1);
        let per_second = rate(pool, |worker, done| {
            let own = &bytes[worker * part..][..part.max(block)];
            for i in 0..per_piece {
                let at = (done * per_piece + i) % blocks * block;
                ahead.ask(own, at, block);
                let (lines, _) = own[at..][..block].as_chunks::<LINE>();
                black_box(sum_words(lines));
            }
        });
        per_second.times(per_piece * block)
    }
}

impl Prefetch {
    /// Asks for the lines of a block that far behind this one, as far as there are any.
    fn ask(&self, own: &[u8], at: usize, block: usize) {
        for line in (0..block).step_by(CACHE_LINE) {
            let ahead = |by: usize| own.get(at + line + by).map(ptr::from_ref);
            if let Some(line) = self.second.and_then(ahead) {
                prefetch::<false>(line);
            }
            if let Some(line) = self.first.and_then(ahead) {
                prefetch::<true>(line);
            }
        }
    }
}

/// Asks for a line into the first cache, or the second.
#[cfg_attr(not(target_arch = "x86_64"), allow(unused_variables))]
fn prefetch<const FIRST: bool>(line: *const u8) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _MM_HINT_T1, _mm_prefetch};
        // SAFETY: every x86-64 processor has this instruction, and it changes nothing but caches.
        unsafe {
            match FIRST {
                true => _mm_prefetch::<_MM_HINT_T0>(line.cast()),
                false => _mm_prefetch::<_MM_HINT_T1>(line.cast()),
            }
        }
    }
}
