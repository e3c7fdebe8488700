//! Sixteen-lane vectors, one implementation per SIMD level.
//!
//! Only what the compiler does not find by itself lives here. Lane `j` of a vector
//! means the same at every level, so a body written against [`Isa`] has one meaning.

#[cfg(target_arch = "x86_64")]
pub(crate) mod amx;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
pub(crate) mod reduce;
#[cfg(target_arch = "x86_64")]
pub(crate) use {avx2::Avx2, avx512::Avx512};

use super::quant::{Columns, exponent, trit};

/// A cache of a core.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cache {
    L1,
    /// For what is needed later.
    L2,
}

/// Asks for the cache line at `at`; any address will do.
#[inline(always)]
pub(crate) fn prefetch(at: *const u8, into: Cache) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 has SSE, and a prefetch does not access memory.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _MM_HINT_T1, _mm_prefetch};
        match into {
            Cache::L1 => _mm_prefetch::<_MM_HINT_T0>(at.cast()),
            Cache::L2 => _mm_prefetch::<_MM_HINT_T1>(at.cast()),
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (at, into);
}

/// A part of a kernel that is compiled by itself, once for all kernels that have it.
///
/// Not a closure: that would be compiled without the features of the SIMD level.
pub(crate) trait Part<I> {
    /// Does it.
    fn run(self);
}

/// The vector operations of one level.
///
/// Its columns are those of the sixteen rows of a panel: 64 bytes, and 16 integers.
///
/// The x86 implementations may only run inside functions compiled with that
/// level's target features: `multiversion!` and `at_level` are the only places which name them.
pub(crate) trait Isa: Columns {
    /// 16 × f32.
    type F: Copy;

    /// Sums of sixteen rows that the integer kernels should hold in registers.
    const WIDE: usize;
    /// Rows, and tokens, whose sums the float kernels should hold in registers.
    const FLOAT_TILE: usize;

    /// Runs a part, which does not become part of the caller.
    fn apart(part: impl Part<Self>);

    /// `x` in every lane.
    fn splat(x: f32) -> Self::F;
    /// Sixteen consecutive values.
    fn load(x: &[f32; 16]) -> Self::F;
    /// Sixteen consecutive half-precision values, little endian.
    fn load_f16(x: &[u8; 32]) -> Self::F;
    /// `2^(x - 128)` of sixteen bytes; below 2^-126 that is subnormal.
    fn exponents(x: &[u8; 16]) -> Self::F;
    /// The lanes in order.
    fn store(x: Self::F, to: &mut [f32; 16]);
    /// `a · b + c` with one rounding.
    fn fma(a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// `a · b`.
    fn mul(a: Self::F, b: Self::F) -> Self::F;
    /// `a + b`.
    fn add(a: Self::F, b: Self::F) -> Self::F;
    /// `a − b`.
    fn sub(a: Self::F, b: Self::F) -> Self::F;
    /// Each lane rounded to half precision, to nearest, ties to even.
    fn round_f16(x: Self::F) -> Self::F;
    /// One half-precision value.
    fn f16(bits: u16) -> f32;

    /// Zero in every lane.
    fn izero() -> Self::I;
    /// Each lane rounded to f32.
    fn to_f32(x: Self::I) -> Self::F;
    /// The half-precision values in the lower halves of the lanes.
    fn low_halves(x: Self::I) -> Self::F;
    /// The half-precision values in the upper halves of the lanes.
    fn high_halves(x: Self::I) -> Self::F;
    /// `acc + x · y`.
    fn multiply_add(acc: Self::I, x: Self::I, y: Self::I) -> Self::I;
    /// Lanes of two halves, each the lower one of a lane.
    fn paired(low: Self::I, high: Self::I) -> Self::I;
    /// `acc + x₀·y₀ + x₁·y₁` for the 16-bit halves of each lane, `y` being the same in all.
    fn add_pair(acc: Self::I, x: Self::I, y: i32) -> Self::I;

    /// Sixteen rows' four bytes each.
    fn column(x: &[u8; 64]) -> Self::B;
    /// Adds each row's product of four bytes with the four signed bytes of `a`, none of them
    /// −128. The bytes of `q` are signed, or below 128.
    fn dot<const SIGNED: bool>(acc: Self::I, q: Self::B, a: i32) -> Self::I;
    /// What [`Isa::raised_dot`] of these bytes begins with.
    #[inline(always)]
    fn below(_q: Self::B) -> Self::I {
        Self::izero()
    }
    /// [`Isa::dot`] of signed bytes, where each of `a` was made 128 larger, and the sum began with
    /// [`Isa::below`]: so instructions that take one side without signs need not look for them.
    #[inline(always)]
    fn raised_dot(acc: Self::I, q: Self::B, a: i32) -> Self::I {
        Self::dot::<true>(acc, q, a ^ RAISE)
    }
    /// [`Isa::dot`] times a scale of 16 bits, which `scale` has in both halves of a lane.
    fn scaled_dot<const SIGNED: bool>(acc: Self::I, q: Self::B, a: i32, scale: Self::I) -> Self::I;
    /// The lower two bytes of `a` and of `b`, and the upper two.
    fn mixed(a: Self::B, b: Self::B) -> (Self::B, Self::B);
    /// For the lower and the upper halves of the lanes each: the products of two bytes of `a` with
    /// those of `x` and of two of `b` with those of `y`, times the half of `scales`; both are
    /// added. The bytes of `a` and `b` are below 64, those of `x` and `y` signed and not −128.
    fn mixed_dot(acc: Self::I, a: Self::B, x: i32, b: Self::B, y: i32, scales: Self::I) -> Self::I;
}

/// Makes four signed bytes unsigned ones that are 128 larger, and the other way round.
pub(crate) const RAISE: i32 = 0x8080_8080_u32 as i32;

/// Portable code.
#[derive(Clone, Copy)]
pub(crate) struct Scalar;

impl Columns for Scalar {
    type B = [u8; 64];
    type I = [i32; 16];

