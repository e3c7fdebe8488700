//! AVX2, FMA and F16C, with AVX-VNNI or without: two 256-bit registers make one vector.

use super::{Isa, Part, RAISE};
use crate::quant::{Columns, POWERS_OF_THREE};
use std::arch::x86_64::*;

/// Wraps intrinsics; every caller runs at the level whose name the type bears.
///
/// Never inside a closure: that is compiled by itself, without the level's features, so
/// that each intrinsic in it becomes a call.
macro_rules! intrinsic {
    ($e:expr) => {
        // SAFETY: the implementing type is only named by `multiversion!` and `at_level`, and runs
        // inside a function compiled for, and only called on, CPUs with these features; all
        // loads and stores are unaligned ones through references of that very size.
        unsafe { $e }
    };
}
pub(super) use intrinsic;

/// Defines [`Isa::apart`] with some features. Each set has a module: of a module's generic
/// functions one thread compiles all.
macro_rules! apart {
    ($module:ident, $features:literal) => {
        mod $module {
            #[inline(never)]
            #[target_feature(enable = $features)]
            pub(super) fn apart<I>(part: impl $crate::isa::Part<I>) {
                part.run();
            }
        }
    };
}
pub(super) use apart;

apart!(without_vnni, "avx2,fma,f16c,bmi2");
apart!(with_vnni, "avx2,fma,f16c,bmi2,avxvnni");

/// An operation on each of the two registers.
macro_rules! both {
    ($op:ident($($x:expr),+ $(; $whole:expr)?)) => {
        intrinsic!([$op($($x[0]),+ $(, $whole)?), $op($($x[1]),+ $(, $whole)?)])
    };
}

/// See the module.
#[derive(Clone, Copy)]
pub(crate) struct Avx2<const VNNI: bool>;

impl<const VNNI: bool> Columns for Avx2<VNNI> {
    type B = [__m256i; 2];
    type I = [__m256i; 2];

    #[inline(always)]
    fn field(x: Self::B, shift: i32, mask: u8) -> Self::B {
        let x = both!(_mm256_srl_epi16(x; _mm_cvtsi32_si128(shift)));
        both!(_mm256_and_si256(x; _mm256_set1_epi8(mask as i8)))
    }
    #[inline(always)]
    fn raise(x: Self::B, shift: i32) -> Self::B {
        both!(_mm256_sll_epi16(x; _mm_cvtsi32_si128(shift)))
    }
    #[inline(always)]
    fn or(a: Self::B, b: Self::B) -> Self::B {
        both!(_mm256_or_si256(a, b))
    }
    #[inline(always)]
    fn plus(x: Self::B, y: i8) -> Self::B {
        both!(_mm256_add_epi8(x; _mm256_set1_epi8(y)))
    }
    #[inline(always)]
    fn trit(x: Self::B, n: usize) -> Self::B {
        // Even bytes and odd ones, as there are no products of bytes.
        let power = i16::from(POWERS_OF_THREE[n]);
        let odd = both!(_mm256_srl_epi16(x; _mm_cvtsi32_si128(8)));
        let even = both!(_mm256_mullo_epi16(x; _mm256_set1_epi16(power)));
        let odd = both!(_mm256_mullo_epi16(odd; _mm256_set1_epi16(power)));
        let even = both!(_mm256_and_si256(even; _mm256_set1_epi16(0xff)));
        let odd = both!(_mm256_and_si256(odd; _mm256_set1_epi16(0xff)));
        let even = both!(_mm256_mullo_epi16(even; _mm256_set1_epi16(3)));
        let odd = both!(_mm256_mullo_epi16(odd; _mm256_set1_epi16(3)));
        let odd = both!(_mm256_and_si256(odd; _mm256_set1_epi16(0x300)));
        Self::or(both!(_mm256_srl_epi16(even; _mm_cvtsi32_si128(8))), odd)
    }
    #[inline(always)]
    fn lookup(table: &[i8; 16], index: Self::B) -> Self::B {
        intrinsic!({
            let table = _mm256_broadcastsi128_si256(_mm_loadu_si128(table.as_ptr().cast()));
            [
                _mm256_shuffle_epi8(table, index[0]),
                _mm256_shuffle_epi8(table, index[1]),
            ]
        })
    }
    #[inline(always)]
    fn negate(x: Self::B, which: Self::B) -> Self::B {
        let zero = intrinsic!([_mm256_setzero_si256(); 2]);
        let minus = both!(_mm256_sub_epi8(zero, which));
        let complement = both!(_mm256_xor_si256(x, minus));
        both!(_mm256_sub_epi8(complement, minus))
    }
    #[inline(always)]
    fn gather<const N: usize>(table: &'static [u32; N], index: Self::I) -> Self::B {
        const { assert!(N.is_power_of_two()) }
        // Masked, an index is within the table.
        let index = both!(_mm256_and_si256(index; _mm256_set1_epi32(N as i32 - 1)));
        let table = table.as_ptr().cast();
        intrinsic!([
            _mm256_i32gather_epi32::<4>(table, index[0]),
            _mm256_i32gather_epi32::<4>(table, index[1]),
        ])
    }
    #[inline(always)]
    fn spread(x: Self::I, shift: i32) -> Self::B {
        // Multiplied, bit i of four comes to lie at bit 8i too.
        let four = Self::bits(x, shift, 15);
        let spread = both!(_mm256_mullo_epi32(four; _mm256_set1_epi32(0x0020_4081)));
        both!(_mm256_and_si256(spread; _mm256_set1_epi8(1)))
    }
    #[inline(always)]
    fn ints(x: Self::B) -> Self::I {
        x
    }
    #[inline(always)]
    fn bits(x: Self::I, shift: i32, mask: i32) -> Self::I {
        let x = both!(_mm256_srl_epi32(x; _mm_cvtsi32_si128(shift)));
        both!(_mm256_and_si256(x; _mm256_set1_epi32(mask)))
    }
    #[inline(always)]
    fn signed_byte(x: Self::I, i: i32) -> Self::I {
        let x = both!(_mm256_sll_epi32(x; _mm_cvtsi32_si128(24 - 8 * i)));
        both!(_mm256_sra_epi32(x; _mm_cvtsi32_si128(24)))
    }
    #[inline(always)]
    fn plus_raised(a: Self::I, b: Self::I, shift: i32) -> Self::I {
        let b = both!(_mm256_sll_epi32(b; _mm_cvtsi32_si128(shift)));
        both!(_mm256_add_epi32(a, b))
    }
    #[inline(always)]
    fn xor(a: Self::I, b: Self::I) -> Self::I {
        both!(_mm256_xor_si256(a, b))
    }
    #[inline(always)]
    fn plus_int(x: Self::I, y: i32) -> Self::I {
        both!(_mm256_add_epi32(x; _mm256_set1_epi32(y)))
    }
}

