//! AVX2 and AVX-512.

use super::Isa;
use std::arch::x86_64::*;
use std::mem::transmute;

/// Wraps intrinsics; every caller runs at the level whose name the type bears.
///
/// Never inside a closure: that is compiled by itself, without the level's features, so
/// that each intrinsic in it becomes a call.
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
    type W = [__m256i; 2];
    type B = __m256i;
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
    fn round_f16(x: Self::F) -> Self::F {
        intrinsic!([
            _mm256_cvtph_ps(_mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(x[0])),
            _mm256_cvtph_ps(_mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(x[1])),
        ])
    }

    #[inline(always)]
    fn izero() -> Self::I {
        intrinsic!([_mm256_setzero_si256(); 2])
    }
    #[inline(always)]
    fn widened(q: Self::B) -> Self::W {
        intrinsic!([
            _mm256_cvtepi8_epi16(_mm256_castsi256_si128(q)),
            _mm256_cvtepi8_epi16(_mm256_extracti128_si256(q, 1)),
        ])
    }
    #[inline(always)]
    fn scaled(q: Self::B, scale: &[i16; 16], i: usize) -> Self::W {
        let [low, high] = Self::widened(q);
        intrinsic!({
            // Both bytes of the i-th scale of each half, everywhere.
            let place = _mm256_set1_epi16((2 * i + ((2 * i + 1) << 8)) as i16);
            let scale = _mm256_loadu_si256(scale.as_ptr().cast());
            let first = _mm256_permute2x128_si256(scale, scale, 0x00);
            let second = _mm256_permute2x128_si256(scale, scale, 0x11);
            [
                _mm256_mullo_epi16(low, _mm256_shuffle_epi8(first, place)),
                _mm256_mullo_epi16(high, _mm256_shuffle_epi8(second, place)),
            ]
        })
    }
    #[inline(always)]
    fn store_words(x: Self::W, to: &mut [i16; 32]) {
        let to = to.as_mut_ptr().cast::<__m256i>();
        intrinsic!({
            _mm256_storeu_si256(to, x[0]);
            _mm256_storeu_si256(to.add(1), x[1]);
        })
    }
    #[inline(always)]
    fn madd(acc: Self::I, a: Self::W, b: &[i16; 32]) -> Self::I {
        let b = b.as_ptr().cast::<__m256i>();
        intrinsic!({
            let lo = _mm256_madd_epi16(a[0], _mm256_loadu_si256(b));
            let hi = _mm256_madd_epi16(a[1], _mm256_loadu_si256(b.add(1)));
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
    fn sums(x: [Self::I; 4]) -> [i32; 4] {
        let mut eight = [Self::izero()[0]; 4];
        for (eight, x) in eight.iter_mut().zip(x) {
            *eight = intrinsic!(_mm256_add_epi32(x[0], x[1]));
        }
        intrinsic!(sums_of_8(eight))
    }
    #[inline(always)]
    fn pair_sums(x: Self::I, y: Self::I) -> Self::I {
        intrinsic!([_mm256_hadd_epi32(x[0], y[0]), _mm256_hadd_epi32(x[1], y[1])])
    }
    #[inline(always)]
    fn unbiased(scale: &[i16; 16], sums: &[i16; 16]) -> Self::I {
        intrinsic!({
            let eight = unbiased_of_8(scale, sums);
            [
                _mm256_cvtepu32_epi64(_mm256_castsi256_si128(eight)),
                _mm256_cvtepu32_epi64(_mm256_extracti128_si256(eight, 1)),
            ]
        })
    }
    #[inline(always)]
    fn dots16(a: &[[i16; 16]; 4], b: &[i16; 16]) -> [i32; 4] {
        let mut eight = [Self::izero()[0]; 4];
        for (eight, a) in eight.iter_mut().zip(a) {
            *eight = intrinsic!(_mm256_madd_epi16(
                _mm256_loadu_si256(a.as_ptr().cast()),
                _mm256_loadu_si256(b.as_ptr().cast()),
            ));
        }
        intrinsic!(sums_of_8(eight))
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
    fn bytes(x: &[u8; 32]) -> Self::B {
        intrinsic!(_mm256_loadu_si256(x.as_ptr().cast()))
    }
    #[inline(always)]
    fn nibbles(x: &[u8; 16]) -> Self::B {
        intrinsic!({
            let low = _mm_loadu_si128(x.as_ptr().cast());
            let both = _mm256_set_m128i(_mm_srli_epi16(low, 4), low);
            _mm256_and_si256(both, _mm256_set1_epi8(15))
        })
    }
    #[inline(always)]
    fn sixteens(bits: u32) -> Self::B {
        intrinsic!({
            // Byte i gets the byte of `bits` that holds bit i, then keeps that bit alone.
            let spread = _mm256_set_epi64x(
                0x0303_0303_0303_0303,
                0x0202_0202_0202_0202,
                0x0101_0101_0101_0101,
                0,
            );
            let bytes = _mm256_shuffle_epi8(_mm256_set1_epi32(bits as i32), spread);
            let bit = _mm256_set1_epi64x(0x8040_2010_0804_0201u64 as i64);
            let set = _mm256_cmpeq_epi8(_mm256_and_si256(bytes, bit), bit);
            _mm256_and_si256(set, _mm256_set1_epi8(16))
        })
    }
    #[inline(always)]
    fn field(x: Self::B, shift: i32, mask: u8) -> Self::B {
        intrinsic!(_mm256_and_si256(
            _mm256_srl_epi16(x, _mm_cvtsi32_si128(shift)),
            _mm256_set1_epi8(mask as i8),
        ))
    }
    #[inline(always)]
    fn raise(x: Self::B, shift: i32) -> Self::B {
        intrinsic!(_mm256_sll_epi16(x, _mm_cvtsi32_si128(shift)))
    }
    #[inline(always)]
    fn or(a: Self::B, b: Self::B) -> Self::B {
        intrinsic!(_mm256_or_si256(a, b))
    }
    #[inline(always)]
    fn plus(x: Self::B, y: i8) -> Self::B {
        intrinsic!(_mm256_add_epi8(x, _mm256_set1_epi8(y)))
    }
    #[inline(always)]
    fn lookup(table: &[i8; 16], index: Self::B) -> Self::B {
        intrinsic!({
            let table = _mm256_broadcastsi128_si256(_mm_loadu_si128(table.as_ptr().cast()));
            _mm256_shuffle_epi8(table, index)
        })
    }
}

/// The sum of eight lanes, of each of four vectors.
///
/// # Safety
/// The CPU must have AVX2.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn sums_of_8(x: [__m256i; 4]) -> [i32; 4] {
    let low = _mm256_hadd_epi32(x[0], x[1]);
    let high = _mm256_hadd_epi32(x[2], x[3]);
    let x = _mm256_hadd_epi32(low, high);
    let x = _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
    // SAFETY: both are 128 bits of plain integers.
    unsafe { transmute::<__m128i, [i32; 4]>(x) }
}

/// `−32 · (scale[j]·sums[j] + scale[j + 8]·sums[j + 8])` for each `j < 8`.
///
/// # Safety
/// The CPU must have AVX2.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn unbiased_of_8(scale: &[i16; 16], sums: &[i16; 16]) -> __m256i {
    // SAFETY: unaligned loads of the 16 bytes each half has.
    let halves = |x: &[i16; 16]| unsafe {
        let p = x.as_ptr().cast::<__m128i>();
        (_mm_loadu_si128(p), _mm_loadu_si128(p.add(1)))
    };
    let ((a, b), (c, d)) = (halves(scale), halves(sums));
    let low = _mm_madd_epi16(_mm_unpacklo_epi16(a, b), _mm_unpacklo_epi16(c, d));
    let high = _mm_madd_epi16(_mm_unpackhi_epi16(a, b), _mm_unpackhi_epi16(c, d));
    let eight = _mm256_slli_epi32::<5>(_mm256_set_m128i(high, low));
    _mm256_sub_epi32(_mm256_setzero_si256(), eight)
}

/// AVX-512 with VNNI: one register makes one vector.
#[derive(Clone, Copy)]
pub(crate) struct Avx512;

impl Isa for Avx512 {
    type F = __m512;
    type I = __m512i;
    type W = __m512i;
    type B = __m256i;
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
    fn round_f16(x: Self::F) -> Self::F {
        intrinsic!(_mm512_cvtph_ps(
            _mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(x)
        ))
    }

    #[inline(always)]
    fn izero() -> Self::I {
        intrinsic!(_mm512_setzero_si512())
    }
    #[inline(always)]
    fn widened(q: Self::B) -> Self::W {
        intrinsic!(_mm512_cvtepi8_epi16(q))
    }
    #[inline(always)]
    fn scaled(q: Self::B, scale: &[i16; 16], i: usize) -> Self::W {
        intrinsic!({
            let place = _mm512_set1_epi16(i as i16);
            let place = _mm512_mask_set1_epi16(place, 0xffff_0000, i as i16 + 8);
            let scale = _mm512_castsi256_si512(_mm256_loadu_si256(scale.as_ptr().cast()));
            _mm512_mullo_epi16(Self::widened(q), _mm512_permutexvar_epi16(place, scale))
        })
    }
    #[inline(always)]
    fn store_words(x: Self::W, to: &mut [i16; 32]) {
        intrinsic!(_mm512_storeu_si512(to.as_mut_ptr().cast(), x))
    }
    #[inline(always)]
    fn madd(acc: Self::I, a: Self::W, b: &[i16; 32]) -> Self::I {
        intrinsic!(_mm512_dpwssd_epi32(
            acc,
            a,
            _mm512_loadu_si512(b.as_ptr().cast())
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
    fn sums(x: [Self::I; 4]) -> [i32; 4] {
        let mut eight = [Avx2::izero()[0]; 4];
        for (eight, x) in eight.iter_mut().zip(x) {
            *eight = intrinsic!(_mm256_add_epi32(
                _mm512_castsi512_si256(x),
                _mm512_extracti64x4_epi64(x, 1),
            ));
        }
        intrinsic!(sums_of_8(eight))
    }
    #[inline(always)]
    fn pair_sums(x: Self::I, y: Self::I) -> Self::I {
        intrinsic!({
            let (x, y) = (_mm512_castsi512_ps(x), _mm512_castsi512_ps(y));
            _mm512_add_epi32(
                _mm512_castps_si512(_mm512_shuffle_ps::<0b10_00_10_00>(x, y)),
                _mm512_castps_si512(_mm512_shuffle_ps::<0b11_01_11_01>(x, y)),
            )
        })
    }
    #[inline(always)]
    fn unbiased(scale: &[i16; 16], sums: &[i16; 16]) -> Self::I {
        intrinsic!(_mm512_cvtepu32_epi64(unbiased_of_8(scale, sums)))
    }
    #[inline(always)]
    fn dots16(a: &[[i16; 16]; 4], b: &[i16; 16]) -> [i32; 4] {
        Avx2::dots16(a, b)
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
    fn bytes(x: &[u8; 32]) -> Self::B {
        Avx2::bytes(x)
    }
    #[inline(always)]
    fn nibbles(x: &[u8; 16]) -> Self::B {
        Avx2::nibbles(x)
    }
    #[inline(always)]
    fn sixteens(bits: u32) -> Self::B {
        intrinsic!(_mm256_maskz_set1_epi8(bits, 16))
    }
    #[inline(always)]
    fn field(x: Self::B, shift: i32, mask: u8) -> Self::B {
        Avx2::field(x, shift, mask)
    }
    #[inline(always)]
    fn raise(x: Self::B, shift: i32) -> Self::B {
        Avx2::raise(x, shift)
    }
    #[inline(always)]
    fn or(a: Self::B, b: Self::B) -> Self::B {
        Avx2::or(a, b)
    }
    #[inline(always)]
    fn plus(x: Self::B, y: i8) -> Self::B {
        Avx2::plus(x, y)
    }
    #[inline(always)]
    fn lookup(table: &[i8; 16], index: Self::B) -> Self::B {
        Avx2::lookup(table, index)
    }
}
