//! Formats whose nibbles index a table of unevenly spaced values: IQ4_NL and IQ4_XS.

use super::block::{Block, Format, Offset, half, part};
use crate::kernels::isa::Isa;

/// The values which the nibbles stand for (`kvalues_iq4nl` in ggml).
const VALUES: [i8; 16] = [
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113,
];

/// `d: f16, nibbles: [u8; 16]`.
pub(crate) struct Iq4Nl;

impl Format for Iq4Nl {
    const LEN: usize = 32;
    const BYTES: usize = 18;
    const SCALED: bool = false;
    const OFFSET: Offset = Offset::None;
    const SUMS: usize = 1;

    #[inline(always)]
    fn unpack<I: Isa>(bytes: &[u8], to: &mut Block<I>) {
        to.d = half::<I>(bytes, 0);
        to.q[0] = I::lookup(&VALUES, I::nibbles(part(bytes, 2)));
    }
}

/// `d: f16, upper 2 bits of 8 scales: u16, lower 4 bits: [u8; 4], nibbles: [u8; 128]`,
/// scales minus 32.
pub(crate) struct Iq4Xs;

impl Format for Iq4Xs {
    const LEN: usize = 256;
    const BYTES: usize = 136;
    const SCALED: bool = true;
    const OFFSET: Offset = Offset::None;
    const SUMS: usize = 8;

    #[inline(always)]
    fn unpack<I: Isa>(bytes: &[u8], to: &mut Block<I>) {
        to.d = half::<I>(bytes, 0);
        let high = u16::from_le_bytes(*part(bytes, 2));
        let low: &[u8; 4] = part(bytes, 4);
        for sub in 0..8 {
            let low = low[sub / 2] >> (4 * (sub % 2)) & 15;
            let scale = i16::from(low) + ((high >> (2 * sub) & 3) << 4) as i16 - 32;
            to.scale[sub] = scale;
            to.scale[sub + 8] = scale;
            to.q[sub] = I::lookup(&VALUES, I::nibbles(part(bytes, 8 + 16 * sub)));
        }
    }
}
