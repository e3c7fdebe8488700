//! AVX-512 with VNNI: one register makes one vector.

use super::avx2::{Avx2, apart, intrinsic};
use super::{Isa, Part, RAISE};
use crate::quant::{Columns, POWERS_OF_THREE};
use std::arch::x86_64::*;

/// See the module.
#[derive(Clone, Copy)]
pub(crate) struct Avx512;

impl Columns for Avx512 {
    type B = __m512i;
    type I = __m512i;

    #[inline(always)]
    fn field(x: Self::B, shift: i32, mask: u8) -> Self::B {
        intrinsic!(_mm512_and_si512(
            _mm512_srl_epi16(x, _mm_cvtsi32_si128(shift)),
            _mm512_set1_epi8(mask as i8),
        ))
    }
    #[inline(always)]
    fn raise(x: Self::B, shift: i32) -> Self::B {
        intrinsic!(_mm512_sll_epi16(x, _mm_cvtsi32_si128(shift)))
    }
    #[inline(always)]
    fn or(a: Self::B, b: Self::B) -> Self::B {
        intrinsic!(_mm512_or_si512(a, b))
    }
    #[inline(always)]
    fn plus(x: Self::B, y: i8) -> Self::B {
        intrinsic!(_mm512_add_epi8(x, _mm512_set1_epi8(y)))
    }
    #[inline(always)]
    fn trit(x: Self::B, n: usize) -> Self::B {
        // Even bytes and odd ones, as there are no products of bytes.
        intrinsic!({
            let (power, byte) = (POWERS_OF_THREE[n], _mm512_set1_epi16(0xff));
            let power = _mm512_set1_epi16(i16::from(power));
            let odd = _mm512_mullo_epi16(_mm512_srli_epi16::<8>(x), power);
            let even = _mm512_and_si512(_mm512_mullo_epi16(x, power), byte);
            let three = _mm512_set1_epi16(3);
            let even = _mm512_mullo_epi16(even, three);
            let odd = _mm512_mullo_epi16(_mm512_and_si512(odd, byte), three);
            let odd = _mm512_and_si512(odd, _mm512_set1_epi16(0x300));
            _mm512_or_si512(_mm512_srli_epi16::<8>(even), odd)
        })
    }
    #[inline(always)]
    fn lookup(table: &[i8; 16], index: Self::B) -> Self::B {
        intrinsic!({
            let table = _mm512_broadcast_i32x4(_mm_loadu_si128(table.as_ptr().cast()));
            _mm512_shuffle_epi8(table, index)
        })
    }
    #[inline(always)]
    fn negate(x: Self::B, which: Self::B) -> Self::B {
        intrinsic!({
            let which = _mm512_test_epi8_mask(which, which);
            _mm512_mask_sub_epi8(x, which, _mm512_setzero_si512(), x)
        })
    }
    #[inline(always)]
    fn gather<const N: usize>(table: &'static [u32; N], index: Self::I) -> Self::B {
        const { assert!(N.is_power_of_two()) }
        // Masked, an index is within the table.
        intrinsic!({
            let index = _mm512_and_si512(index, _mm512_set1_epi32(N as i32 - 1));
            _mm512_i32gather_epi32::<4>(index, table.as_ptr().cast())
        })
    }
    #[inline(always)]
    fn spread(x: Self::I, shift: i32) -> Self::B {
        // Multiplied, bit i of four comes to lie at bit 8i too.
        let four = Self::bits(x, shift, 15);
        intrinsic!({
            let spread = _mm512_mullo_epi32(four, _mm512_set1_epi32(0x0020_4081));
            _mm512_and_si512(spread, _mm512_set1_epi8(1))
        })
    }
    #[inline(always)]
    fn ints(x: Self::B) -> Self::I {
        x
    }
    #[inline(always)]
    fn bits(x: Self::I, shift: i32, mask: i32) -> Self::I {
        intrinsic!(_mm512_and_si512(
            _mm512_srl_epi32(x, _mm_cvtsi32_si128(shift)),
            _mm512_set1_epi32(mask),
        ))
    }
    #[inline(always)]
    fn signed_byte(x: Self::I, i: i32) -> Self::I {
        intrinsic!({
            let x = _mm512_sll_epi32(x, _mm_cvtsi32_si128(24 - 8 * i));
            _mm512_srai_epi32::<24>(x)
        })
    }
    #[inline(always)]
    fn plus_raised(a: Self::I, b: Self::I, shift: i32) -> Self::I {
        intrinsic!(_mm512_add_epi32(
            a,
            _mm512_sll_epi32(b, _mm_cvtsi32_si128(shift))
        ))
    }
    #[inline(always)]
    fn xor(a: Self::I, b: Self::I) -> Self::I {
        intrinsic!(_mm512_xor_si512(a, b))
    }
    #[inline(always)]
    fn plus_int(x: Self::I, y: i32) -> Self::I {
        intrinsic!(_mm512_add_epi32(x, _mm512_set1_epi32(y)))
    }
}

