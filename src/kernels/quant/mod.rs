//! Weight formats of GGUF files: block layouts, unpacking and dequantisation.
//!
//! Layouts and dequantisation formulas follow `ggml-quants.c`. Every quantised format
//! unpacks into one `Block`: small integers, an integer scale for each 16 of them,
//! and the block's f32 factors. What a kernel computes is defined on that block.

mod block;
mod float;
mod grid;
mod iq23;
mod iq4;
mod k;
mod legacy;

#[cfg(test)]
pub(crate) use block::RowBlock;
pub(crate) use block::{
    Block, Columns, Factor, Format, Offset, Scales, column_at, columns, exponent, word_bytes,
};
pub(crate) use float::{Bf16, Element, F16, F32};
pub(crate) use iq4::{Iq4Nl, Iq4Xs, MxFp4};
pub(crate) use iq23::{Iq2S, Iq2Xs, Iq2Xxs, Iq3S, Iq3Xxs};
pub(crate) use k::{Q2K, Q3K, Q4K, Q5K, Q6K};
pub(crate) use legacy::{Q4_0, Q4_1, Q5_0, Q5_1, Q8_0};

use super::activation::ActivationType;
use super::isa::Scalar;

/// A format in which weights are stored.
#[allow(non_camel_case_types)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WeightType {
    /// IEEE single precision.
    F32,
    /// IEEE half precision.
    F16,
    /// The upper half of a single-precision value.
    BF16,
    /// 8 bits, blocks of 32.
    Q8_0,
    /// 4 bits, blocks of 32.
    Q4_0,
    /// 4 bits with a minimum, blocks of 32.
    Q4_1,
    /// 5 bits, blocks of 32.
    Q5_0,
    /// 5 bits with a minimum, blocks of 32.
    Q5_1,
    /// 2 bits with minimums, blocks of 256.
    Q2_K,
    /// 3 bits, blocks of 256.
    Q3_K,
    /// 4 bits with minimums, blocks of 256.
    Q4_K,
    /// 5 bits with minimums, blocks of 256.
    Q5_K,
    /// 6 bits, blocks of 256.
    Q6_K,
    /// 4-bit indices into a table, blocks of 32.
    IQ4_NL,
    /// 4-bit indices into a table, blocks of 256.
    IQ4_XS,
    /// 4-bit floats with a common exponent, blocks of 32.
    MXFP4,
    /// Points of a grid, 2.1 bits a weight, blocks of 256.
    IQ2_XXS,
    /// Points of a grid, 2.3 bits a weight, blocks of 256.
    IQ2_XS,
    /// Points of a grid, 2.6 bits a weight, blocks of 256.
    IQ2_S,
    /// Points of a grid, 3.1 bits a weight, blocks of 256.
    IQ3_XXS,
    /// Points of a grid, 3.4 bits a weight, blocks of 256.
    IQ3_S,
}

/// Runs `$go` with `$f` naming the block format of `$ty`, or `$other` for a float type.
macro_rules! with_format {
    ($ty:expr, $f:ident => $go:expr, float => $other:expr) => {{
        use $crate::kernels::quant::{self, WeightType};
        match $ty {
            WeightType::F32 | WeightType::F16 | WeightType::BF16 => $other,
            WeightType::Q8_0 => {
                type $f = quant::Q8_0;
                $go
            }
            WeightType::Q4_0 => {
                type $f = quant::Q4_0;
                $go
            }
            WeightType::Q4_1 => {
                type $f = quant::Q4_1;
                $go
            }
            WeightType::Q5_0 => {
                type $f = quant::Q5_0;
                $go
            }
            WeightType::Q5_1 => {
                type $f = quant::Q5_1;
                $go
            }
            WeightType::Q2_K => {
                type $f = quant::Q2K;
                $go
            }
            WeightType::Q3_K => {
                type $f = quant::Q3K;
                $go
            }
            WeightType::Q4_K => {
                type $f = quant::Q4K;
                $go
            }
            WeightType::Q5_K => {
                type $f = quant::Q5K;
                $go
            }
            WeightType::Q6_K => {
                type $f = quant::Q6K;
                $go
            }
            WeightType::IQ4_NL => {
                type $f = quant::Iq4Nl;
                $go
            }
            WeightType::IQ4_XS => {
                type $f = quant::Iq4Xs;
                $go
            }
            WeightType::MXFP4 => {
                type $f = quant::MxFp4;
                $go
            }
            WeightType::IQ2_XXS => {
                type $f = quant::Iq2Xxs;
                $go
            }
            WeightType::IQ2_XS => {
                type $f = quant::Iq2Xs;
                $go
            }
            WeightType::IQ2_S => {
                type $f = quant::Iq2S;
                $go
            }
            WeightType::IQ3_XXS => {
                type $f = quant::Iq3Xxs;
                $go
            }
            WeightType::IQ3_S => {
                type $f = quant::Iq3S;
                $go
            }
        }
    }};
}
pub(crate) use with_format;

