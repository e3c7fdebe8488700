//! Weights stored as floats.

use crate::isa::Isa;

/// A float format of which rows are read sixteen values at a time.
pub(crate) trait Element {
    /// Bytes of one value.
    const BYTES: usize;

    /// One value.
    fn one<I: Isa>(bytes: &[u8]) -> f32;

    /// Sixteen values, from exactly `16 · BYTES` bytes.
    fn sixteen<I: Isa>(bytes: &[u8]) -> I::F;
}

/// IEEE single precision, little endian.
pub(crate) struct F32;
/// IEEE half precision.
pub(crate) struct F16;
/// The upper half of a single-precision value.
pub(crate) struct Bf16;

impl Element for F32 {
    const BYTES: usize = 4;

    #[inline(always)]
    fn one<I: Isa>(bytes: &[u8]) -> f32 {
        f32::from_le_bytes(bytes[..4].try_into().expect("four bytes"))
    }

    #[inline(always)]
    fn sixteen<I: Isa>(bytes: &[u8]) -> I::F {
        let mut values = [0.0; 16];
        for (value, bytes) in values.iter_mut().zip(bytes[..64].chunks_exact(4)) {
            *value = Self::one::<I>(bytes);
        }
        I::load(&values)
    }
}

impl Element for F16 {
    const BYTES: usize = 2;

    #[inline(always)]
    fn one<I: Isa>(bytes: &[u8]) -> f32 {
        I::f16(u16::from_le_bytes(
            bytes[..2].try_into().expect("two bytes"),
        ))
    }

    #[inline(always)]
    fn sixteen<I: Isa>(bytes: &[u8]) -> I::F {
        I::load_f16(bytes[..32].try_into().expect("32 bytes"))
    }
}

impl Element for Bf16 {
    const BYTES: usize = 2;

    #[inline(always)]
    fn one<I: Isa>(bytes: &[u8]) -> f32 {
        let bits = u16::from_le_bytes(bytes[..2].try_into().expect("two bytes"));
        f32::from_bits(u32::from(bits) << 16)
    }

    #[inline(always)]
    fn sixteen<I: Isa>(bytes: &[u8]) -> I::F {
        let mut values = [0.0; 16];
        for (value, bytes) in values.iter_mut().zip(bytes[..32].chunks_exact(2)) {
            *value = Self::one::<I>(bytes);
        }
        I::load(&values)
    }
}

/// A row in f32, which is exact.
#[inline(always)]
pub(crate) fn widen<I: Isa, E: Element>(row: &[u8], out: &mut [f32]) {
    for (out, bytes) in out.iter_mut().zip(row.chunks_exact(E::BYTES)) {
        *out = E::one::<I>(bytes);
    }
}
