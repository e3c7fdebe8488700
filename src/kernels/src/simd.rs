//! The SIMD level of the machine, and the macro that compiles a kernel once per level.
//!
//! A kernel body is one `#[inline(always)]` function, generic over
//! `Isa`. `multiversion!` compiles it plainly, for AVX2 and for AVX-512, and picks one at run
//! time; `at_level` does so for products of integers, which differ with AVX-VNNI too. The compiler
//! never contracts or reassociates floating-point operations, so all of them give the same bits.

use std::cell::Cell;
use std::sync::OnceLock;

#[cfg(target_arch = "x86_64")]
use super::isa::{Avx2, Avx512};
use super::isa::{Isa, Part, Scalar};

/// A set of vector instructions, ordered from narrow to wide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Portable code.
    Scalar,
    /// AVX2, FMA, F16C, BMI2.
    Avx2,
    /// AVX-VNNI on top of AVX2.
    AvxVnni,
    /// AVX-512 F, BW, VL, DQ and VNNI on top of AVX2.
    Avx512,
    /// AMX's tiles of bytes on top of AVX-512, for products of many tokens.
    Amx,
}

thread_local! {
    static FORCED: Cell<Option<Level>> = const { Cell::new(None) };
}

/// The level kernels called from this thread run at.
///
/// This is the widest the CPU has, unless the environment variable `SHARPI_SIMD`
/// (`scalar`, `avx2`, `avxvnni`, `avx512` or `amx`, read once) or [`with_level`] lowers it.
#[inline]
pub fn level() -> Level {
    FORCED.get().unwrap_or_else(default_level)
}

/// Runs `f` with this thread's kernels at `wanted`, or at the widest level below that the CPU
/// has.
pub fn with_level<R>(wanted: Level, f: impl FnOnce() -> R) -> R {
    struct Restore(Option<Level>);
    impl Drop for Restore {
        fn drop(&mut self) {
            FORCED.set(self.0);
        }
    }
    let _restore = Restore(FORCED.replace(Some(at_most(wanted))));
    f()
}

fn default_level() -> Level {
    static DEFAULT: OnceLock<Level> = OnceLock::new();
    *DEFAULT.get_or_init(|| {
        let wanted = match std::env::var("SHARPI_SIMD").as_deref() {
            Ok("scalar") => Level::Scalar,
            Ok("avx2") => Level::Avx2,
            Ok("avxvnni") => Level::AvxVnni,
            Ok("avx512") => Level::Avx512,
            _ => Level::Amx,
        };
        at_most(wanted)
    })
}

/// The widest level this CPU has.
pub fn detected() -> Level {
    at_most(Level::Amx)
}

/// The widest level up to `wanted` that this CPU has. Not every CPU with a wider one has each
/// below it.
fn at_most(wanted: Level) -> Level {
    [Level::Amx, Level::Avx512, Level::AvxVnni, Level::Avx2]
        .into_iter()
        .find(|level| *level <= wanted && has(*level))
        .unwrap_or(Level::Scalar)
}

#[cfg(target_arch = "x86_64")]
fn has(level: Level) -> bool {
    use std::arch::is_x86_feature_detected as has;
    let avx2 = has!("avx2") && has!("fma") && has!("f16c") && has!("bmi2");
    match level {
        Level::Scalar => true,
        Level::Avx2 => avx2,
        Level::AvxVnni => avx2 && has!("avxvnni"),
        Level::Avx512 => {
            avx2 && has!("avx512f")
                && has!("avx512bw")
                && has!("avx512vl")
                && has!("avx512dq")
                && has!("avx512vnni")
        }
        Level::Amx => has(Level::Avx512) && crate::isa::amx::available(),
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn has(level: Level) -> bool {
    level == Level::Scalar
}

/// A kernel for every level.
pub(crate) trait Kernel {
    /// Does it; `#[inline(always)]`.
    fn run<I: Isa>(self);
}

struct AtLevel<K>(K);

impl<I: Isa, K: Kernel> Part<I> for AtLevel<K> {
    #[inline(always)]
    fn run(self) {
        self.0.run::<I>();
    }
}

/// Runs a kernel compiled for the current [`level`], which never exceeds what the CPU has.
pub(crate) fn at_level(kernel: impl Kernel) {
    let part = AtLevel(kernel);
    match level() {
        #[cfg(target_arch = "x86_64")]
        Level::Amx | Level::Avx512 => Avx512::apart(part),
        #[cfg(target_arch = "x86_64")]
        Level::AvxVnni => Avx2::<true>::apart(part),
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => Avx2::<false>::apart(part),
        _ => Scalar::apart(part),
    }
}

/// Defines a function which runs `body::<I, …>` compiled for the current [`level`].
///
/// `multiversion! { pub fn name<F: Format>(x: &[f32]) -> f32 = body; }` needs
/// `#[inline(always)] fn body<I: Isa, F: Format>(x: &[f32]) -> f32`.
macro_rules! multiversion {
    ($(#[$meta:meta])* $vis:vis fn $name:ident $(<$($g:ident : $bound:path),+>)?
     ($($arg:ident : $ty:ty),* $(,)?) $(-> $ret:ty)? = $body:ident;) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        $vis fn $name $(<$($g: $bound),+>)? ($($arg: $ty),*) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma,f16c,bmi2")]
                #[allow(clippy::too_many_arguments)]
                fn avx2 $(<$($g: $bound),+>)? ($($arg: $ty),*) $(-> $ret)? {
                    $body::<$crate::isa::Avx2<false>, $($($g),+)?>($($arg),*)
                }
                #[target_feature(enable = "avx2,fma,f16c,bmi2")]
                #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
                #[allow(clippy::too_many_arguments)]
                fn avx512 $(<$($g: $bound),+>)? ($($arg: $ty),*) $(-> $ret)? {
                    $body::<$crate::isa::Avx512, $($($g),+)?>($($arg),*)
                }
                match $crate::simd::level() {
                    // SAFETY: `level` never exceeds what the CPU was detected to have.
                    $crate::simd::Level::Amx | $crate::simd::Level::Avx512 => return unsafe {
                        avx512 $(::<$($g),+>)? ($($arg),*)
                    },
                    // SAFETY: as above.
                    $crate::simd::Level::AvxVnni | $crate::simd::Level::Avx2 => return unsafe {
                        avx2 $(::<$($g),+>)? ($($arg),*)
                    },
                    $crate::simd::Level::Scalar => {}
                }
            }
            $body::<$crate::isa::Scalar, $($($g),+)?>($($arg),*)
        }
    };
}
pub(crate) use multiversion;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forced_level_lasts_as_long_as_its_closure_and_never_exceeds_the_cpu() {
        let before = level();
        with_level(Level::Scalar, || {
            assert_eq!(level(), Level::Scalar);
            with_level(Level::Amx, || assert_eq!(level(), detected()));
            with_level(Level::AvxVnni, || assert!(level() <= Level::AvxVnni));
            assert_eq!(level(), Level::Scalar);
        });
        assert_eq!(level(), before);
    }
}
