//! Weights in the bytes of their type, and rounded outputs as numbers again.

use half::{bf16, f16};
use sharpi_compile::ir::DType;

/// Dense numbers in the bytes of a type, which has to hold them exactly.
pub fn encode(data: &[f64], ty: DType) -> Result<Vec<u8>, String> {
    let exact = |x: f64, held: f64| match x == held {
        true => Ok(()),
        false => Err(format!("{ty} does not hold {x}")),
    };
    let mut bytes = Vec::new();
    match ty {
        DType::F32 => data.iter().try_for_each(|&x| {
            bytes.extend((x as f32).to_le_bytes());
            exact(x, f64::from(x as f32))
        })?,
        DType::F16 => data.iter().try_for_each(|&x| {
            bytes.extend(f16::from_f64(x).to_le_bytes());
            exact(x, f16::from_f64(x).to_f64())
        })?,
        DType::BF16 => data.iter().try_for_each(|&x| {
            bytes.extend(bf16::from_f64(x).to_le_bytes());
            exact(x, bf16::from_f64(x).to_f64())
        })?,
        DType::Q8_0 => (data.chunks(32)).try_for_each(|block| {
            let d = quantum(block).ok_or_else(|| format!("{ty} does not hold {block:?}"))?;
            bytes.extend(f16::from_f64(d).to_le_bytes());
            bytes.extend(block.iter().map(|x| (x / d) as i8 as u8));
            Ok::<(), String>(())
        })?,
        other => return Err(format!("tests have no weights of {other}")),
    }
    Ok(bytes)
}

/// The largest power of two of which all numbers are multiples, not more than 127 times.
fn quantum(block: &[f64]) -> Option<f64> {
    let holds = |d: &f64| (block.iter()).all(|x| (x / d).fract() == 0.0 && (x / d).abs() <= 127.0);
    (-14..=8).rev().map(|e| 2f64.powi(e)).find(holds)
}

/// The numbers that rows in an activation format stand for.
pub fn decode(bytes: &[u8], ty: DType) -> Result<Vec<f64>, String> {
    let half = |b: &[u8]| f16::from_le_bytes([b[0], b[1]]).to_f64();
    let quants = |d: f64, b: &[u8]| b.iter().map(|q| d * f64::from(*q as i8)).collect();
    let block = |b: &[u8]| -> Result<Vec<f64>, String> {
        Ok(match ty {
            DType::F16 => vec![half(b)],
            DType::BF16 => vec![bf16::from_le_bytes([b[0], b[1]]).to_f64()],
            DType::Q8_0 => quants(half(b), &b[2..34]),
            // Behind the quantum stands the sum of the block.
            DType::Q8_1 => quants(half(b), &b[4..36]),
            // Behind the quants stand sums of sixteen of them.
            DType::Q8_K => {
                let d = f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
                quants(f64::from(d), &b[4..260])
            }
            other => return Err(format!("tests do not read rows of {other}")),
        })
    };
    let blocks = bytes.chunks_exact(ty.block_bytes()).map(block);
    Ok(blocks.collect::<Result<Vec<_>, _>>()?.concat())
}