impl WeightType {
    /// Every format.
    pub const ALL: [Self; 21] = [
        Self::F32,
        Self::F16,
        Self::BF16,
        Self::Q8_0,
        Self::Q4_0,
        Self::Q4_1,
        Self::Q5_0,
        Self::Q5_1,
        Self::Q2_K,
        Self::Q3_K,
        Self::Q4_K,
        Self::Q5_K,
        Self::Q6_K,
        Self::IQ4_NL,
        Self::IQ4_XS,
        Self::MXFP4,
        Self::IQ2_XXS,
        Self::IQ2_XS,
        Self::IQ2_S,
        Self::IQ3_XXS,
        Self::IQ3_S,
    ];

    /// The name as GGUF tools write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::BF16 => "BF16",
            Self::Q8_0 => "Q8_0",
            Self::Q4_0 => "Q4_0",
            Self::Q4_1 => "Q4_1",
            Self::Q5_0 => "Q5_0",
            Self::Q5_1 => "Q5_1",
            Self::Q2_K => "Q2_K",
            Self::Q3_K => "Q3_K",
            Self::Q4_K => "Q4_K",
            Self::Q5_K => "Q5_K",
            Self::Q6_K => "Q6_K",
            Self::IQ4_NL => "IQ4_NL",
            Self::IQ4_XS => "IQ4_XS",
            Self::MXFP4 => "MXFP4",
            Self::IQ2_XXS => "IQ2_XXS",
            Self::IQ2_XS => "IQ2_XS",
            Self::IQ2_S => "IQ2_S",
            Self::IQ3_XXS => "IQ3_XXS",
            Self::IQ3_S => "IQ3_S",
        }
    }

    /// Weights in a block.
    pub fn block_len(self) -> usize {
        with_format!(self, F => F::LEN, float => 1)
    }

    /// Bytes in a block.
    pub fn block_bytes(self) -> usize {
        with_format!(self, F => F::BYTES, float => if self == Self::F32 { 4 } else { 2 })
    }

    /// Bytes in a row of `n` weights.
    ///
    /// # Panics
    /// If `n` is not a whole number of blocks.
    pub fn row_bytes(self, n: usize) -> usize {
        let len = self.block_len();
        assert!(
            n.is_multiple_of(len),
            "{n} is not a multiple of {}'s block of {len}",
            self.name()
        );
        n / len * self.block_bytes()
    }

    /// The format to which activations are rounded before they meet these weights.
    pub fn activation(self) -> ActivationType {
        match self {
            Self::F32 => ActivationType::F32,
            Self::F16 => ActivationType::F16,
            Self::BF16 => ActivationType::BF16,
            Self::Q8_0 | Self::Q4_0 | Self::Q5_0 | Self::IQ4_NL | Self::MXFP4 => {
                ActivationType::Q8_0
            }
            Self::Q4_1 | Self::Q5_1 => ActivationType::Q8_1,
            Self::Q2_K | Self::Q3_K | Self::Q4_K | Self::Q5_K | Self::Q6_K => ActivationType::Q8_K,
            Self::IQ4_XS | Self::IQ2_XXS | Self::IQ2_XS => ActivationType::Q8_K,
            Self::IQ2_S | Self::IQ3_XXS | Self::IQ3_S => ActivationType::Q8_K,
        }
    }
}

/// Turns one row of `out.len()` weights into f32, as ggml's `dequantize_row_*` do.
///
/// # Panics
/// If `row` is not exactly as long as `out.len()` weights are.
pub fn dequantize_row(ty: WeightType, row: &[u8], out: &mut [f32]) {
    assert_eq!(
        row.len(),
        ty.row_bytes(out.len()),
        "bytes of a {} row",
        ty.name()
    );
    with_format!(ty, F => block::dequantize::<F>(row, out), float => match ty {
        WeightType::F32 => float::widen::<Scalar, F32>(row, out),
        WeightType::F16 => float::widen::<Scalar, F16>(row, out),
        _ => float::widen::<Scalar, Bf16>(row, out),
    })
}
