//! Own numbers as weights: rounding of f32 rows to the formats of GGUF files.
//!
//! The small formats are rounded as ggml's own quantiser rounds them, bit for bit. The K formats
//! have its layout and are within a step of each number, but are not searched for the smallest
//! error, as it does.

mod k;
mod legacy;

use half::{bf16, f16};

use crate::gguf::GgmlType;

/// Why numbers cannot be a tensor.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum QuantizeError {
    /// A format that only its own tools can make.
    #[error(
        "numbers cannot be rounded to {ty}, expected one of F32, F16, BF16, Q4_0, Q4_1, Q5_0, \
         Q5_1, Q8_0, Q4_K, Q5_K, Q6_K"
    )]
    Type {
        /// Its name.
        ty: &'static str,
    },
    /// Rows that are no whole blocks, or no whole rows.
    #[error(
        "{values} numbers are no rows of {width}, or those no blocks of {block}, which {ty} has"
    )]
    Rows {
        /// Numbers given.
        values: usize,
        /// Numbers in a row.
        width: usize,
        /// Numbers in a block.
        block: usize,
        /// The format's name.
        ty: &'static str,
    },
    /// More or fewer numbers than the dimensions say.
    #[error("{values} numbers are not the elements of {dims:?}")]
    Count {
        /// Numbers given.
        values: usize,
        /// Dimensions given.
        dims: Vec<usize>,
    },
    /// Names or dimensions that no file can have.
    #[error("{0}")]
    File(String),
    /// NaN or an infinity.
    #[error("number {at} is {value}, expected finite numbers")]
    NotFinite {
        /// Which one, from 0.
        at: usize,
        /// What it is.
        value: f32,
    },
}

/// Rows of `width` numbers as blocks of a format, row after row.
///
/// # Errors
/// A format that is not made here, rows that are no whole blocks, a number that is not finite.
pub fn quantize(ty: GgmlType, width: usize, values: &[f32]) -> Result<Vec<u8>, QuantizeError> {
    let block = ty.block_len() as usize;
    if width == 0 || !width.is_multiple_of(block) || !values.len().is_multiple_of(width) {
        return Err(QuantizeError::Rows {
            values: values.len(),
            width,
            block,
            ty: ty.name(),
        });
    }
    if let Some(at) = values.iter().position(|x| !x.is_finite()) {
        let value = values[at];
        return Err(QuantizeError::NotFinite { at, value });
    }
    let mut bytes = Vec::with_capacity(values.len() / block * ty.block_bytes() as usize);
    let out = &mut bytes;
    match ty {
        GgmlType::F32 => out.extend(values.iter().flat_map(|x| x.to_le_bytes())),
        GgmlType::F16 => out.extend(values.iter().flat_map(|x| f16::from_f32(*x).to_le_bytes())),
        GgmlType::BF16 => {
            out.extend((values.iter()).flat_map(|x| bf16::from_f32(*x).to_le_bytes()))
        }
        GgmlType::Q8_0 => legacy::symmetric_8(values, out),
        GgmlType::Q4_0 => legacy::symmetric(4, values, out),
        GgmlType::Q5_0 => legacy::symmetric(5, values, out),
        GgmlType::Q4_1 => legacy::with_minimum(4, values, out),
        GgmlType::Q5_1 => legacy::with_minimum(5, values, out),
        GgmlType::Q4_K => k::with_minima(4, values, out),
        GgmlType::Q5_K => k::with_minima(5, values, out),
        GgmlType::Q6_K => k::symmetric_6(values, out),
        other => return Err(QuantizeError::Type { ty: other.name() }),
    }
    Ok(bytes)
}

/// `1 / x`, and 0 for 0: a block of zeros has no scale.
fn inverse(x: f32) -> f32 {
    if x == 0.0 { 0.0 } else { 1.0 / x }
}