/// What the product of two bytes needs: an unsigned side and a signed one.
#[inline(always)]
fn factors<const SIGNED: bool>(q: [__m256i; 2], a: i32) -> [[__m256i; 2]; 2] {
    let a = intrinsic!([_mm256_set1_epi32(a); 2]);
    if SIGNED {
        return [both!(_mm256_abs_epi8(q)), both!(_mm256_sign_epi8(a, q))];
    }
    [q, a]
}

/// Products of bytes, `q` of either sign, summed by two.
#[inline(always)]
fn pair_products<const SIGNED: bool>(q: [__m256i; 2], a: i32) -> [__m256i; 2] {
    let [q, a] = factors::<SIGNED>(q, a);
    both!(_mm256_maddubs_epi16(q, a))
}

/// `acc` and products of 16-bit integers, summed by two.
#[inline(always)]
fn add_pairs<const VNNI: bool>(
    acc: [__m256i; 2],
    x: [__m256i; 2],
    y: [__m256i; 2],
) -> [__m256i; 2] {
    if VNNI {
        return both!(_mm256_dpwssd_avx_epi32(acc, x, y));
    }
    let products = both!(_mm256_madd_epi16(x, y));
    both!(_mm256_add_epi32(acc, products))
}

impl<const VNNI: bool> Isa for Avx2<VNNI> {
    type F = [__m256; 2];
    const WIDE: usize = 4;
    const FLOAT_TILE: usize = 2;

