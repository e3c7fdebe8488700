//! Whether weights of each type mean here what they mean in ggml, bit by bit.

use std::ffi::c_int;

use anyhow::{Context, Result, ensure};
use clap::Args;
use llama_cpp_sys_2 as sys;
use sharpi_compile::gguf::GgmlType;
use sharpi_kernels::activation::quantize_row;
use sharpi_kernels::columns::ColumnsMut;
use sharpi_kernels::matmul::{Matrix, matmul_rows};
use sharpi_kernels::quant::{WeightType, dequantize_row};

use crate::quantize::quantize;

/// What is compared.
#[derive(Args)]
pub struct FormatsArgs {
    /// Rows of each type
    #[arg(long, value_name = "N", default_value_t = 256)]
    rows: usize,
    /// Weights of a row, a multiple of 256
    #[arg(short, long, value_name = "N", default_value_t = 4096)]
    n: usize,
}

impl FormatsArgs {
    /// Prints for each type how many of its values, rounded activations and products are the same;
    /// fails if any differ, but for the products of types that llama.cpp repacks.
    pub fn run(self) -> Result<()> {
        ensure!(
            self.n.is_multiple_of(256),
            "{} is no multiple of 256",
            self.n
        );
        // SAFETY: it takes nothing, and is what fills ggml's tables.
        unsafe { sys::ggml_cpu_init() };
        let mut all_same = true;
        for ty in WeightType::ALL.into_iter().filter(|ty| ty.block_len() > 1) {
            let same = self.compare(ty).with_context(|| ty.name())?;
            let [values, activations, products] = same.map(|same| same == self.rows);
            println!(
                "{}: of {} rows {} with the same values, {} activations, {} products{}",
                ty.name(),
                self.rows,
                same[0],
                same[1],
                same[2],
                if repacked(ty) {
                    ", which llama.cpp adds in another order once repacked"
                } else {
                    ""
                },
            );
            all_same &= values && activations && (products || repacked(ty));
        }
        ensure!(all_same, "some differ");
        Ok(())
    }

    /// Rows whose values, activations and products are the same here and there.
    fn compare(&self, ty: WeightType) -> Result<[usize; 3]> {
        let known = GgmlType::ALL.iter().find(|known| known.name() == ty.name());
        let id = known.context("no type of ggml has that name")?;
        // SAFETY: the id is one of ggml's, whose tables are static.
        let (traits, cpu) = unsafe {
            (
                &*sys::ggml_get_type_traits(id.id()),
                &*sys::ggml_get_type_traits_cpu(id.id()),
            )
        };
        // SAFETY: as above.
        let act = unsafe { &*sys::ggml_get_type_traits_cpu(cpu.vec_dot_type) };
        let to_float = traits.to_float.context("no way to floats")?;
        let vec_dot = cpu.vec_dot.context("no product")?;
        let from_float = act.from_float.context("no rounding of activations")?;
        let (n, mut random, mut same) = (self.n, Random(1), [0; 3]);
        for _ in 0..self.rows {
            let row = quantize(*id, &random.values(n), n, &random.importance(n))?;
            let x = random.values(n);
            let (mut values, mut theirs) = (vec![0.0f32; n], vec![0.0f32; n]);
            dequantize_row(ty, &row, &mut values);
            let mut acts = vec![0u8; ty.activation().row_bytes(n)];
            let mut their_acts = acts.clone();
            quantize_row(ty.activation(), &x, &mut acts);
            let (mut product, mut their_product) = ([0.0f32], 0.0f32);
            matmul_rows(
                Matrix::of_rows(ty, n, &row),
                0..1,
                (&acts).into(),
                &mut ColumnsMut::new(&mut product, 1, 1),
            );
            // SAFETY: all rows are of `n` values, as long as their types say.
            unsafe {
                to_float(row.as_ptr().cast(), theirs.as_mut_ptr(), n as i64);
                from_float(x.as_ptr(), their_acts.as_mut_ptr().cast(), n as i64);
                let (row, acts) = (row.as_ptr().cast(), their_acts.as_ptr().cast());
                vec_dot(n as c_int, &mut their_product, 0, row, 0, acts, 0, 1);
            }
            // Not the sign of a zero, which no sum keeps.
            same[0] += usize::from(values == theirs);
            same[1] += usize::from(acts == their_acts);
            same[2] += usize::from(product[0].to_bits() == their_product.to_bits());
        }
        Ok(same)
    }
}

/// Whether llama.cpp's product on x86 is not ggml's, but of several rows.
fn repacked(ty: WeightType) -> bool {
    use WeightType::{IQ4_NL, MXFP4, Q2_K, Q4_0, Q4_K};
    matches!(ty, Q4_0 | IQ4_NL | MXFP4 | Q2_K | Q4_K)
}

/// A small reproducible stream of numbers.
struct Random(u64);

impl Random {
    /// In 0..1.
    fn next(&mut self) -> f32 {
        self.0 = (self.0.wrapping_mul(6_364_136_223_846_793_005))
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1 << 24) as f32
    }

    /// About normal, of another size every 64.
    fn values(&mut self, n: usize) -> Vec<f32> {
        let mut size = 1.0;
        let value = |i: usize| {
            if i.is_multiple_of(64) {
                size = (6.0 * self.next() - 3.0).exp();
            }
            let sum: f32 = (0..6).map(|_| self.next()).sum();
            size * (sum - 3.0)
        };
        (0..n).map(value).collect()
    }

    fn importance(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.next() + 0.1).collect()
    }
}
