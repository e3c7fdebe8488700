//! Multiplying as kernels do, from registers and the first cache.

use std::hint::black_box;
use std::time::{Duration, Instant};

use rayon::ThreadPool;

#[cfg(target_arch = "x86_64")]
use sharpi_kernels::probe;
use sharpi_kernels::simd::{Level, level};

use super::{Measured, PIECE, rate};

/// A loop of multiply-adds that wait for nothing but each other.
pub(super) struct Loop {
    /// Runs so many turns.
    run: fn(usize),
    /// Multiply-adds of a turn.
    macs: usize,
}

impl Loop {
    /// Multiply-adds a second of all threads of the pool together.
    pub(super) fn rate(&self, pool: &ThreadPool) -> Measured {
        let turns = calibrate(|turns| {
            let start = Instant::now();
            (self.run)(turns);
            start.elapsed()
        });
        let (turns, found) = steady(turns, |turns| rate(pool, |_, _| (self.run)(turns)));
        found
            .side_by_side(pool.current_num_threads())
            .times(turns * self.macs)
    }
}

/// So often a loop is timed with the same number of turns: the first call may wait for a page of
/// code, and the ones behind it run slowly until the processor has powered its widest units.
const CALLS: usize = 5;
/// No loop that does something needs more turns.
const MOST_TURNS: usize = 1 << 40;

/// Turns of one piece, with the fastest of several calls; `timed` runs so many turns.
fn calibrate(mut timed: impl FnMut(usize) -> Duration) -> usize {
    let mut turns = 1;
    while turns < MOST_TURNS {
        let calls = (0..CALLS).map(|_| timed(turns));
        if calls.min().is_some_and(|fastest| fastest >= PIECE) {
            break;
        }
        turns *= 2;
    }
    turns
}

/// Measures with so many turns a piece, and with more where pieces turn out to be so short that the
/// clock would be measured. Gives the turns that it came to.
fn steady(mut turns: usize, mut measure: impl FnMut(usize) -> Measured) -> (usize, Measured) {
    loop {
        let found = measure(turns);
        if found.piece >= PIECE / 2 || turns >= MOST_TURNS {
            return (turns, found);
        }
        turns *= 2;
    }
}

/// Products of signed and unsigned bytes, summed in 32 bits.
pub(super) fn int_dot() -> Loop {
    match level() {
        #[cfg(target_arch = "x86_64")]
        Level::Amx => Loop {
            run: probe::multiply_tiles,
            macs: probe::TILE_MACS,
        },
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => x86::AVX512_DOT,
        #[cfg(target_arch = "x86_64")]
        Level::AvxVnni => x86::AVX_VNNI_DOT,
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => x86::AVX2_DOT,
        _ => Loop {
            run: portable_dot,
            macs: SUMS * LANES,
        },
    }
}

/// Fused multiply-adds of f32.
pub(super) fn f32_fma() -> Loop {
    match level() {
        #[cfg(target_arch = "x86_64")]
        Level::Amx | Level::Avx512 => x86::AVX512_FMA,
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 | Level::AvxVnni => x86::AVX2_FMA,
        _ => Loop {
            run: portable_fma,
            macs: SUMS * LANES,
        },
    }
}

/// Vectors of sums: enough that each multiplier has one to add to at any time.
const SUMS: usize = 8;
/// Numbers that portable code takes at once.
const LANES: usize = 16;

fn portable_dot(turns: usize) {
    let mut sums = [[0i32; LANES]; SUMS];
    let (a, b) = ([[3u8; LANES]; SUMS], [[5i8; LANES]; SUMS]);
    for _ in 0..turns {
        // New to the compiler each turn, so that the products are not taken out of the loop.
        let (a, b) = (black_box(&a), black_box(&b));
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            for (sum, (a, b)) in sum.iter_mut().zip(a.iter().zip(b)) {
                *sum = sum.wrapping_add(i32::from(*a) * i32::from(*b));
            }
        }
    }
    black_box(sums);
}

