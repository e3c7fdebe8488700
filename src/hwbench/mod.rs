//! Measures what this machine can do at most: how fast it reads memory and multiplies.
//!
//! Threads work piece after piece for a while, and only moments count in which none of them had to
//! stop for whatever else runs on the machine. What is printed is a bound, so the best moment counts,
//! the fastest way to read, and the best that was ever measured: it is kept in the user's cache
//! directory ([`kept`], [`keep`]).

mod arithmetic;
mod keep;
mod read;

use std::io;
use std::time::{Duration, Instant};

use rayon::ThreadPool;

use crate::cost::{Ceilings, Rates, SetReads};
use crate::exec::simd;

pub use keep::{keep, kept};

/// A rate is measured for so long.
const BUDGET: Duration = Duration::from_millis(60);
/// As long as there was no quiet moment, it is measured again, so many times in all.
const ATTEMPTS: usize = 4;
/// A moment: short enough for all threads to go undisturbed now and then on a machine with other
/// work.
const MOMENT: Duration = Duration::from_millis(5);
/// A piece of work lasts about this long: many fit into a moment, and the clock does not matter.
const PIECE: Duration = Duration::from_micros(50);
/// A thread had to stop where a piece took so many times as long as most of its pieces.
const STOPPED: u32 = 4;
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

/// Measures the rates of up to as many threads as the machine runs at once. Takes some two seconds
/// for each count of threads, of which `progress` is told how many are done, and how many there are.
///
/// # Errors
/// Memory that is not there, or threads that cannot be started.
pub fn measure(mut progress: impl FnMut(usize, usize)) -> Result<Ceilings, HwbenchError> {
    let counts = thread_counts(available_threads());
    let pools: Result<Vec<ThreadPool>, HwbenchError> = counts.iter().map(|n| pool(*n)).collect();
    let pools = pools?;
    let (mut rates, mut sets, mut disturbed) = (Vec::new(), Vec::new(), false);
    // The widest pool fills the buffer, so that its pages lie near all threads.
    let buffer = match pools.last() {
        Some(widest) => read::Buffer::new(widest)?,
        None => return Err(no_threads()),
    };
    for (done, pool) in pools.iter().enumerate() {
        progress(done, pools.len());
        let threads = pool.current_num_threads();
        let mut read_bytes = 0.0;
        for bytes in read::SETS {
            let read = buffer.rate(pool, bytes);
            disturbed |= !read.quiet;
            // The last set lies in no cache.
            read_bytes = read.rate;
            sets.push(SetReads {
                threads,
                bytes,
                read_bytes,
            });
        }
        let (dot, fma) = (arithmetic::int_dot(), arithmetic::f32_fma());
        let (dot, fma) = (dot.rate(pool), fma.rate(pool));
        disturbed |= !dot.quiet || !fma.quiet;
        rates.push(Rates {
            threads,
            read_bytes,
            int_macs: dot.rate,
            f32_macs: fma.rate,
        });
    }
    progress(pools.len(), pools.len());
    let mut ceilings = Ceilings {
        cpu: cpu(),
        simd: simd::used().into(),
        disturbed,
        rates,
        sets,
    };
    ceilings.raise();
    ceilings.disturbed |= ceilings.lower();
    Ok(ceilings)
}

/// Whether as many threads as the machine runs at once get to run together right now.
///
/// # Errors
/// Threads that cannot be started.
pub fn is_quiet() -> Result<bool, HwbenchError> {
    let pool = pool(available_threads())?;
    let spin = |_, _| {
        let start = Instant::now();
        while start.elapsed() < PIECE {
            std::hint::spin_loop();
        }
    };
    Ok(measured(&ends(&pool, &spin)).quiet)
}

fn no_threads() -> HwbenchError {
    HwbenchError::Threads {
        threads: 0,
        message: "there is nothing to measure".into(),
    }
}

/// As many threads as the machine runs at once.
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

/// Pieces a second that all threads of the pool together get done while none has to stop. `piece`
/// is told the thread and how many pieces it has done.
fn rate(pool: &ThreadPool, piece: impl Fn(usize, usize) + Sync) -> Measured {
    let mut best = Measured::default();
    for _ in 0..ATTEMPTS {
        let found = measured(&ends(pool, &piece));
        if found.quiet {
            return found;
        }
        if found.rate > best.rate {
            best = found;
        }
    }
    best
}

/// Times between the pieces of each thread.
fn ends(pool: &ThreadPool, piece: &(impl Fn(usize, usize) + Sync)) -> Vec<Vec<Duration>> {
    let start = Instant::now();
    pool.broadcast(|worker| {
        let mut ends = vec![start.elapsed()];
        while start.elapsed() < BUDGET || ends.len() < 3 {
            piece(worker.index(), ends.len());
            ends.push(start.elapsed());
        }
        ends
    })
}

/// What all threads get done.
#[derive(Clone, Copy, Debug, Default)]
struct Measured {
    /// In a second: the best moment in which no thread stopped, or the best of all where one stopped
    /// in each.
    rate: f64,
    /// Whether there was a moment in which none stopped.
    quiet: bool,
    /// Time of a piece, the median.
    piece: Duration,
    /// Time of the fastest piece.
    fastest: Duration,
}