    #[inline(always)]
    fn apart(part: impl Part<Self>) {
        match VNNI {
            true => intrinsic!(with_vnni::apart(part)),
            false => intrinsic!(without_vnni::apart(part)),
        }
    }

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
    fn exponents(x: &[u8; 16]) -> Self::F {
        let x = intrinsic!({
            let x = _mm_loadu_si128(x.as_ptr().cast());
            [
                _mm256_cvtepu8_epi32(x),
                _mm256_cvtepu8_epi32(_mm_srli_si128::<8>(x)),
            ]
        });
        let below = both!(_mm256_sub_epi32(x; _mm256_set1_epi32(1)));
        let normal = both!(_mm256_sll_epi32(below; _mm_cvtsi32_si128(23)));
        let least = intrinsic!([_mm256_set1_epi32(0x0020_0000); 2]);
        let subnormal = both!(_mm256_sllv_epi32(least, x));
        let two = intrinsic!([_mm256_set1_epi32(2); 2]);
        let small = both!(_mm256_cmpgt_epi32(two, x));
        let bits = both!(_mm256_blendv_epi8(normal, subnormal, small));
        both!(_mm256_castsi256_ps(bits))
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
        both!(_mm256_fmadd_ps(a, b, c))
    }
    #[inline(always)]
    fn mul(a: Self::F, b: Self::F) -> Self::F {
        both!(_mm256_mul_ps(a, b))
    }
    #[inline(always)]
    fn add(a: Self::F, b: Self::F) -> Self::F {
        both!(_mm256_add_ps(a, b))
    }
    #[inline(always)]
    fn sub(a: Self::F, b: Self::F) -> Self::F {
        both!(_mm256_sub_ps(a, b))
    }
    #[inline(always)]
    fn round_f16(x: Self::F) -> Self::F {
        intrinsic!([
            _mm256_cvtph_ps(_mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(x[0])),
            _mm256_cvtph_ps(_mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(x[1])),
        ])
    }
    #[inline(always)]
    fn f16(bits: u16) -> f32 {
        intrinsic!(_mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(i32::from(
            bits
        )))))
    }

    #[inline(always)]
    fn izero() -> Self::I {
        intrinsic!([_mm256_setzero_si256(); 2])
    }
    #[inline(always)]
    fn to_f32(x: Self::I) -> Self::F {
        both!(_mm256_cvtepi32_ps(x))
    }
    #[inline(always)]
    fn low_halves(x: Self::I) -> Self::F {
        let x = Self::bits(x, 0, 0xffff);
        intrinsic!({
            // The packing goes by 128-bit lanes: bring the two useful quarters together.
            let x = _mm256_packus_epi32(x[0], x[1]);
            let x = _mm256_permute4x64_epi64::<0b11_01_10_00>(x);
            [
                _mm256_cvtph_ps(_mm256_castsi256_si128(x)),
                _mm256_cvtph_ps(_mm256_extracti128_si256(x, 1)),
            ]
        })
    }
    #[inline(always)]
    fn high_halves(x: Self::I) -> Self::F {
        Self::low_halves(Self::bits(x, 16, 0xffff))
    }
    #[inline(always)]
    fn multiply_add(acc: Self::I, x: Self::I, y: Self::I) -> Self::I {
        let product = both!(_mm256_mullo_epi32(x, y));
        both!(_mm256_add_epi32(acc, product))
    }
    #[inline(always)]
    fn paired(low: Self::I, high: Self::I) -> Self::I {
        let high = both!(_mm256_sll_epi32(high; _mm_cvtsi32_si128(16)));
        Self::or(Self::bits(low, 0, 0xffff), high)
    }
    #[inline(always)]
    fn add_pair(acc: Self::I, x: Self::I, y: i32) -> Self::I {
        add_pairs::<VNNI>(acc, x, intrinsic!([_mm256_set1_epi32(y); 2]))
    }

    #[inline(always)]
    fn column(x: &[u8; 64]) -> Self::B {
        let p = x.as_ptr().cast::<__m256i>();
        intrinsic!([_mm256_loadu_si256(p), _mm256_loadu_si256(p.add(1))])
    }
    #[inline(always)]
    fn dot<const SIGNED: bool>(acc: Self::I, q: Self::B, a: i32) -> Self::I {
        if VNNI {
            let [q, a] = factors::<SIGNED>(q, a);
            return both!(_mm256_dpbusd_avx_epi32(acc, q, a));
        }
        let ones = intrinsic!([_mm256_set1_epi16(1); 2]);
        add_pairs::<false>(acc, pair_products::<SIGNED>(q, a), ones)
    }
    #[inline(always)]
    fn below(q: Self::B) -> Self::I {
        if !VNNI {
            return Self::izero();
        }
        let (zero, raise) =
            intrinsic!(([_mm256_setzero_si256(); 2], [_mm256_set1_epi32(RAISE); 2]));
        let by = both!(_mm256_dpbusd_avx_epi32(zero, raise, q));
        both!(_mm256_sub_epi32(zero, by))
    }
    #[inline(always)]
    fn raised_dot(acc: Self::I, q: Self::B, a: i32) -> Self::I {
        if !VNNI {
            return Self::dot::<true>(acc, q, a ^ RAISE);
        }
        let a = intrinsic!([_mm256_set1_epi32(a); 2]);
        both!(_mm256_dpbusd_avx_epi32(acc, a, q))
    }
    #[inline(always)]
    fn scaled_dot<const SIGNED: bool>(acc: Self::I, q: Self::B, a: i32, scale: Self::I) -> Self::I {
        add_pairs::<VNNI>(acc, pair_products::<SIGNED>(q, a), scale)
    }
    #[inline(always)]
    fn mixed(a: Self::B, b: Self::B) -> (Self::B, Self::B) {
        let lower = both!(_mm256_srl_epi32(a; _mm_cvtsi32_si128(16)));
        let upper = both!(_mm256_and_si256(b; _mm256_set1_epi32(0xffff_0000_u32 as i32)));
        (Self::paired(a, b), Self::or(lower, upper))
    }
    #[inline(always)]
    fn mixed_dot(acc: Self::I, a: Self::B, x: i32, b: Self::B, y: i32, scales: Self::I) -> Self::I {
        let (a, b) = (pair_products::<false>(a, x), pair_products::<false>(b, y));
        add_pairs::<VNNI>(acc, both!(_mm256_add_epi16(a, b)), scales)
    }
}
