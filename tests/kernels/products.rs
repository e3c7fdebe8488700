//! Products of weights, and the rounding of what they meet.

use proptest::prelude::*;
use sharpi_kernels::activation::ActivationType;
use sharpi_kernels::columns::ColumnsMut;
use sharpi_kernels::matmul::{Matrix, matmul_rows};
use sharpi_kernels::panel::{ROWS, has_panels, pack, panel_bytes};
use sharpi_kernels::quant::{WeightType, dequantize_row};
use sharpi_kernels::simd::{Level, with_level};

use super::{LEVELS, Stream, bits, quantized, same_at_every_level};

/// Where a block keeps its half-precision factors.
fn factors(ty: WeightType) -> &'static [usize] {
    match ty {
        WeightType::Q4_1 | WeightType::Q5_1 | WeightType::Q4_K | WeightType::Q5_K => &[0, 2],
        WeightType::Q2_K => &[80, 82],
        WeightType::Q3_K => &[108],
        WeightType::Q6_K => &[208],
        WeightType::TQ1_0 => &[52],
        WeightType::TQ2_0 => &[64],
        // Its scales are bytes, of any bits.
        WeightType::NVFP4 => &[],
        _ => &[0],
    }
}

/// Rows with arbitrary bits everywhere but in the factors, which are finite: ordinary ones,
/// or with `extreme` the largest, smallest, negative and zero ones among them.
fn random_weights(
    ty: WeightType,
    n: usize,
    rows: usize,
    extreme: bool,
    seed: &mut Stream,
) -> Vec<u8> {
    let factor = |seed: &mut Stream| match (extreme, seed.next() % 6) {
        (true, 0) => half::f16::MAX,
        (true, 1) => half::f16::from_bits(1),
        (true, 2) => half::f16::MIN,
        (true, 3) => half::f16::ZERO,
        _ => half::f16::from_f32(seed.unit() * 0.01),
    };
    let mut bytes: Vec<u8> = (0..rows * ty.row_bytes(n))
        .map(|_| seed.next() as u8)
        .collect();
    for block in bytes.chunks_exact_mut(ty.block_bytes()) {
        match ty {
            WeightType::F32 => block.copy_from_slice(&seed.unit().to_le_bytes()),
            WeightType::F16 => block.copy_from_slice(&factor(seed).to_le_bytes()),
            WeightType::BF16 => {
                block.copy_from_slice(&half::bf16::from_f32(seed.unit()).to_le_bytes());
            }
            WeightType::MXFP4 => {
                block[0] = match (extreme, seed.next() % 4) {
                    (true, 0) => (seed.next() % 3) as u8,
                    (true, 1) => 255,
                    _ => 112 + (seed.next() % 16) as u8,
                }
            }
            WeightType::IQ1_M => {
                let factor = factor(seed).to_bits();
                for i in 0..4 {
                    let nibble = (factor >> (4 * i) & 15) as u8;
                    let byte = &mut block[49 + 2 * i];
                    *byte = *byte & 15 | nibble << 4;
                }
            }
            _ => {
                for at in factors(ty) {
                    block[*at..at + 2].copy_from_slice(&factor(seed).to_le_bytes());
                }
            }
        }
    }
    bytes
}

/// All rows times all activation rows.
fn matmul(weights: Matrix<'_>, acts: &[u8], out: &mut [f32]) {
    let rows = weights.rows;
    matmul_rows(
        weights,
        0..rows,
        acts.into(),
        &mut ColumnsMut::new(out, rows, rows),
    );
}

fn packed(ty: WeightType, n: usize, rows: &[u8]) -> Vec<u8> {
    let mut panels = Vec::new();
    for rows in rows.chunks(ROWS * ty.row_bytes(n)) {
        let start = panels.len();
        panels.resize(start + panel_bytes(ty, n), 0xaa);
        pack(ty, n, rows, &mut panels[start..]);
    }
    panels
}

