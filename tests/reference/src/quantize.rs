//! Models of types that only llama.cpp's own quantisers make.

use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Args;
use llama_cpp_sys_2::ggml_quantize_chunk;
use sharpi_compile::gguf::write::Writer;
use sharpi_compile::gguf::{GgmlType, Gguf, TensorInfo};
use sharpi_compile::ir::DType;

/// What to quantise, and to which types.
#[derive(Args)]
pub struct QuantizeArgs {
    /// Model file in GGUF with matrices of f32
    #[arg(short, long, value_name = "FILE")]
    model: PathBuf,
    /// Types that the matrices get in turn
    #[arg(short, long, value_name = "TYPE,…", value_delimiter = ',', required = true, value_parser = block_type)]
    types: Vec<GgmlType>,
    /// File to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

impl QuantizeArgs {
    /// Writes the file.
    pub fn run(self) -> Result<()> {
        let source = Gguf::open(&self.model)?;
        let mut writer = Writer::new();
        for (key, value) in source.metadata() {
            writer.metadata(key.clone(), value.clone());
        }
        let mut types = self.types.iter().cycle();
        for (name, tensor) in source.tensors() {
            let data = source.data(tensor);
            // As llama-quantize does: the convolution and all vectors stay as they are, and rows of
            // no whole blocks of 256 get blocks of 32.
            if tensor.dims.len() < 2 || name.contains("conv1d") {
                writer.tensor(name.clone(), tensor.ty, &tensor.dims, data);
                continue;
            }
            let ty = match *types.next().context("a type")? {
                ty if tensor.dims[0] % ty.block_len() == 0 => ty,
                _ => GgmlType::IQ4_NL,
            };
            let quants = quantized(tensor, data, ty).with_context(|| format!("tensor `{name}`"))?;
            println!("{name}: {ty}");
            writer.tensor(name.clone(), ty, &tensor.dims, quants);
        }
        let out = File::create(&self.output)
            .with_context(|| format!("cannot write {}", self.output.display()))?;
        Ok(writer.write(BufWriter::new(out))?)
    }
}

/// All rows of a tensor in blocks of `ty`, each weight as important as the others.
fn quantized(tensor: &TensorInfo, data: &[u8], ty: GgmlType) -> Result<Vec<u8>> {
    ensure!(tensor.ty == GgmlType::F32, "is {}, not F32", tensor.ty);
    let n = tensor.dims[0] as usize;
    let values: Vec<f32> = (data.as_chunks::<4>().0.iter())
        .map(|bytes| f32::from_le_bytes(*bytes))
        .collect();
    quantize(ty, &values, n, &vec![1.0; n])
}

/// Rows of `n` values in blocks of `ty`, each value of a row as important as said.
pub fn quantize(ty: GgmlType, values: &[f32], n: usize, importance: &[f32]) -> Result<Vec<u8>> {
    let block = ty.block_len() as usize;
    ensure!(
        n.is_multiple_of(block),
        "rows of {n} are no whole blocks of {block}"
    );
    ensure!(
        values.len().is_multiple_of(n) && importance.len() == n,
        "no whole rows"
    );
    let rows = values.len() / n;
    let mut quants = vec![0; values.len() / block * ty.block_bytes() as usize];
    // SAFETY: there are `rows · n` values, bytes for as many in blocks, and an importance for each
    // of a row.
    let written = unsafe {
        ggml_quantize_chunk(
            ty.id(),
            values.as_ptr(),
            quants.as_mut_ptr().cast(),
            0,
            rows as i64,
            n as i64,
            importance.as_ptr(),
        )
    };
    ensure!(written == quants.len(), "{written} bytes were written");
    Ok(quants)
}

/// A type with blocks for which there are kernels here, and quantisers there.
fn block_type(name: &str) -> Result<GgmlType> {
    let known = GgmlType::ALL.iter().find(|ty| ty.name() == name);
    let is_weight = |ty: &GgmlType| {
        let dtype = DType::from_name(&ty.name().to_lowercase());
        ty.block_len() > 1 && dtype.is_some_and(|dtype| dtype.activation().is_some())
    };
    let found = known.copied().filter(is_weight);
    found.with_context(|| format!("`{name}` is no type of weights in blocks, such as IQ3_S"))
}
