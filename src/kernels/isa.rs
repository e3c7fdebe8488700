//! Sixteen-lane vectors, one implementation per SIMD level.
//!
//! Only what the compiler does not find by itself lives here. Lane `j` of a vector
//! means the same at every level, so a body written against [`Isa`] has one meaning.

/// The vector operations of one level.
///
/// The x86 implementations may only run inside functions compiled with that
/// level's target features: `multiversion!` is the one place which names them.
pub(crate) trait Isa: Copy {
    /// 16 × f32.
    type F: Copy;
    /// 16 × i32.
    type I: Copy;

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

    /// Zero in every lane.
    fn izero() -> Self::I;
    /// `acc[j] + a[2j]·b[2j] + a[2j+1]·b[2j+1]`.
    fn madd(acc: Self::I, a: &[i16; 32], b: &[i16; 32]) -> Self::I;
    /// [`Isa::madd`] with the pair `a` in every lane.
    fn madd_pair(acc: Self::I, a: [i16; 2], b: &[i16; 32]) -> Self::I;
    /// The sum of all lanes.
    fn isum(x: Self::I) -> i32;
    /// Each lane rounded to f32.
    fn to_f32(x: Self::I) -> Self::F;

    /// One half-precision value.
    fn f16(bits: u16) -> f32;
    /// `table[index & 15]` for each index, which must be below 16.
    fn lookup(table: &[i8; 16], index: [u8; 16]) -> [i8; 16];
}

/// Portable code.
#[derive(Clone, Copy)]
pub(crate) struct Scalar;

impl Isa for Scalar {
    type F = [f32; 16];
    type I = [i32; 16];
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
    fn izero() -> Self::I {
        [0; 16]
    }
    #[inline(always)]
    fn madd(acc: Self::I, a: &[i16; 32], b: &[i16; 32]) -> Self::I {
        let product = |i: usize| i32::from(a[i]) * i32::from(b[i]);
        std::array::from_fn(|j| acc[j] + product(2 * j) + product(2 * j + 1))
    }
    #[inline(always)]
    fn madd_pair(acc: Self::I, a: [i16; 2], b: &[i16; 32]) -> Self::I {
        let product = |i: usize| i32::from(a[i % 2]) * i32::from(b[i]);
        std::array::from_fn(|j| acc[j] + product(2 * j) + product(2 * j + 1))
    }
    #[inline(always)]
    fn isum(x: Self::I) -> i32 {
        x.iter().sum()
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
    fn lookup(table: &[i8; 16], index: [u8; 16]) -> [i8; 16] {
        index.map(|i| table[usize::from(i & 15)])
    }
}

#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Isa;
    use std::arch::x86_64::*;
    use std::mem::transmute;

    /// Wraps intrinsics; every caller runs at the level whose name the type bears.
    macro_rules! intrinsic {
        ($e:expr) => {
            // SAFETY: the implementing type is only named by `multiversion!`, inside a
            // function compiled for, and only called on, CPUs with these features; all
            // loads and stores are unaligned ones through references of that very size.
            unsafe { $e }
        };
    }

    /// AVX2, FMA and F16C: two 256-bit registers make one vector.
    #[derive(Clone, Copy)]
    pub(crate) struct Avx2;

    impl Isa for Avx2 {
        type F = [__m256; 2];
        type I = [__m256i; 2];
        const TOKEN_GROUPS: usize = 1;

        #[inline(always)]
        fn splat(x: f32) -> Self::F {
            intrinsic!([_mm256_set1_ps(x); 2])
        }
        #[inline(always)]
        fn load(x: &[f32; 16]) -> Self::F {
            let p = x.as_ptr();
            intrinsic!([_mm256_loadu_ps(p), _mm256_loadu_ps(p.add(8))])
        }
        #[inline(always)]
        fn load_f16(x: &[u8; 32]) -> Self::F {
            let p = x.as_ptr().cast::<__m128i>();
            intrinsic!([
                _mm256_cvtph_ps(_mm_loadu_si128(p)),
                _mm256_cvtph_ps(_mm_loadu_si128(p.add(1))),
            ])
        }
        #[inline(always)]
        fn store(x: Self::F, to: &mut [f32; 16]) {
            let p = to.as_mut_ptr();
            intrinsic!({
                _mm256_storeu_ps(p, x[0]);
                _mm256_storeu_ps(p.add(8), x[1]);
            })
        }
        #[inline(always)]
        fn fma(a: Self::F, b: Self::F, c: Self::F) -> Self::F {
            intrinsic!([
                _mm256_fmadd_ps(a[0], b[0], c[0]),
                _mm256_fmadd_ps(a[1], b[1], c[1]),
            ])
        }
        #[inline(always)]
        fn mul(a: Self::F, b: Self::F) -> Self::F {
            intrinsic!([_mm256_mul_ps(a[0], b[0]), _mm256_mul_ps(a[1], b[1])])
        }

