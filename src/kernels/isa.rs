//! Sixteen-lane vectors, one implementation per SIMD level.
//!
//! Only what the compiler does not find by itself lives here. Lane `j` of a vector
//! means the same at every level, so a body written against [`Isa`] has one meaning.

#[cfg(target_arch = "x86_64")]
mod x86;
#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Avx2, Avx512};

/// Asks for the cache line at `at` to be brought into L2; any address will do.
#[inline(always)]
pub(crate) fn prefetch(at: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 has SSE, and a prefetch does not access memory.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T1>(at.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

/// The vector operations of one level.
///
/// The x86 implementations may only run inside functions compiled with that
/// level's target features: `multiversion!` is the one place which names them.
pub(crate) trait Isa: Copy {
    /// 16 × f32.
    type F: Copy;
    /// 16 × i32.
    type I: Copy;
    /// 32 × i16.
    type W: Copy;
    /// 32 bytes.
    type B: Copy;

    /// Groups of 16 tokens which the integer panel kernel should hold in registers.
    const TOKEN_GROUPS: usize;

    /// `x` in every lane.
    fn splat(x: f32) -> Self::F;
    /// Sixteen consecutive values.
    fn load(x: &[f32; 16]) -> Self::F;
    /// Sixteen consecutive half-precision values, little endian.
    fn load_f16(x: &[u8; 32]) -> Self::F;
    /// The lanes in order.
    fn store(x: Self::F, to: &mut [f32; 16]);
    /// `a · b + c` with one rounding.
    fn fma(a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// `a · b`.
    fn mul(a: Self::F, b: Self::F) -> Self::F;
    /// Each lane rounded to half precision, to nearest, ties to even.
    fn round_f16(x: Self::F) -> Self::F;

    /// Zero in every lane.
    fn izero() -> Self::I;
    /// Signed bytes, each widened.
    fn widened(q: Self::B) -> Self::W;
    /// Signed bytes, the first 16 times `scale[i]`, the others times `scale[i + 8]`.
    fn scaled(q: Self::B, scale: &[i16; 16], i: usize) -> Self::W;
    /// The lanes in order.
    fn store_words(x: Self::W, to: &mut [i16; 32]);
    /// `acc[j] + a[2j]·b[2j] + a[2j+1]·b[2j+1]`.
    fn madd(acc: Self::I, a: Self::W, b: &[i16; 32]) -> Self::I;
    /// [`Isa::madd`] with the pair `a` in every lane.
    fn madd_pair(acc: Self::I, a: [i16; 2], b: &[i16; 32]) -> Self::I;
    /// The sum of all lanes, of each of four vectors.
    fn sums(x: [Self::I; 4]) -> [i32; 4];
    /// `x[2j] + x[2j+1]` and `y[2j] + y[2j+1]`: for each even `j`, its sum and the next one's,
    /// first of `x`, then of `y`.
    fn pair_sums(x: Self::I, y: Self::I) -> Self::I;
    /// Lane `2j` is `−32 · (scale[j]·sums[j] + scale[j + 8]·sums[j + 8])`, odd lanes are 0.
    fn unbiased(scale: &[i16; 16], sums: &[i16; 16]) -> Self::I;
    /// `Σ a[r][j]·b[j]` for each `r`.
    fn dots16(a: &[[i16; 16]; 4], b: &[i16; 16]) -> [i32; 4];
    /// Each lane rounded to f32.
    fn to_f32(x: Self::I) -> Self::F;

    /// One half-precision value.
    fn f16(bits: u16) -> f32;
    /// Thirty-two consecutive bytes.
    fn bytes(x: &[u8; 32]) -> Self::B;
    /// The low nibbles of 16 bytes, then the high ones.
    fn nibbles(x: &[u8; 16]) -> Self::B;
    /// For each bit, from the lowest on, 16 if it is set, else 0.
    fn sixteens(bits: u32) -> Self::B;
    /// `(x >> shift) & mask`; the mask may not reach past the bits that are left.
    fn field(x: Self::B, shift: i32, mask: u8) -> Self::B;
    /// `x << shift` of bytes small enough not to lose a bit.
    fn raise(x: Self::B, shift: i32) -> Self::B;
    /// `a | b`.
    fn or(a: Self::B, b: Self::B) -> Self::B;
    /// `x + y` as signed bytes.
    fn plus(x: Self::B, y: i8) -> Self::B;
    /// `table[index]` for each index, which must be below 16.
    fn lookup(table: &[i8; 16], index: Self::B) -> Self::B;
}

/// Portable code.
#[derive(Clone, Copy)]
pub(crate) struct Scalar;

impl Isa for Scalar {
    type F = [f32; 16];
    type I = [i32; 16];
    type W = [i16; 32];
    type B = [u8; 32];
    const TOKEN_GROUPS: usize = 1;

    #[inline(always)]
    fn splat(x: f32) -> Self::F {
        [x; 16]
    }
    #[inline(always)]
    fn load(x: &[f32; 16]) -> Self::F {
        *x
    }
    #[inline(always)]
    fn load_f16(x: &[u8; 32]) -> Self::F {
        std::array::from_fn(|j| Self::f16(u16::from_le_bytes([x[2 * j], x[2 * j + 1]])))
    }
    #[inline(always)]
    fn store(x: Self::F, to: &mut [f32; 16]) {
        *to = x;
    }
    #[inline(always)]
    fn fma(a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        std::array::from_fn(|j| a[j].mul_add(b[j], c[j]))
    }
    #[inline(always)]
    fn mul(a: Self::F, b: Self::F) -> Self::F {
        std::array::from_fn(|j| a[j] * b[j])
    }
    #[inline(always)]
    fn round_f16(x: Self::F) -> Self::F {
        x.map(|x| half::f16::from_f32_const(x).to_f32_const())
    }

    #[inline(always)]
    fn izero() -> Self::I {
        [0; 16]
    }
    #[inline(always)]
    fn widened(q: Self::B) -> Self::W {
        q.map(|q| i16::from(q as i8))
    }
    #[inline(always)]
    fn scaled(q: Self::B, scale: &[i16; 16], i: usize) -> Self::W {
        std::array::from_fn(|j| i16::from(q[j] as i8) * scale[j / 16 * 8 + i])
    }
    #[inline(always)]
    fn store_words(x: Self::W, to: &mut [i16; 32]) {
        *to = x;
    }
    #[inline(always)]
    fn madd(acc: Self::I, a: Self::W, b: &[i16; 32]) -> Self::I {
        let product = |i: usize| i32::from(a[i]) * i32::from(b[i]);
        std::array::from_fn(|j| acc[j] + product(2 * j) + product(2 * j + 1))
    }
    #[inline(always)]
    fn madd_pair(acc: Self::I, a: [i16; 2], b: &[i16; 32]) -> Self::I {
        let product = |i: usize| i32::from(a[i % 2]) * i32::from(b[i]);
        std::array::from_fn(|j| acc[j] + product(2 * j) + product(2 * j + 1))
    }
    #[inline(always)]
    fn sums(x: [Self::I; 4]) -> [i32; 4] {
        x.map(|x| x.iter().sum())
    }
    #[inline(always)]
    fn pair_sums(x: Self::I, y: Self::I) -> Self::I {
        std::array::from_fn(|j| {
            let (from, at) = (if j % 4 < 2 { &x } else { &y }, j / 4 * 4 + j % 2 * 2);
            from[at] + from[at + 1]
        })
    }
    #[inline(always)]
    fn unbiased(scale: &[i16; 16], sums: &[i16; 16]) -> Self::I {
        let product = |j: usize| i32::from(scale[j]) * i32::from(sums[j]);
        std::array::from_fn(|j| match j % 2 {
            0 => -32 * (product(j / 2) + product(j / 2 + 8)),
            _ => 0,
        })
    }
    #[inline(always)]
    fn dots16(a: &[[i16; 16]; 4], b: &[i16; 16]) -> [i32; 4] {
        a.map(|a| {
            a.iter()
                .zip(b)
                .map(|(a, b)| i32::from(*a) * i32::from(*b))
                .sum()
        })
    }
    #[inline(always)]
    fn to_f32(x: Self::I) -> Self::F {
        x.map(|v| v as f32)
    }

    #[inline(always)]
    fn f16(bits: u16) -> f32 {
        half::f16::from_bits(bits).to_f32_const()
    }
    #[inline(always)]
    fn bytes(x: &[u8; 32]) -> Self::B {
        *x
    }
    #[inline(always)]
    fn nibbles(x: &[u8; 16]) -> Self::B {
        std::array::from_fn(|i| x[i % 16] >> (i / 16 * 4) & 15)
    }
    #[inline(always)]
    fn sixteens(bits: u32) -> Self::B {
        std::array::from_fn(|i| ((bits >> i & 1) << 4) as u8)
    }
    #[inline(always)]
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
    #[inline(always)]
    fn plus(x: Self::B, y: i8) -> Self::B {
        x.map(|x| x.wrapping_add_signed(y))
    }
    #[inline(always)]
    fn lookup(table: &[i8; 16], index: Self::B) -> Self::B {
        index.map(|i| table[usize::from(i & 15)] as u8)
    }
}
