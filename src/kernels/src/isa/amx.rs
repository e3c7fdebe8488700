//! Intel's tile multiplier: sixteen rows of bytes times a matrix, in registers of a kilobyte.
//!
//! The intrinsics are not stable, so this is assembly. A process has to ask for the registers, and a
//! thread that has configured them carries them through every switch until it lets go
//! ([`Configured`]).

use std::arch::asm;
use std::arch::x86_64::__cpuid_count;
use std::sync::OnceLock;

/// Tokens, and weight rows, of a product.
pub(crate) const SIDE: usize = 16;
/// Bytes of a token that one instruction multiplies.
pub(crate) const STEP: usize = 64;

/// What a product gives, by token and weight row: integers, or floats.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Square<T>(pub(crate) [[T; SIDE]; SIDE]);

/// Whether the processor has the multiplier, for bytes and for `bf16`, and this process may use it, which
/// it asks for once.
pub(crate) fn available() -> bool {
    static GRANTED: OnceLock<bool> = OnceLock::new();
    *GRANTED.get_or_init(|| {
        const NEEDED: u32 = 1 << 22 | 1 << 24 | 1 << 25; // amx-bf16, amx-tile, amx-int8
        __cpuid_count(7, 0).edx & NEEDED == NEEDED && ask()
    })
}

/// Asks Linux for the tile registers, for all threads.
#[cfg(target_os = "linux")]
fn ask() -> bool {
    const ARCH_REQ_XCOMP_PERM: libc::c_long = 0x1023;
    const XFEATURE_XTILEDATA: libc::c_long = 18;
    // SAFETY: the call takes two numbers and changes only what this process may use.
    let refused = unsafe {
        libc::syscall(
            libc::SYS_arch_prctl,
            ARCH_REQ_XCOMP_PERM,
            XFEATURE_XTILEDATA,
        )
    };
    refused == 0
}

#[cfg(not(target_os = "linux"))]
fn ask() -> bool {
    false
}

/// The configuration as `ldtilecfg` reads it.
#[repr(C, align(64))]
struct Config {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    /// Bytes of a row of each register.
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

/// This thread's tile registers in use.
///
/// A product is begun, has some steps and is stored; in between the registers keep their values, as
/// nothing else that is compiled names them. Registers 0 and 1 are results, 4 tokens, 5 and 6
/// weights.
pub(crate) struct Configured(());

/// Assembly that reads memory and changes registers.
macro_rules! tiles {
    ($($line:literal),+; $($name:ident = $value:expr),*) => {
        // SAFETY: reads what the caller says is there; the registers are configured.
        unsafe {
            asm!(
                $($line),+,
                $($name = in(reg) $value),*,
                line = in(reg) STEP,
                out("tmm0") _, out("tmm1") _, out("tmm4") _, out("tmm5") _, out("tmm6") _,
                options(nostack, readonly),
            )
        }
    };
}

impl Configured {
    /// For steps that take so many bytes of a token, a multiple of four and no more than [`STEP`].
    ///
    /// # Safety
    /// They must be [`available`].
    pub(crate) unsafe fn new(bytes: usize) -> Configured {
        assert!(bytes.is_multiple_of(4) && (4..=STEP).contains(&bytes));
        let mut config = Config {
            palette: 1,
            start_row: 0,
            reserved: [0; 14],
            row_bytes: [0; 16],
            rows: [0; 16],
        };
        for register in 0..7 {
            let (rows, row_bytes) = match register {
                0..4 => (SIDE, STEP),
                4 => (SIDE, bytes),
                _ => (bytes / 4, STEP),
            };
            config.rows[register] = rows as u8;
            config.row_bytes[register] = row_bytes as u16;
        }
        // SAFETY: as the caller says; the configuration is 64 bytes that palette 1 has room for.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &config, options(nostack, readonly)) };
        Configured(())
    }

    /// Begins a product.
    #[inline(always)]
    pub(crate) fn begin(&self) {
        // SAFETY: the registers are configured.
        unsafe {
            asm!(
                "tilezero tmm0", "tilezero tmm1", out("tmm0") _, out("tmm1") _,
                options(nostack, nomem),
            );
        }
    }

    /// Adds a step: bytes of sixteen tokens, each row of them `stride` bytes behind the one before,
    /// times those of sixteen weight rows. For each four bytes of a token `weights` has a line of 64,
    /// four bytes of each row.
    ///
    /// # Safety
    /// That much must be there to read.
    #[inline(always)]
    pub(crate) unsafe fn step(&self, (tokens, stride): (*const u8, usize), weights: *const u8) {
        tiles! {
            "tileloadd tmm4, [{tokens} + {stride}]",
            "tileloadd tmm5, [{weights} + {line}]",
            "tdpbssd tmm0, tmm4, tmm5";
            tokens = tokens, stride = stride, weights = weights
        }
    }

    /// [`Configured::step`] for weights of 16 bits: unsigned lower bytes, and signed upper ones whose
    /// sums are a result of their own.
    ///
    /// # Safety
    /// That much must be there to read.
    #[inline(always)]
    pub(crate) unsafe fn step_wide(
        &self,
        (tokens, stride): (*const u8, usize),
        (lower, upper): (*const u8, *const u8),
    ) {
        tiles! {
            "tileloadd tmm4, [{tokens} + {stride}]",
            "tileloadd tmm5, [{lower} + {line}]",
            "tdpbsud tmm0, tmm4, tmm5",
            "tileloadd tmm6, [{upper} + {line}]",
            "tdpbssd tmm1, tmm4, tmm6";
            tokens = tokens, stride = stride, lower = lower, upper = upper
        }
    }

    /// [`Configured::step`] for pairs of `bf16`. Where no sum of some of the products needs more than
    /// 24 bits, the sums are exact.
    ///
    /// # Safety
    /// That much must be there to read.
    #[inline(always)]
    pub(crate) unsafe fn step_of_floats(
        &self,
        (tokens, stride): (*const u8, usize),
        weights: *const u8,
    ) {
        tiles! {
            "tileloadd tmm4, [{tokens} + {stride}]",
            "tileloadd tmm5, [{weights} + {line}]",
            "tdpbf16ps tmm0, tmm4, tmm5";
            tokens = tokens, stride = stride, weights = weights
        }
    }

    /// Stores what the steps since [`Configured::begin`] have made.
    #[inline(always)]
    pub(crate) fn store<T>(&self, to: &mut Square<T>) {
        // SAFETY: writes `to`.
        unsafe {
            asm!(
                "tilestored [{to} + {line}], tmm0",
                to = in(reg) to, line = in(reg) STEP, options(nostack),
            );
        }
    }

    /// Stores the sums of the upper bytes.
    #[inline(always)]
    pub(crate) fn store_upper(&self, to: &mut Square<i32>) {
        // SAFETY: writes `to`.
        unsafe {
            asm!(
                "tilestored [{to} + {line}], tmm1",
                to = in(reg) to, line = in(reg) STEP, options(nostack),
            );
        }
    }
}

impl Drop for Configured {
    fn drop(&mut self) {
        // SAFETY: they are configured.
        unsafe { asm!("tilerelease", options(nostack, nomem)) };
    }
}
