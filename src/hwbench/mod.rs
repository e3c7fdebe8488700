//! Measures what this machine can do at most: how fast it reads memory and multiplies.
//!
//! Threads work piece after piece for a while, and the moment counts in which they got the most done
//! together: whatever else runs on the machine only ever slows them down. The result is kept in the user's cache directory ([`kept`], [`keep`]).

mod arithmetic;
mod keep;
mod read;

use std::io;
use std::time::{Duration, Instant};

use rayon::ThreadPool;

use crate::cost::{Ceilings, Rates};
use crate::kernels::simd::{Level, level};

pub use keep::{keep, kept};

/// A rate is measured for so long.
const BUDGET: Duration = Duration::from_millis(200);
/// The moment that counts: short enough for all threads to go undisturbed on a machine with other
/// work.
const MOMENT: Duration = Duration::from_millis(3);
/// A piece of work lasts about this long: many fit into a moment, and the clock does not matter.
const PIECE: Duration = Duration::from_micros(50);
/// All counts of threads up to this one are measured, of larger ones those that double it.
const EVERY_COUNT: usize = 8;

/// Why a machine could not be measured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HwbenchError {
    /// There is no room for what is read.
    #[error("{bytes} bytes to read cannot be allocated: {error}")]
    Memory {
        /// Bytes asked for.
        bytes: usize,
        /// What the system said.
        error: io::Error,
    },
    /// The threads could not be started.
    #[error("cannot start {threads} threads: {message}")]
    Threads {
        /// How many.
        threads: usize,
        /// What the system said.
        message: String,
    },
}

/// Measures the rates of up to as many threads as the machine runs at once. Takes 0.6 seconds for
/// each count of threads, of which `progress` is told how many are done, and how many there are.
///
/// # Errors
/// Memory that is not there, or threads that cannot be started.
pub fn measure(mut progress: impl FnMut(usize, usize)) -> Result<Ceilings, HwbenchError> {
    let counts = thread_counts(available_threads());
    let pools: Result<Vec<ThreadPool>, HwbenchError> = counts.iter().map(|n| pool(*n)).collect();
    let pools = pools?;
    let mut rates = Vec::new();
    // The widest pool fills the buffer, so that its pages lie near all threads.
    let buffer = match pools.last() {
        Some(widest) => read::Buffer::new(widest)?,
        None => return Err(no_threads()),
    };
    for (done, pool) in pools.iter().enumerate() {
        progress(done, pools.len());
        rates.push(Rates {
            threads: pool.current_num_threads(),
            read_bytes: buffer.rate(pool),
            int_macs: arithmetic::int_dot().rate(pool),
            f32_macs: arithmetic::f32_fma().rate(pool),
        });
    }
    progress(pools.len(), pools.len());
    Ok(Ceilings {
        cpu: cpu(),
        simd: simd().into(),
        rates,
    })
}

fn no_threads() -> HwbenchError {
    HwbenchError::Threads {
        threads: 0,
        message: "there is nothing to measure".into(),
    }
}

fn available_threads() -> usize {
    std::thread::available_parallelism().map_or(1, |n| n.get())
}

/// Counts of threads to measure, the last one `most`.
fn thread_counts(most: usize) -> Vec<usize> {
    let few = 1..=EVERY_COUNT;
    let many = (1..).map(|n| EVERY_COUNT << n);
    let mut counts: Vec<usize> = few.chain(many.take(32)).take_while(|n| *n < most).collect();
    counts.push(most);
    counts
}

fn pool(threads: usize) -> Result<ThreadPool, HwbenchError> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    pool.map_err(|e| HwbenchError::Threads {
        threads,
        message: e.to_string(),
    })
}

/// Pieces a second that all threads of the pool together get done at best. `piece` is told the
/// thread and how many pieces it has done.
fn rate(pool: &ThreadPool, piece: impl Fn(usize, usize) + Sync) -> f64 {
    let start = Instant::now();
    let ends = pool.broadcast(|worker| {
        let mut ends = Vec::new();
        while start.elapsed() < BUDGET || ends.len() < 2 {
            piece(worker.index(), ends.len());
            ends.push(start.elapsed());
        }
        ends
    });
    let mut ends: Vec<Duration> = ends.into_iter().flatten().collect();
    ends.sort_unstable();
    most_in_a_moment(&ends)
}

/// Pieces a second in the moment, from the end of one piece to that of another, in which most were
/// done; of all of them where no moment has passed.
fn most_in_a_moment(ends: &[Duration]) -> f64 {
    let per_second = |from: usize, to: usize| {
        let seconds = (ends[to] - ends[from]).as_secs_f64();
        (to - from) as f64 / seconds.max(1e-9)
    };
    let mut to = 0;
    let moments = (0..ends.len()).map_while(|from| {
        while ends[to] < ends[from] + MOMENT {
            to += 1;
            if to == ends.len() {
                return None;
            }
        }
        Some(per_second(from, to))
    });
    let best = moments.fold(0.0, f64::max);
    match best > 0.0 {
        true => best,
        false => per_second(0, ends.len() - 1),
    }
}

/// The processor's name for itself.
fn cpu() -> String {
    #[cfg(target_arch = "x86_64")]
    {
        let brand = raw_cpuid::CpuId::new().get_processor_brand_string();
        if let Some(brand) = brand {
            return brand.as_str().trim().to_string();
        }
    }
    std::env::consts::ARCH.to_string()
}

fn simd() -> &'static str {
    match level() {
        Level::Scalar => "scalar",
        Level::Avx2 => "avx2",
        Level::Avx512 => "avx512",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_small_counts_of_threads_are_measured_and_always_the_largest() {
        assert_eq!(thread_counts(1), [1]);
        assert_eq!(thread_counts(3), [1, 2, 3]);
        assert_eq!(thread_counts(24), [1, 2, 3, 4, 5, 6, 7, 8, 16, 24]);
    }

    #[test]
    fn the_moment_counts_in_which_most_was_done() {
        let at = |millis: &[u64]| {
            let ends: Vec<Duration> = millis.iter().map(|n| Duration::from_millis(*n)).collect();
            most_in_a_moment(&ends)
        };
        assert_eq!(at(&[0, 10, 20, 21, 22, 23, 40]), 1000.0);
        assert_eq!(at(&[0, 10, 20]), 100.0);
        // No moment has passed.
        assert_eq!(at(&[0, 1, 2]), 1000.0);
    }
}