/// The number of the largest size, with its sign.
fn extreme(x: &[f32]) -> f32 {
    x.iter().fold(
        0.0,
        |most: f32, &x| if x.abs() > most.abs() { x } else { most },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sharpi_kernels::quant::{WeightType, dequantize_row};

    const TYPES: [(GgmlType, WeightType); 11] = [
        (GgmlType::F32, WeightType::F32),
        (GgmlType::F16, WeightType::F16),
        (GgmlType::BF16, WeightType::BF16),
        (GgmlType::Q8_0, WeightType::Q8_0),
        (GgmlType::Q4_0, WeightType::Q4_0),
        (GgmlType::Q5_0, WeightType::Q5_0),
        (GgmlType::Q4_1, WeightType::Q4_1),
        (GgmlType::Q5_1, WeightType::Q5_1),
        (GgmlType::Q4_K, WeightType::Q4_K),
        (GgmlType::Q5_K, WeightType::Q5_K),
        (GgmlType::Q6_K, WeightType::Q6_K),
    ];

    /// Largest error of a format, as a part of the range of numbers that share a step: half a step,
    /// or a whole one where the range is cut at one end, and what the steps themselves lose.
    fn bound(ty: GgmlType) -> f32 {
        match ty {
            GgmlType::F32 => 0.0,
            GgmlType::F16 => 1.0 / 2048.0,
            GgmlType::BF16 => 1.0 / 256.0,
            GgmlType::Q8_0 => 0.6 / 127.0,
            GgmlType::Q4_0 => 1.1 / 8.0,
            GgmlType::Q5_0 => 1.1 / 16.0,
            GgmlType::Q4_1 => 0.6 / 15.0,
            GgmlType::Q5_1 => 0.6 / 31.0,
            GgmlType::Q4_K => 0.6 / 15.0 + 1.0 / 63.0,
            GgmlType::Q5_K => 0.6 / 31.0 + 1.0 / 63.0,
            _ => 1.1 / 32.0 + 1.0 / 127.0,
        }
    }

    proptest! {
        #[test]
        fn numbers_come_back_within_a_step(
            x in prop::collection::vec(-8f32..8.0, 256),
            shift in -4f32..4.0,
        ) {
            let x: Vec<f32> = x.iter().map(|x| x + shift).collect();
            let least = x.iter().copied().fold(0.0, f32::min);
            let range = x.iter().copied().fold(0.0, f32::max) - least;
            for (ty, weights) in TYPES {
                let bytes = quantize(ty, 256, &x).expect("blocks");
                let mut back = vec![0.0; 256];
                dequantize_row(weights, &bytes, &mut back);
                for (x, back) in x.iter().zip(&back) {
                    let error = (x - back).abs();
                    prop_assert!(error <= bound(ty) * range, "{}: {x} {back}", ty.name());
                }
            }
        }
    }

    #[test]
    fn zeros_stay_zeros() {
        for (ty, weights) in TYPES {
            let bytes = quantize(ty, 256, &[0.0; 512]).expect("blocks");
            let mut back = vec![1.0; 256];
            dequantize_row(weights, &bytes[..bytes.len() / 2], &mut back);
            assert!(back.iter().all(|x| *x == 0.0), "{}", ty.name());
        }
    }

    #[test]
    fn what_cannot_be_rounded_is_refused() {
        let error = |ty, width, x: &[f32]| quantize(ty, width, x).unwrap_err().to_string();
        assert_eq!(
            error(GgmlType::Q4_K, 128, &[0.0; 256]),
            "256 numbers are no rows of 128, or those no blocks of 256, which Q4_K has"
        );
        assert!(error(GgmlType::F32, 3, &[0.0; 4]).starts_with("4 numbers are no rows of 3"));
        assert!(error(GgmlType::F32, 0, &[]).starts_with("0 numbers are no rows of 0"));
        assert_eq!(
            error(GgmlType::F32, 2, &[0.0, f32::NAN]),
            "number 1 is NaN, expected finite numbers"
        );
        assert!(error(GgmlType::IQ2_S, 256, &[0.0; 256]).starts_with("numbers cannot be rounded"));
    }
}