fn portable_fma(turns: usize) {
    let mut sums = [[1f32; LANES]; SUMS];
    let (a, b) = ([0.5f32; LANES], [0.5f32; LANES]);
    for _ in 0..turns {
        let (a, b) = (black_box(&a), black_box(&b));
        for sum in &mut sums {
            for (sum, (a, b)) in sum.iter_mut().zip(a.iter().zip(b)) {
                *sum = sum.mul_add(*a, *b);
            }
        }
    }
    black_box(sums);
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;
    use std::hint::black_box;

    use super::Loop;

    /// A loop over vectors of sums, one operand from memory each turn.
    macro_rules! loops {
        ($($name:ident = $run:ident, $features:literal, $sums:literal x $lanes:literal,
           $zero:expr, $operand:expr, |$sum:ident, $x:ident, $y:ident| $step:expr;)*) => { $(
            pub(super) const $name: Loop = Loop {
                // SAFETY: chosen only on CPUs with these features.
                run: |turns| unsafe { $run(turns) },
                macs: $sums * $lanes,
            };

            #[target_feature(enable = $features)]
            fn $run(turns: usize) {
                let mut sums = [$zero; $sums];
                let operands = black_box([$operand; $sums]);
                let $y = black_box($operand);
                for _ in 0..turns {
                    // New to the compiler each turn: nothing can be taken out of the loop.
                    for ($sum, $x) in sums.iter_mut().zip(black_box(&operands)) {
                        *$sum = $step;
                    }
                }
                black_box(sums);
            }
        )* };
    }

    loops! {
        AVX512_DOT = avx512_dot, "avx512f,avx512vnni", 16 x 64,
            _mm512_setzero_si512(), _mm512_set1_epi8(3),
            |sum, x, y| _mm512_dpbusd_epi32(*sum, y, *x);
        AVX_VNNI_DOT = avx_vnni_dot, "avx2,avxvnni", 12 x 32,
            _mm256_setzero_si256(), _mm256_set1_epi8(3),
            |sum, x, y| _mm256_dpbusd_avx_epi32(*sum, y, *x);
        AVX2_DOT = avx2_dot, "avx2", 12 x 32,
            _mm256_setzero_si256(), _mm256_set1_epi8(3),
            |sum, x, y| {
                let pairs = _mm256_maddubs_epi16(y, *x);
                _mm256_add_epi32(*sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
            };
        AVX512_FMA = avx512_fma, "avx512f", 16 x 16,
            _mm512_set1_ps(1.0), _mm512_set1_ps(0.5),
            |sum, x, y| _mm512_fmadd_ps(*sum, y, *x);
        AVX2_FMA = avx2_fma, "avx2,fma", 12 x 8,
            _mm256_set1_ps(1.0), _mm256_set1_ps(0.5),
            |sum, x, y| _mm256_fmadd_ps(*sum, y, *x);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A loop of a nanosecond a turn, on a clock of its own.
    fn calibrated(slower: impl Fn(usize) -> Duration) -> usize {
        let mut calls = 0;
        calibrate(|turns| {
            calls += 1;
            Duration::from_nanos(turns as u64) + slower(calls)
        })
    }

    #[test]
    fn a_first_call_that_is_slow_does_not_end_the_calibration() {
        let page_fault = |call| match call {
            1 => Duration::from_millis(3),
            _ => Duration::ZERO,
        };
        let turns = calibrated(page_fault);
        assert!(turns as u128 >= PIECE.as_nanos(), "{turns}");
        assert!(turns as u128 <= 2 * PIECE.as_nanos(), "{turns}");
    }

    #[test]
    fn a_piece_that_turns_out_to_be_short_gets_more_turns() {
        // While it was calibrated each call took as long as a piece, and then a nanosecond a turn.
        let slow = calibrated(|_| PIECE);
        assert_eq!(slow, 1);
        let (turns, found) = steady(slow, |turns| Measured {
            piece: Duration::from_nanos(turns as u64),
            ..Measured::default()
        });
        assert!(found.piece >= PIECE / 2, "{found:?}");
        assert_eq!(found.piece.as_nanos(), turns as u128);
    }

    #[test]
    fn a_loop_that_takes_no_time_ends_all_the_same() {
        assert_eq!(calibrate(|_| Duration::ZERO), MOST_TURNS);
    }
}