        #[inline(always)]
        fn izero() -> Self::I {
            intrinsic!([_mm256_setzero_si256(); 2])
        }
        #[inline(always)]
        fn madd(acc: Self::I, a: &[i16; 32], b: &[i16; 32]) -> Self::I {
            let (a, b) = (a.as_ptr().cast::<__m256i>(), b.as_ptr().cast::<__m256i>());
            intrinsic!({
                let lo = _mm256_madd_epi16(_mm256_loadu_si256(a), _mm256_loadu_si256(b));
                let hi =
                    _mm256_madd_epi16(_mm256_loadu_si256(a.add(1)), _mm256_loadu_si256(b.add(1)));
                [_mm256_add_epi32(acc[0], lo), _mm256_add_epi32(acc[1], hi)]
            })
        }
        #[inline(always)]
        fn madd_pair(acc: Self::I, a: [i16; 2], b: &[i16; 32]) -> Self::I {
            let b = b.as_ptr().cast::<__m256i>();
            intrinsic!({
                let a = _mm256_set1_epi32(transmute::<[i16; 2], i32>(a));
                let lo = _mm256_madd_epi16(a, _mm256_loadu_si256(b));
                let hi = _mm256_madd_epi16(a, _mm256_loadu_si256(b.add(1)));
                [_mm256_add_epi32(acc[0], lo), _mm256_add_epi32(acc[1], hi)]
            })
        }
        #[inline(always)]
        fn isum(x: Self::I) -> i32 {
            intrinsic!({
                let x = _mm256_add_epi32(x[0], x[1]);
                let x = _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
                let x = _mm_add_epi32(x, _mm_shuffle_epi32(x, 0b01_00_11_10));
                let x = _mm_add_epi32(x, _mm_shuffle_epi32(x, 0b10_11_00_01));
                _mm_cvtsi128_si32(x)
            })
        }
        #[inline(always)]
        fn to_f32(x: Self::I) -> Self::F {
            intrinsic!([_mm256_cvtepi32_ps(x[0]), _mm256_cvtepi32_ps(x[1])])
        }

        #[inline(always)]
        fn f16(bits: u16) -> f32 {
            intrinsic!(_mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(i32::from(
                bits
            )))))
        }
        #[inline(always)]
        fn lookup(table: &[i8; 16], index: [u8; 16]) -> [i8; 16] {
            intrinsic!({
                let table = _mm_loadu_si128(table.as_ptr().cast());
                let index = _mm_loadu_si128(index.as_ptr().cast());
                transmute::<__m128i, [i8; 16]>(_mm_shuffle_epi8(table, index))
            })
        }
    }

    /// AVX-512 with VNNI: one register makes one vector.
    #[derive(Clone, Copy)]
    pub(crate) struct Avx512;

    impl Isa for Avx512 {
        type F = __m512;
        type I = __m512i;
        const TOKEN_GROUPS: usize = 2;

        #[inline(always)]
        fn splat(x: f32) -> Self::F {
            intrinsic!(_mm512_set1_ps(x))
        }
        #[inline(always)]
        fn load(x: &[f32; 16]) -> Self::F {
            intrinsic!(_mm512_loadu_ps(x.as_ptr()))
        }
        #[inline(always)]
        fn load_f16(x: &[u8; 32]) -> Self::F {
            intrinsic!(_mm512_cvtph_ps(_mm256_loadu_si256(x.as_ptr().cast())))
        }
        #[inline(always)]
        fn store(x: Self::F, to: &mut [f32; 16]) {
            intrinsic!(_mm512_storeu_ps(to.as_mut_ptr(), x))
        }
        #[inline(always)]
        fn fma(a: Self::F, b: Self::F, c: Self::F) -> Self::F {
            intrinsic!(_mm512_fmadd_ps(a, b, c))
        }
        #[inline(always)]
        fn mul(a: Self::F, b: Self::F) -> Self::F {
            intrinsic!(_mm512_mul_ps(a, b))
        }

        #[inline(always)]
        fn izero() -> Self::I {
            intrinsic!(_mm512_setzero_si512())
        }
        #[inline(always)]
        fn madd(acc: Self::I, a: &[i16; 32], b: &[i16; 32]) -> Self::I {
            intrinsic!(_mm512_dpwssd_epi32(
                acc,
                _mm512_loadu_si512(a.as_ptr().cast()),
                _mm512_loadu_si512(b.as_ptr().cast()),
            ))
        }
        #[inline(always)]
        fn madd_pair(acc: Self::I, a: [i16; 2], b: &[i16; 32]) -> Self::I {
            intrinsic!(_mm512_dpwssd_epi32(
                acc,
                _mm512_set1_epi32(transmute::<[i16; 2], i32>(a)),
                _mm512_loadu_si512(b.as_ptr().cast()),
            ))
        }
        #[inline(always)]
        fn isum(x: Self::I) -> i32 {
            intrinsic!(_mm512_reduce_add_epi32(x))
        }
        #[inline(always)]
        fn to_f32(x: Self::I) -> Self::F {
            intrinsic!(_mm512_cvtepi32_ps(x))
        }

        #[inline(always)]
        fn f16(bits: u16) -> f32 {
            Avx2::f16(bits)
        }
        #[inline(always)]
        fn lookup(table: &[i8; 16], index: [u8; 16]) -> [i8; 16] {
            Avx2::lookup(table, index)
        }
    }
}