    #[inline(never)]
    fn field(x: Self::B, shift: i32, mask: u8) -> Self::B {
        x.map(|x| x >> shift & mask)
    }
    #[inline(always)]
    fn raise(x: Self::B, shift: i32) -> Self::B {
        x.map(|x| x << shift)
    }
    #[inline(always)]
    fn or(a: Self::B, b: Self::B) -> Self::B {
        std::array::from_fn(|i| a[i] | b[i])
    }
    #[inline(never)]
    fn plus(x: Self::B, y: i8) -> Self::B {
        x.map(|x| x.wrapping_add_signed(y))
    }
    #[inline(never)]
    fn trit(x: Self::B, n: usize) -> Self::B {
        x.map(|x| trit(x, n))
    }
    #[inline(never)]
    fn lookup(table: &[i8; 16], index: Self::B) -> Self::B {
        index.map(|i| table[usize::from(i & 15)] as u8)
    }
    #[inline(never)]
    fn negate(x: Self::B, which: Self::B) -> Self::B {
        std::array::from_fn(|i| (x[i] ^ which[i].wrapping_neg()).wrapping_add(which[i]))
    }
    #[inline(never)]
    fn gather<const N: usize>(table: &'static [u32; N], index: Self::I) -> Self::B {
        let mut four = [0; 64];
        for (four, index) in four.as_chunks_mut().0.iter_mut().zip(index) {
            *four = table[index as usize % N].to_le_bytes();
        }
        four
    }
    #[inline(never)]
    fn spread(x: Self::I, shift: i32) -> Self::B {
        std::array::from_fn(|i| (x[i / 4] >> (shift + i as i32 % 4) & 1) as u8)
    }
    #[inline(always)]
    fn ints(x: Self::B) -> Self::I {
        std::array::from_fn(|j| four(&x, j))
    }
    #[inline(always)]
    fn bits(x: Self::I, shift: i32, mask: i32) -> Self::I {
        x.map(|x| (x as u32 >> shift) as i32 & mask)
    }
    #[inline(always)]
    fn signed_byte(x: Self::I, i: i32) -> Self::I {
        x.map(|x| i32::from((x >> (8 * i)) as i8))
    }
    #[inline(always)]
    fn plus_raised(a: Self::I, b: Self::I, shift: i32) -> Self::I {
        std::array::from_fn(|j| a[j] + (b[j] << shift))
    }
    #[inline(always)]
    fn xor(a: Self::I, b: Self::I) -> Self::I {
        std::array::from_fn(|j| a[j] ^ b[j])
    }
    #[inline(always)]
    fn plus_int(x: Self::I, y: i32) -> Self::I {
        x.map(|x| x + y)
    }
}

/// Bytes `4j ..` as one integer.
#[inline(always)]
fn four(x: &[u8; 64], j: usize) -> i32 {
    i32::from_le_bytes([x[4 * j], x[4 * j + 1], x[4 * j + 2], x[4 * j + 3]])
}

/// The lower and the upper half of an integer.
#[inline(always)]
fn halves(x: i32) -> [i32; 2] {
    [i32::from(x as i16), x >> 16]
}

/// What the compiler would make many instructions of is called, not repeated at each place: machines
/// that have no other level are rare, and it all has to be compiled.
impl Isa for Scalar {
    type F = [f32; 16];
    const WIDE: usize = 1;
    const FLOAT_TILE: usize = 2;

    #[inline(never)]
    fn apart(part: impl Part<Self>) {
        part.run();
    }

