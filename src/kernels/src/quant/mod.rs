//! Weight formats of GGUF files: block layouts, unpacking and dequantisation.
//!
//! Layouts and dequantisation formulas follow `ggml-quants.c`. Every quantised format
//! unpacks into one `Block`: small integers, an integer scale for each 16 of them,
//! and the block's f32 factors. What a kernel computes is defined on that block.

mod block;
mod few;
mod float;
mod grid;
mod iq1;
mod iq23;
mod iq4;
mod k;
mod legacy;

#[cfg(test)]
pub(crate) use block::RowBlock;
pub(crate) use block::{
    Block, Columns, Factor, Format, Offset, POWERS_OF_THREE, Scales, column_at, columns, exponent,
    nibbles, trit, word_bytes,
};
pub(crate) use few::{Q1_0, Q2_0, Tq1_0, Tq2_0};
pub(crate) use float::{Bf16, Element, F16, F32};
pub(crate) use iq1::{Iq1M, Iq1S};
pub(crate) use iq4::{Iq4Nl, Iq4Xs, MxFp4, NvFp4};
pub(crate) use iq23::{Iq2S, Iq2Xs, Iq2Xxs, Iq3S, Iq3Xxs};
pub(crate) use k::{Q2K, Q3K, Q4K, Q5K, Q6K};
pub(crate) use legacy::{Q4_0, Q4_1, Q5_0, Q5_1, Q8_0};

use super::activation::ActivationType;
use super::isa::Scalar;

/// Defines the formats once: those of floats, and those of blocks with what describes a block and
/// the activations that the weights meet.
macro_rules! weight_types {
    ($d:tt floats { $($(#[$float_doc:meta])* $float:ident;)* }
     blocks { $($(#[$doc:meta])* $name:ident $format:ident $activation:ident;)* }) => {
        /// A format in which weights are stored.
        #[allow(non_camel_case_types)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum WeightType {
            $($(#[$float_doc])* $float,)*
            $($(#[$doc])* $name,)*
        }

        impl WeightType {
            /// Every format.
            pub const ALL: [Self; [$(Self::$float,)* $(Self::$name),*].len()] =
                [$(Self::$float,)* $(Self::$name),*];

            /// The name as GGUF tools write it.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$float => stringify!($float),)*
                    $(Self::$name => stringify!($name),)*
                }
            }

            /// The format to which activations are rounded before they meet these weights.
            pub fn activation(self) -> ActivationType {
                match self {
                    $(Self::$float => ActivationType::$float,)*
                    $(Self::$name => ActivationType::$activation,)*
                }
            }
        }

        /// Runs `$go` with `$f` naming the block format of `$ty`, or `$other` for a float type.
        macro_rules! with_format {
            ($d ty:expr, $d f:ident => $d go:expr, float => $d other:expr) => {{
                use $crate::quant::{self, WeightType};
                match $d ty {
                    $(WeightType::$float)|* => $d other,
                    $(WeightType::$name => {
                        type $d f = quant::$format;
                        $d go
                    })*
                }
            }};
        }
    };
}

weight_types! { $
    floats {
        /// IEEE single precision.
        F32;
        /// IEEE half precision.
        F16;
        /// The upper half of a single-precision value.
        BF16;
    }
    blocks {
        /// 8 bits, blocks of 32.
        Q8_0 Q8_0 Q8_0;
        /// 4 bits, blocks of 32.
        Q4_0 Q4_0 Q8_0;
        /// 4 bits with a minimum, blocks of 32.
        Q4_1 Q4_1 Q8_1;
        /// 5 bits, blocks of 32.
        Q5_0 Q5_0 Q8_0;
        /// 5 bits with a minimum, blocks of 32.
        Q5_1 Q5_1 Q8_1;
        /// 2 bits with minimums, blocks of 256.
        Q2_K Q2K Q8_K;
        /// 3 bits, blocks of 256.
        Q3_K Q3K Q8_K;
        /// 4 bits with minimums, blocks of 256.
        Q4_K Q4K Q8_K;
        /// 5 bits with minimums, blocks of 256.
        Q5_K Q5K Q8_K;
        /// 6 bits, blocks of 256.
        Q6_K Q6K Q8_K;
        /// 4-bit indices into a table, blocks of 32.
        IQ4_NL Iq4Nl Q8_0;
        /// 4-bit indices into a table, blocks of 256.
        IQ4_XS Iq4Xs Q8_K;
        /// 4-bit floats with a common exponent, blocks of 32.
        MXFP4 MxFp4 Q8_0;
        /// Points of a grid, 2.1 bits a weight, blocks of 256.
        IQ2_XXS Iq2Xxs Q8_K;
        /// Points of a grid, 2.3 bits a weight, blocks of 256.
        IQ2_XS Iq2Xs Q8_K;
        /// Points of a grid, 2.6 bits a weight, blocks of 256.
        IQ2_S Iq2S Q8_K;
        /// Points of a grid, 3.1 bits a weight, blocks of 256.
        IQ3_XXS Iq3Xxs Q8_K;
        /// Points of a grid, 3.4 bits a weight, blocks of 256.
        IQ3_S Iq3S Q8_K;
        /// Points of a grid, 1.6 bits a weight, blocks of 256.
        IQ1_S Iq1S Q8_K;
        /// Points of a grid, 1.8 bits a weight, blocks of 256.
        IQ1_M Iq1M Q8_K;
        /// −1, 0 and 1 by digits in base three, blocks of 256.
        TQ1_0 Tq1_0 Q8_K;
        /// −1, 0 and 1 by pairs of bits, blocks of 256.
        TQ2_0 Tq2_0 Q8_K;
        /// 4-bit floats with a scale for each 16, blocks of 64.
        NVFP4 NvFp4 Q8_0;
        /// −1 and 1, blocks of 128.
        Q1_0 Q1_0 Q8_0;
        /// −1, 0, 1 and 2, blocks of 64.
        Q2_0 Q2_0 Q8_0;
    }
}
pub(crate) use with_format;

impl WeightType {
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