impl Measured {
    /// Of threads that share nothing but the clock: where they never got to run together, as many
    /// times as there are threads what one of them did while it was not stopped.
    fn side_by_side(self, threads: usize) -> Measured {
        let together = threads as f64 / self.fastest.as_secs_f64();
        match self.quiet || !together.is_finite() {
            true => self,
            false => Measured {
                rate: self.rate.max(together),
                ..self
            },
        }
    }

    fn times(self, units: usize) -> Measured {
        Measured {
            rate: self.rate * units as f64,
            ..self
        }
    }
}

fn measured(ends: &[Vec<Duration>]) -> Measured {
    let mut stops: Vec<(Duration, Duration)> = ends.iter().flat_map(|ends| stops(ends)).collect();
    stops.sort_unstable();
    let mut all: Vec<Duration> = ends.iter().flat_map(|ends| &ends[1..]).copied().collect();
    all.sort_unstable();
    let begin = ends.iter().map(|ends| ends[0]).max().unwrap_or_default();
    let (mut quiet, mut best) = (None::<f64>, 0f64);
    let mut from = all.partition_point(|end| *end < begin);
    while from < all.len() {
        let to = all.partition_point(|end| *end < all[from] + MOMENT);
        if to == all.len() {
            break;
        }
        let rate = (to - from) as f64 / (all[to] - all[from]).as_secs_f64();
        best = best.max(rate);
        let mut beside = stops.iter().take_while(|(start, _)| *start < all[to]);
        if beside.all(|(_, end)| *end <= all[from]) {
            quiet = Some(quiet.map_or(rate, |most| most.max(rate)));
        }
        from = to;
    }
    let whole = || all.len() as f64 / all.last().map_or(1.0, |end| (*end - begin).as_secs_f64());
    Measured {
        rate: match quiet {
            Some(quiet) => quiet,
            None if best > 0.0 => best,
            // Not even a moment has passed.
            None => whole(),
        },
        quiet: quiet.is_some(),
        piece: median(ends.iter().flat_map(|ends| pieces(ends)).collect()),
        fastest: ends
            .iter()
            .flat_map(|ends| pieces(ends))
            .min()
            .unwrap_or_default(),
    }
}

/// Times of the pieces of a thread.
fn pieces(ends: &[Duration]) -> impl Iterator<Item = Duration> + '_ {
    ends.windows(2).map(|pair| pair[1] - pair[0])
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// Pieces of one thread within which it stopped, and the time behind its last one.
fn stops(ends: &[Duration]) -> Vec<(Duration, Duration)> {
    let most = median(pieces(ends).collect()) * STOPPED;
    let pairs = ends.windows(2).filter(|pair| pair[1] - pair[0] > most);
    let rest = ends.last().map(|end| (*end, Duration::MAX));
    pairs.map(|pair| (pair[0], pair[1])).chain(rest).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_small_counts_of_threads_are_measured_and_always_the_largest() {
        assert_eq!(thread_counts(1), [1]);
        assert_eq!(thread_counts(3), [1, 2, 3]);
        assert_eq!(thread_counts(24), [1, 2, 3, 4, 5, 6, 7, 8, 16, 24]);
    }

    /// Ends of pieces that begin at `from` and take `each` microseconds.
    fn run(from: u64, each: u64, count: u64) -> Vec<Duration> {
        let end = |i| Duration::from_micros(from + i * each);
        (0..=count).map(end).collect()
    }

    #[test]
    fn moments_in_which_a_thread_stops_do_not_count() {
        // Alone the first thread would be faster; together each takes 100 µs for a piece.
        let mut first = run(0, 100, 100);
        first.extend(run(10_050, 50, 200));
        let mut second = run(0, 100, 100);
        second.extend(run(20_100, 100, 10));
        let Measured { rate, quiet, .. } = measured(&[first, second]);
        assert!(quiet);
        assert!((rate / 20_000.0 - 1.0).abs() < 0.05, "{rate}");
    }

    #[test]
    fn a_rate_is_found_where_there_was_never_quiet() {
        // A stop behind every five pieces: none is as far from the next as a moment is long.
        let stopping = (0..60).flat_map(|i| run(i * 1500, 100, 5)).collect();
        let rate = |ends: &[Vec<Duration>]| {
            let Measured { rate, quiet, .. } = measured(ends);
            assert!(!quiet);
            rate
        };
        let found = rate(&[run(0, 100, 1000), stopping]);
        assert!(found >= 10_000.0 * 0.95, "{found}");
        let short = rate(&[run(0, 100, 5)]);
        assert!((short / 10_000.0 - 1.0).abs() < 0.01, "{short}");
    }

    #[test]
    fn threads_that_never_run_together_multiply_as_fast_as_while_they_run() {
        // Each runs for half a millisecond of two, a piece taking 100 µs, and never both.
        let stopping = |from: u64| (0..60).flat_map(|i| run(from + i * 2000, 100, 5)).collect();
        let found = measured(&[stopping(0), stopping(1000)]);
        assert!(!found.quiet);
        let rate = found.side_by_side(2).rate;
        assert!((rate / 20_000.0 - 1.0).abs() < 0.01, "{found:?}");
    }
}