apart!(
    with_vnni,
    "avx2,fma,f16c,bmi2,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni"
);

/// What the product of two bytes needs: an unsigned side and a signed one.
#[inline(always)]
fn factors<const SIGNED: bool>(q: __m512i, a: i32) -> (__m512i, __m512i) {
    intrinsic!({
        let a = _mm512_set1_epi32(a);
        if SIGNED {
            let negative = _mm512_movepi8_mask(q);
            let a = _mm512_mask_sub_epi8(a, negative, _mm512_setzero_si512(), a);
            (_mm512_abs_epi8(q), a)
        } else {
            (q, a)
        }
    })
}

impl Avx512 {
    /// Sixteen integers.
    #[inline(always)]
    pub(crate) fn load_ints(x: &[i32; 16]) -> __m512i {
        intrinsic!(_mm512_loadu_si512(x.as_ptr().cast()))
    }

    /// Lanes of two `bf16` from values that those hold exactly.
    #[inline(always)]
    pub(crate) fn bf16_pair(low: __m512, high: __m512) -> __m512i {
        intrinsic!({
            let low = _mm512_srli_epi32::<16>(_mm512_castps_si512(low));
            _mm512_or_si512(low, _mm512_castps_si512(high))
        })
    }

    /// Each byte times a scale that both halves of a lane have, as the lower and the upper bytes of
    /// 16-bit integers.
    #[inline(always)]
    pub(crate) fn scaled<const SIGNED: bool>(q: __m512i, scale: __m512i) -> (__m512i, __m512i) {
        const EVEN: u64 = 0x5555_5555_5555_5555;
        intrinsic!({
            let (even, odd) = if SIGNED {
                let even = _mm512_srai_epi16::<8>(_mm512_slli_epi16::<8>(q));
                (even, _mm512_srai_epi16::<8>(q))
            } else {
                let even = _mm512_and_si512(q, _mm512_set1_epi16(0xff));
                (even, _mm512_srli_epi16::<8>(q))
            };
            let even = _mm512_mullo_epi16(even, scale);
            let odd = _mm512_mullo_epi16(odd, scale);
            (
                _mm512_mask_mov_epi8(_mm512_slli_epi16::<8>(odd), EVEN, even),
                _mm512_mask_mov_epi8(odd, EVEN, _mm512_srli_epi16::<8>(even)),
            )
        })
    }
}

impl Isa for Avx512 {
    type F = __m512;
    const WIDE: usize = 12;
    const FLOAT_TILE: usize = 4;

