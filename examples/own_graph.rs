//! A model of one's own, with weights of one's own: `cargo run --release --example own_graph`.
//!
//! One block of attention over 64 tokens. Each votes for the next one, earlier ones less: it counts.

use std::error::Error;
use std::sync::Arc;

use sharpi_compile::generate::{GenerateOptions, Generator, Sampler, SamplerOptions};
use sharpi_compile::gguf::GgmlType;
use sharpi_compile::ir::text::parse;
use sharpi_compile::{CompileOptions, Session, SessionOptions, Weights};

const MODULE: &str = r#"module @counts {
  weight @table : f32[64, 64] = "table"
  weight @norm : f32[64] = "norm"
  weight @q : q8_0[64, 64] = "q"
  weight @k : q8_0[32, 64] = "k"
  weight @v : q8_0[32, 64] = "v"
  weight @o : q8_0[64, 64] = "o"
  weight @next : q8_0[64, 64] = "next"
  state @kv : kv<f16>[2, 16]
  graph @trunk(%ids: index<64>[T], %pos: position[T], %rows: index<T>[R])
      -> (%logits: f32[R, 64]) where T in 1..=32, R in 0..=4 {
    %0 = embed %ids, @table : f32[T, 64]
    %1 = rmsnorm %0, @norm {eps = 1e-6} : f32[T, 64]
    %2 = matmul %1, @q : f32[T, 64]
    %3 = reshape %2 {dims = [4, 16]} : f32[T, 4, 16]
    %4 = rope %3, %pos {n_rot = 8, freq_base = 10000.0} : f32[T, 4, 16]
    %5 = matmul %1, @k : f32[T, 32]
    %6 = reshape %5 {dims = [2, 16]} : f32[T, 2, 16]
    %7 = rope %6, %pos {n_rot = 8, freq_base = 10000.0} : f32[T, 2, 16]
    %8 = matmul %1, @v : f32[T, 32]
    %9 = reshape %8 {dims = [2, 16]} : f32[T, 2, 16]
    kv_store %7, %9, %pos, state @kv
    %10 = attention %4, %pos, state @kv {scale = 0.25} : f32[T, 4, 16]
    %11 = reshape %10 {dims = [64]} : f32[T, 64]
    %12 = matmul %11, @o : f32[T, 64]
    %13 = add %0, %12 : f32[T, 64]
    %14 = get_rows %13, %rows : f32[R, 64]
    %15 = matmul %14, @next : f32[R, 64]
    return %logits = %15
  }
}"#;

/// A matrix of so many rows with `value` where the column is `shift` before the row.
fn shifted(rows: usize, shift: usize, value: f32) -> Vec<f32> {
    let is_set = |i: usize| (i % 64 + shift) % 64 == i / 64;
    (0..rows * 64)
        .map(|i| f32::from(is_set(i)) * value)
        .collect()
}

/// What comes after 3, 4, 5.
pub fn count() -> Result<Vec<u32>, Box<dyn Error>> {
    let mut weights = Weights::new();
    weights.add("table", GgmlType::F32, &[64, 64], &shifted(64, 0, 1.0))?;
    weights.add("norm", GgmlType::F32, &[64], &[1.0; 64])?;
    weights.add("next", GgmlType::Q8_0, &[64, 64], &shifted(64, 1, 1.0))?;
    for (name, rows) in [("q", 64), ("k", 32), ("v", 32), ("o", 64)] {
        weights.add(name, GgmlType::Q8_0, &[rows, 64], &shifted(rows, 0, 0.1))?;
    }
    let options = CompileOptions::default();
    let model = weights.into_model()?;
    let executable = model.compile_module(parse(MODULE)?, &options, &|_, _| ())?;
    let session = Session::new(Arc::new(executable), &SessionOptions::default())?;
    let sampler = Sampler::new(SamplerOptions::default());
    let options = GenerateOptions::default();
    let mut counted = Vec::new();
    for token in Generator::new(session, sampler, &[3, 4, 5], options)?.take(8) {
        counted.push(token?.id);
    }
    Ok(counted)
}

/// Prints it.
pub fn main() -> Result<(), Box<dyn Error>> {
    println!("3 4 5 → {:?}", count()?);
    Ok(())
}