fn any_type() -> impl Strategy<Value = WeightType> {
    proptest::sample::select(&WeightType::ALL[..])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_matmul_gives_the_same_bits_at_every_level_and_width(
        ty in any_type(), blocks in 1usize..12, rows in 1usize..39, seed: u64, extreme: bool,
    ) {
        let seed = &mut Stream(seed);
        let n = blocks * ty.block_len().max(21);
        let most = 40;
        let weights = random_weights(ty, n, rows, extreme, seed);
        let acts = quantized(ty.activation(), &seed.units(n * most), n);
        let act_bytes = ty.activation().row_bytes(n);
        let panels = has_panels(ty).then(|| packed(ty, n, &weights));
        let file = Matrix::of_rows(ty, n, &weights);
        let loaded = match &panels {
            Some(panels) => Matrix::of_panels(ty, n, rows, panels),
            None => file,
        };
        let run = |m: usize| {
            let acts = &acts[..m * act_bytes];
            let (mut out, mut from_file) = (vec![0.0; m * rows], vec![0.0; m * rows]);
            matmul(loaded, acts, &mut out);
            matmul(file, acts, &mut from_file);
            assert_eq!(bits(&out), bits(&from_file), "{} rows as the file has them", ty.name());
            out
        };
        let all = same_at_every_level(ty.name(), || run(most));
        for m in [1, 2, 3, 4, 5, 7, 12, 13, 16, 17, 33] {
            let some = same_at_every_level(ty.name(), || run(m));
            prop_assert_eq!(bits(&some), bits(&all[..m * rows]), "{} tokens of {:?}", m, ty);
        }
    }

    #[test]
    fn a_matmul_follows_its_definition(ty in any_type(), rows in 1usize..4, seed: u64) {
        let seed = &mut Stream(seed);
        let n = 512;
        let weights = random_weights(ty, n, rows, false, seed);
        let x = seed.units(n);
        let mut got = vec![0.0; rows];
        let matrix = Matrix::of_rows(ty, n, &weights);
        matmul(matrix, &quantized(ty.activation(), &x, n), &mut got);
        let mut row = vec![0.0; n];
        for (r, got) in got.iter().enumerate() {
            dequantize_row(ty, &weights[r * ty.row_bytes(n)..][..ty.row_bytes(n)], &mut row);
            let want: f64 = row.iter().zip(&x).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum();
            let size: f64 = row.iter().zip(&x).map(|(w, x)| f64::from(w * x).powi(2)).sum();
            // Rounding to 127 steps moves each product by up to 1/254 of the row's largest.
            let error = (f64::from(*got) - want).abs() / size.sqrt();
            prop_assert!(error < 0.05, "{:?}: {} instead of {}", ty, got, want);
        }
    }

    #[test]
    fn activations_are_rounded_alike_at_every_level(seed: u64, exponent in -120i32..120) {
        let seed = &mut Stream(seed);
        let x: Vec<f32> = seed.units(512).iter().map(|v| v * 2.0f32.powi(exponent)).collect();
        for ty in [ActivationType::F16, ActivationType::BF16, ActivationType::Q8_0,
                   ActivationType::Q8_1, ActivationType::Q8_K] {
            let scalar = with_level(Level::Scalar, || quantized(ty, &x, 512));
            for level in LEVELS {
                prop_assert_eq!(&with_level(level, || quantized(ty, &x, 512)), &scalar);
            }
        }
    }
}

#[test]
fn threads_write_disjoint_columns_of_one_output() {
    let (ty, n, rows, m) = (WeightType::Q4_K, 512, 37, 9);
    let seed = &mut Stream(7);
    let weights = random_weights(ty, n, rows, false, seed);
    let acts = quantized(ty.activation(), &seed.units(n * m), n);
    let mut whole = vec![0.0; m * rows];
    let matrix = Matrix::of_rows(ty, n, &weights);
    matmul(matrix, &acts, &mut whole);
    let mut split = vec![0.0; m * rows];
    let first = split.as_mut_ptr();
    std::thread::scope(|scope| {
        for range in [0..10, 10..11, 11..37] {
            // SAFETY: the ranges of columns are disjoint, and `split` outlives the scope.
            let mut out =
                unsafe { ColumnsMut::from_raw(first.add(range.start), m, range.len(), rows) };
            let acts = &acts;
            scope.spawn(move || matmul_rows(matrix, range, acts.into(), &mut out));
        }
    });
    assert_eq!(bits(&split), bits(&whole));
}
