//! Sums of lanes, in the one order that dot products have.

use super::{Isa, Scalar};

/// The reductions of one level.
pub(crate) trait Reduce: Isa {
    /// Whether there are 32 registers of 16 lanes, not half as many of half the lanes.
    const MANY_REGISTERS: bool;

    /// The sums of four groups, 0 + 2 and 1 + 3, then both, lane by lane.
    #[inline(always)]
    fn merged([a, b, c, d]: [Self::F; 4]) -> Self::F {
        Self::add(Self::add(a, c), Self::add(b, d))
    }

    /// The sum of the lanes of each vector as a tree: `j` with `j + 8`, then `j + 4`, `j + 2`,
    /// `j + 1`.
    fn lane_sums(x: [Self::F; 4]) -> [f32; 4];

    /// The products of each four bytes, none of which is −128, added.
    fn dots_of_four(a: &[i8; 32], b: &[i8; 32]) -> [i32; 8];
}

/// The sum of 16 lanes, as the tree of [`Reduce::lane_sums`].
#[inline(always)]
pub(crate) fn add_lanes(mut lanes: [f32; 16]) -> f32 {
    for half in [8, 4, 2, 1] {
        for j in 0..half {
            lanes[j] += lanes[j + half];
        }
    }
    lanes[0]
}

impl Reduce for Scalar {
    const MANY_REGISTERS: bool = false;

    #[inline(always)]
    fn lane_sums(x: [Self::F; 4]) -> [f32; 4] {
        x.map(add_lanes)
    }

    #[inline(always)]
    fn dots_of_four(a: &[i8; 32], b: &[i8; 32]) -> [i32; 8] {
        let mut sums = [0; 8];
        for i in 0..32 {
            sums[i / 4] += i32::from(a[i]) * i32::from(b[i]);
        }
        sums
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;
    use std::mem::transmute;

    use super::super::{Avx2, Avx512};
    use super::Reduce;

    impl<const VNNI: bool> Reduce for Avx2<VNNI> {
        const MANY_REGISTERS: bool = false;

        #[inline(always)]
        fn lane_sums(x: [Self::F; 4]) -> [f32; 4] {
            // SAFETY: `Avx2` is only named where AVX2 is there.
            unsafe { avx2_lane_sums(x) }
        }

        #[inline(always)]
        fn dots_of_four(a: &[i8; 32], b: &[i8; 32]) -> [i32; 8] {
            // SAFETY: as above.
            unsafe { avx2_dots_of_four(a, b) }
        }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn avx2_dots_of_four(a: &[i8; 32], b: &[i8; 32]) -> [i32; 8] {
        // SAFETY: all are 256 bits of plain numbers, and loads unaligned ones.
        let (a, b) = unsafe {
            (
                _mm256_loadu_si256(a.as_ptr().cast()),
                _mm256_loadu_si256(b.as_ptr().cast()),
            )
        };
        // One side has to be without signs: the other takes them over.
        let pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(a), _mm256_sign_epi8(b, a));
        let fours = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
        // SAFETY: as above.
        unsafe { transmute::<__m256i, [i32; 8]>(fours) }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn avx2_lane_sums(x: [[__m256; 2]; 4]) -> [f32; 4] {
        let [a, b, c, d] = x.map(|x| _mm256_add_ps(x[0], x[1]));
        // Four lanes are left of each: of `a` and `b` side by side, of `c` and `d`.
        let quarters = |x, y| {
            let low = _mm256_permute2f128_ps::<0x20>(x, y);
            _mm256_add_ps(low, _mm256_permute2f128_ps::<0x31>(x, y))
        };
        let (ab, cd) = (quarters(a, b), quarters(c, d));
        let low = _mm256_shuffle_ps::<0b01_00_01_00>(ab, cd);
        let two = _mm256_add_ps(low, _mm256_shuffle_ps::<0b11_10_11_10>(ab, cd));
        let one = _mm256_add_ps(two, _mm256_permute_ps::<0b10_11_00_01>(two));
        let (ac, bd) = (_mm256_castps256_ps128(one), _mm256_extractf128_ps::<1>(one));
        let acbd = _mm_shuffle_ps::<0b10_00_10_00>(ac, bd);
        let abcd = _mm_permute_ps::<0b11_01_10_00>(acbd);
        // SAFETY: both are 128 bits of plain numbers.
        unsafe { transmute::<__m128, [f32; 4]>(abcd) }
    }

    impl Reduce for Avx512 {
        const MANY_REGISTERS: bool = true;

        #[inline(always)]
        fn lane_sums(x: [Self::F; 4]) -> [f32; 4] {
            // SAFETY: `Avx512` is only named where AVX-512 is there.
            unsafe { avx512_lane_sums(x) }
        }

        #[inline(always)]
        fn dots_of_four(a: &[i8; 32], b: &[i8; 32]) -> [i32; 8] {
            // SAFETY: AVX-512 comes with AVX2.
            unsafe { avx2_dots_of_four(a, b) }
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn avx512_lane_sums([a, b, c, d]: [__m512; 4]) -> [f32; 4] {
        let halves = |x, y| {
            let low = _mm512_shuffle_f32x4::<0b01_00_01_00>(x, y);
            _mm512_add_ps(low, _mm512_shuffle_f32x4::<0b11_10_11_10>(x, y))
        };
        // Eight lanes are left of each, then four.
        let (ab, cd) = (halves(a, b), halves(c, d));
        let low = _mm512_shuffle_f32x4::<0b10_00_10_00>(ab, cd);
        let four = _mm512_add_ps(low, _mm512_shuffle_f32x4::<0b11_01_11_01>(ab, cd));
        let two = _mm512_add_ps(four, _mm512_permute_ps::<0b01_00_11_10>(four));
        let one = _mm512_add_ps(two, _mm512_permute_ps::<0b10_11_00_01>(two));
        let first = _mm512_set_epi32(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12, 8, 4, 0);
        let sums = _mm512_castps512_ps128(_mm512_permutexvar_ps(first, one));
        // SAFETY: both are 128 bits of plain numbers.
        unsafe { transmute::<__m128, [f32; 4]>(sums) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Level, multiversion, with_level};

    multiversion! {
        fn sums(x: &[[f32; 16]; 4]) -> [f32; 4] = sums_body;
    }

    #[inline(always)]
    fn sums_body<I: Reduce>(x: &[[f32; 16]; 4]) -> [f32; 4] {
        let merged = I::merged(std::array::from_fn(|i| I::load(&x[i])));
        I::lane_sums([merged, I::load(&x[1]), I::load(&x[2]), I::load(&x[3])])
    }

    #[test]
    fn every_level_adds_lanes_in_one_order() {
        let x = std::array::from_fn(|i| {
            std::array::from_fn(|j| ((16 * i + j) as f32 * 0.77).sin() * 1e3f32.powi(j as i32 % 3))
        });
        let want = with_level(Level::Scalar, || sums(&x));
        for level in [Level::Avx2, Level::AvxVnni, Level::Avx512] {
            assert_eq!(with_level(level, || sums(&x)), want, "{level:?}");
        }
    }
}