    #[inline(always)]
    fn splat(x: f32) -> Self::F {
        [x; 16]
    }
    #[inline(always)]
    fn load(x: &[f32; 16]) -> Self::F {
        *x
    }
    #[inline(never)]
    fn load_f16(x: &[u8; 32]) -> Self::F {
        std::array::from_fn(|j| Self::f16(u16::from_le_bytes([x[2 * j], x[2 * j + 1]])))
    }
    #[inline(never)]
    fn exponents(x: &[u8; 16]) -> Self::F {
        x.map(exponent)
    }
    #[inline(always)]
    fn store(x: Self::F, to: &mut [f32; 16]) {
        *to = x;
    }
    #[inline(never)]
    fn fma(a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        std::array::from_fn(|j| a[j].mul_add(b[j], c[j]))
    }
    #[inline(always)]
    fn mul(a: Self::F, b: Self::F) -> Self::F {
        std::array::from_fn(|j| a[j] * b[j])
    }
    #[inline(always)]
    fn add(a: Self::F, b: Self::F) -> Self::F {
        std::array::from_fn(|j| a[j] + b[j])
    }
    #[inline(always)]
    fn sub(a: Self::F, b: Self::F) -> Self::F {
        std::array::from_fn(|j| a[j] - b[j])
    }
    #[inline(never)]
    fn round_f16(x: Self::F) -> Self::F {
        x.map(|x| half::f16::from_f32_const(x).to_f32_const())
    }
    #[inline(always)]
    fn f16(bits: u16) -> f32 {
        half::f16::from_bits(bits).to_f32_const()
    }

    #[inline(always)]
    fn izero() -> Self::I {
        [0; 16]
    }
    #[inline(always)]
    fn to_f32(x: Self::I) -> Self::F {
        x.map(|v| v as f32)
    }
    #[inline(never)]
    fn low_halves(x: Self::I) -> Self::F {
        x.map(|x| Self::f16(x as u16))
    }
    #[inline(never)]
    fn high_halves(x: Self::I) -> Self::F {
        x.map(|x| Self::f16((x as u32 >> 16) as u16))
    }
    #[inline(never)]
    fn multiply_add(acc: Self::I, x: Self::I, y: Self::I) -> Self::I {
        std::array::from_fn(|j| acc[j] + x[j] * y[j])
    }
    #[inline(never)]
    fn paired(low: Self::I, high: Self::I) -> Self::I {
        std::array::from_fn(|j| low[j] & 0xffff | high[j] << 16)
    }
    #[inline(never)]
    fn add_pair(acc: Self::I, x: Self::I, y: i32) -> Self::I {
        let y = halves(y);
        std::array::from_fn(|j| {
            let x = halves(x[j]);
            acc[j] + x[0] * y[0] + x[1] * y[1]
        })
    }

    #[inline(always)]
    fn column(x: &[u8; 64]) -> Self::B {
        *x
    }
    #[inline(never)]
    fn dot<const SIGNED: bool>(acc: Self::I, q: Self::B, a: i32) -> Self::I {
        let a = a.to_le_bytes();
        std::array::from_fn(|j| {
            let mut sum = acc[j];
            for i in 0..4 {
                sum += i32::from(q[4 * j + i] as i8) * i32::from(a[i] as i8);
            }
            sum
        })
    }
    #[inline(never)]
    fn scaled_dot<const SIGNED: bool>(acc: Self::I, q: Self::B, a: i32, scale: Self::I) -> Self::I {
        let dot = Self::dot::<SIGNED>(Self::izero(), q, a);
        std::array::from_fn(|j| acc[j] + dot[j] * halves(scale[j])[0])
    }
    #[inline(never)]
    fn mixed(a: Self::B, b: Self::B) -> (Self::B, Self::B) {
        let of = |half: usize| {
            std::array::from_fn(|i| {
                let from = if i % 4 < 2 { a } else { b };
                from[i / 4 * 4 + half + i % 2]
            })
        };
        (of(0), of(2))
    }
    #[inline(never)]
    fn mixed_dot(acc: Self::I, a: Self::B, x: i32, b: Self::B, y: i32, scales: Self::I) -> Self::I {
        let (x, y) = (x.to_le_bytes(), y.to_le_bytes());
        std::array::from_fn(|j| {
            let product = |q: &[u8; 64], a: &[u8; 4], i: usize| {
                i32::from(q[4 * j + i] as i8) * i32::from(a[i] as i8)
            };
            let half = |i: usize| {
                product(&a, &x, i)
                    + product(&a, &x, i + 1)
                    + product(&b, &y, i)
                    + product(&b, &y, i + 1)
            };
            let scales = halves(scales[j]);
            acc[j] + half(0) * scales[0] + half(2) * scales[1]
        })
    }
}
