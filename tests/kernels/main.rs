//! Kernels give the same bits at every SIMD level and at every width.

mod attention;
mod products;
mod recurrent;
mod rows;

use sharpi_kernels::activation::{ActivationType, quantize_row};
use sharpi_kernels::simd::{Level, with_level};

const LEVELS: [Level; 5] = [
    Level::Scalar,
    Level::Avx2,
    Level::AvxVnni,
    Level::Avx512,
    Level::Amx,
];

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

/// Runs `f` at every level and holds the bits against each other.
fn same_at_every_level(what: &str, f: impl Fn() -> Vec<f32>) -> Vec<f32> {
    let scalar = with_level(Level::Scalar, &f);
    for level in LEVELS {
        assert_eq!(
            bits(&with_level(level, &f)),
            bits(&scalar),
            "{what} at {level:?}"
        );
    }
    scalar
}

/// A small reproducible stream of numbers.
struct Stream(u64);

impl Stream {
    fn next(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    /// A value in −1..1.
    fn unit(&mut self) -> f32 {
        (self.next() % 65_536) as f32 / 32_768.0 - 1.0
    }

    fn units(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.unit()).collect()
    }
}

fn quantized(ty: ActivationType, x: &[f32], n: usize) -> Vec<u8> {
    let mut out = vec![0; x.len() / n * ty.row_bytes(n)];
    for (x, out) in x.chunks_exact(n).zip(out.chunks_exact_mut(ty.row_bytes(n))) {
        quantize_row(ty, x, out);
    }
    out
}

/// A product in the order that the delta rule documents, and attention of whole turns of 64.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (n, mut groups, mut lanes) = (a.len(), [[0.0f32; 16]; 4], [0.0f32; 16]);
    let whole = n / 64 * 64;
    for i in 0..whole {
        let sum = &mut groups[i / 16 % 4][i % 16];
        *sum = a[i].mul_add(b[i], *sum);
    }
    for j in 0..16 {
        lanes[j] = (groups[0][j] + groups[2][j]) + (groups[1][j] + groups[3][j]);
    }
    for half in [8, 4, 2, 1] {
        for j in 0..half {
            lanes[j] += lanes[j + half];
        }
    }
    (whole..n).fold(lanes[0], |sum, i| sum + a[i] * b[i])
}
