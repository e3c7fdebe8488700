//! Rounding to element types and activation formats. A rounded number is held as what it stands
//! for, quantum times whole number.

use half::{bf16, f16};
use sharpi_ir::DType;

use crate::tensor::Tensor;

/// `x` as a cache or an activation in f32, f16 or bf16 holds it. f32 is not rounded to.
///
/// # Errors
/// A type of other elements.
pub fn round_float(x: f64, to: DType) -> Result<f64, String> {
    match to {
        DType::F32 => Ok(x),
        DType::F16 => Ok(f16::from_f64(x).to_f64()),
        DType::BF16 => Ok(bf16::from_f64(x).to_f64()),
        other => Err(format!("numbers are not rounded to {other} one by one")),
    }
}

/// The rows of an f32 tensor rounded to an activation format.
pub(crate) fn round(x: &Tensor, to: DType) -> Result<Tensor, String> {
    let rounded = match to {
        DType::F32 => x.clone(),
        DType::F16 | DType::BF16 => {
            round_float(0.0, to)?;
            x.map(|x| round_float(x, to).unwrap_or(x))
        }
        DType::Q8_0 | DType::Q8_1 => x.map_rows(|row| in_blocks(row, 32, block_of_32)),
        DType::Q8_K => x.map_rows(|row| in_blocks(row, 256, block_of_256)),
        other => return Err(format!("{other} is no activation format")),
    };
    Ok(rounded.with_dtype(to))
}

fn in_blocks(row: &[f64], len: usize, block: impl Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
    row.chunks(len).flat_map(block).collect()
}

/// A block of Q8_0, and of Q8_1 but for the sum of the quants that it keeps: `d = amax / 127`, by
/// which quants are made before it is itself rounded to f16.
fn block_of_32(x: &[f64]) -> Vec<f64> {
    let amax = x.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
    let d = amax / 127.0;
    if d == 0.0 {
        return vec![0.0; x.len()];
    }
    let stored = f16::from_f64(d).to_f64();
    (x.iter().map(|x| (x / d).round_ties_even() * stored)).collect()
}

/// A block of Q8_K: the element of the largest magnitude, the first on a tie, becomes −127.
fn block_of_256(x: &[f64]) -> Vec<f64> {
    let mut max = 0.0f64;
    for x in x {
        if x.abs() > max.abs() {
            max = *x;
        }
    }
    if max == 0.0 {
        return vec![0.0; x.len()];
    }
    let d = max / -127.0;
    (x.iter().map(|x| (x / d).round_ties_even().min(127.0) * d)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounded(x: Vec<f64>, to: DType) -> Vec<f64> {
        let x = Tensor::new([1, x.len()], x).unwrap();
        round(&x, to).unwrap().data().to_vec()
    }

    #[test]
    fn a_block_that_its_format_holds_stays_as_it_is() {
        let x: Vec<f64> = (0..32).map(|i| f64::from(i * 8 - 127)).collect();
        assert_eq!(rounded(x.clone(), DType::Q8_0), x);
        assert_eq!(rounded(x.clone(), DType::Q8_1), x);
        let x: Vec<f64> = (0..256).map(|i| f64::from(i.min(254) - 127)).collect();
        assert_eq!(rounded(x.clone(), DType::Q8_K), x);
    }

    #[test]
    fn quants_are_the_nearest_and_the_even_one_of_two() {
        let mut x = vec![0.0; 32];
        x[..5].copy_from_slice(&[127.0, 1.4, 1.5, 2.5, -2.6]);
        assert_eq!(rounded(x, DType::Q8_0)[..5], [127.0, 1.0, 2.0, 2.0, -3.0]);
        let mut x = vec![0.0; 256];
        x[..4].copy_from_slice(&[-254.0, 254.0, 5.0, 3.0]);
        assert_eq!(rounded(x, DType::Q8_K)[..4], [-254.0, 254.0, 4.0, 4.0]);
    }

    #[test]
    fn floats_lose_the_bits_that_a_shorter_type_has_no_room_for() {
        let x = 1.0 + 1.0 / 1024.0 + 1.0 / 4096.0;
        assert_eq!(round_float(x, DType::F16), Ok(1.0 + 1.0 / 1024.0));
        assert_eq!(round_float(x, DType::BF16), Ok(1.0));
        assert_eq!(round_float(x, DType::F32), Ok(x));
        assert!(round_float(x, DType::Q8_0).is_err());
    }
}