    #[inline(always)]
    fn apart(part: impl Part<Self>) {
        intrinsic!(with_vnni::apart(part));
    }

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
    fn exponents(x: &[u8; 16]) -> Self::F {
        intrinsic!({
            let x = _mm512_cvtepu8_epi32(_mm_loadu_si128(x.as_ptr().cast()));
            let normal = _mm512_slli_epi32::<23>(_mm512_sub_epi32(x, _mm512_set1_epi32(1)));
            let subnormal = _mm512_sllv_epi32(_mm512_set1_epi32(0x0020_0000), x);
            let small = _mm512_cmplt_epu32_mask(x, _mm512_set1_epi32(2));
            _mm512_castsi512_ps(_mm512_mask_mov_epi32(normal, small, subnormal))
        })
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
    fn add(a: Self::F, b: Self::F) -> Self::F {
        intrinsic!(_mm512_add_ps(a, b))
    }
    #[inline(always)]
    fn sub(a: Self::F, b: Self::F) -> Self::F {
        intrinsic!(_mm512_sub_ps(a, b))
    }
    #[inline(always)]
    fn round_f16(x: Self::F) -> Self::F {
        intrinsic!(_mm512_cvtph_ps(
            _mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(x)
        ))
    }
    #[inline(always)]
    fn f16(bits: u16) -> f32 {
        Avx2::<false>::f16(bits)
    }

    #[inline(always)]
    fn izero() -> Self::I {
        intrinsic!(_mm512_setzero_si512())
    }
    #[inline(always)]
    fn to_f32(x: Self::I) -> Self::F {
        intrinsic!(_mm512_cvtepi32_ps(x))
    }
    #[inline(always)]
    fn low_halves(x: Self::I) -> Self::F {
        intrinsic!(_mm512_cvtph_ps(_mm512_cvtepi32_epi16(x)))
    }
    #[inline(always)]
    fn high_halves(x: Self::I) -> Self::F {
        intrinsic!(_mm512_cvtph_ps(_mm512_cvtepi32_epi16(_mm512_srli_epi32::<
            16,
        >(x))))
    }
    #[inline(always)]
    fn multiply_add(acc: Self::I, x: Self::I, y: Self::I) -> Self::I {
        intrinsic!(_mm512_add_epi32(acc, _mm512_mullo_epi32(x, y)))
    }
    #[inline(always)]
    fn paired(low: Self::I, high: Self::I) -> Self::I {
        intrinsic!(_mm512_mask_mov_epi16(
            _mm512_slli_epi32::<16>(high),
            0x5555_5555,
            low
        ))
    }
    #[inline(always)]
    fn add_pair(acc: Self::I, x: Self::I, y: i32) -> Self::I {
        intrinsic!(_mm512_dpwssd_epi32(acc, x, _mm512_set1_epi32(y)))
    }

    #[inline(always)]
    fn column(x: &[u8; 64]) -> Self::B {
        intrinsic!(_mm512_loadu_si512(x.as_ptr().cast()))
    }
    #[inline(always)]
    fn dot<const SIGNED: bool>(acc: Self::I, q: Self::B, a: i32) -> Self::I {
        let (q, a) = factors::<SIGNED>(q, a);
        intrinsic!(_mm512_dpbusd_epi32(acc, q, a))
    }
    #[inline(always)]
    fn below(q: Self::B) -> Self::I {
        intrinsic!(_mm512_sub_epi32(
            _mm512_setzero_si512(),
            _mm512_dpbusd_epi32(_mm512_setzero_si512(), _mm512_set1_epi32(RAISE), q)
        ))
    }
    #[inline(always)]
    fn raised_dot(acc: Self::I, q: Self::B, a: i32) -> Self::I {
        intrinsic!(_mm512_dpbusd_epi32(acc, _mm512_set1_epi32(a), q))
    }
    #[inline(always)]
    fn scaled_dot<const SIGNED: bool>(acc: Self::I, q: Self::B, a: i32, scale: Self::I) -> Self::I {
        let (q, a) = factors::<SIGNED>(q, a);
        intrinsic!(_mm512_dpwssd_epi32(acc, _mm512_maddubs_epi16(q, a), scale))
    }
    #[inline(always)]
    fn mixed(a: Self::B, b: Self::B) -> (Self::B, Self::B) {
        let upper = intrinsic!(_mm512_mask_mov_epi16(
            _mm512_srli_epi32::<16>(a),
            0xaaaa_aaaa,
            b
        ));
        (Self::paired(a, b), upper)
    }
    #[inline(always)]
    fn mixed_dot(acc: Self::I, a: Self::B, x: i32, b: Self::B, y: i32, scales: Self::I) -> Self::I {
        intrinsic!({
            let a = _mm512_maddubs_epi16(a, _mm512_set1_epi32(x));
            let b = _mm512_maddubs_epi16(b, _mm512_set1_epi32(y));
            _mm512_dpwssd_epi32(acc, _mm512_add_epi16(a, b), scales)
        })
    }
}
