//! llama.cpp's perplexity over a text, counted as its own llama-perplexity counts it, and the file
//! of log probabilities that this writes.

use std::fs;
use std::io::Write;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Args;
use llama_cpp_2::llama_batch::LlamaBatch;
use sharpi_compile::ir::DType;

use crate::llama::{Llama, Shape};
use crate::{backend, cache_type};

/// Numbers of a row in front of its quants, each of 16 bits.
const HEAD: usize = 4;

#[derive(Args)]
pub struct PerplexityArgs {
    /// Model file in GGUF
    #[arg(short, long, value_name = "FILE")]
    model: PathBuf,
    /// Text; a line feed at its end does not count
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// Tokens of a chunk
    #[arg(short, long, value_name = "N", default_value_t = 512)]
    ctx_size: usize,
    /// Most chunks to evaluate
    #[arg(long, value_name = "N")]
    chunks: Option<usize>,
    /// Threads to compute with
    #[arg(short, long, value_name = "N", default_value_t = 1)]
    threads: usize,
    /// Type of the cached keys and values: f32, f16, bf16, q8_0 or q4_0
    #[arg(long, value_name = "TYPE", default_value = "f16", value_parser = cache_type)]
    cache_type: DType,
    /// Positions to evaluate at once [default: those of a chunk]
    #[arg(short, long, value_name = "N")]
    batch_size: Option<NonZeroUsize>,
    /// Leave the weights as they are in the file
    #[arg(long)]
    no_repack: bool,
    /// File of log probabilities to write
    #[arg(long, value_name = "FILE")]
    kl_divergence_base: Option<PathBuf>,
}

impl PerplexityArgs {
    pub fn run(self) -> Result<()> {
        let llama = Llama::load(backend()?, &self.model, !self.no_repack)?;
        let text = fs::read_to_string(&self.file)
            .with_context(|| format!("{} cannot be read", self.file.display()))?;
        let tokens = llama.plain_tokens(text.strip_suffix('\n').unwrap_or(&text));
        let length = self.ctx_size;
        let width = self
            .batch_size
            .map_or(length, NonZeroUsize::get)
            .min(length);
        ensure!(length > 2, "a chunk has three tokens at least");
        ensure!(
            tokens.len() >= 2 * length,
            "the text has {} tokens, fewer than two chunks",
            tokens.len()
        );
        let count = (tokens.len() / length).min(self.chunks.unwrap_or(usize::MAX));
        let tokens = &tokens[..count * length];
        let mut file = Vec::new();
        let (mut sum, mut squares, mut judged) = (0f64, 0f64, 0usize);
        let shape = Shape {
            positions: length,
            cache_type: self.cache_type,
            threads: self.threads,
            sequences: 1,
            watched: false,
        };
        let mut context = llama.context(shape)?;
        for (i, chunk) in tokens.chunks_exact(length).enumerate() {
            context.clear_kv_cache();
            let mut fed = chunk.to_vec();
            if let Some(bos) = llama.bos() {
                fed[0] = bos;
            }
            let first = length / 2;
            for begin in (0..length).step_by(width) {
                let batched = begin..(begin + width).min(length);
                let mut batch = LlamaBatch::new(width, 1);
                for at in batched.clone() {
                    batch.add(fed[at], at as i32, &[0], at >= first)?;
                }
                context.decode(&mut batch)?;
                for at in batched.filter(|at| (first..length - 1).contains(at)) {
                    let logits = context.get_logits_ith((at - begin) as i32);
                    let row = Row::of(logits);
                    let nll = -row.log_prob(logits[chunk[at + 1].0 as usize]);
                    (sum, squares, judged) = (sum + nll, squares + nll * nll, judged + 1);
                    if self.kl_divergence_base.is_some() {
                        row.write(logits, &mut file)?;
                    }
                }
            }
            print!("[{}]{:.4},", i + 1, (sum / judged as f64).exp());
            std::io::stdout().flush()?;
        }
        let mean = sum / judged as f64;
        let variance = (squares / judged as f64 - mean * mean) / (judged - 1) as f64;
        let (value, error) = (mean.exp(), variance.max(0.0).sqrt() * mean.exp());
        println!("\nFinal estimate: PPL = {value:.4} +/- {error:.5}");
        match &self.kl_divergence_base {
            None => Ok(()),
            Some(path) => {
                let mut whole = b"_logits_".to_vec();
                for number in [length, llama.vocabulary(), count] {
                    whole.extend(i32::try_from(number)?.to_le_bytes());
                }
                for id in tokens {
                    whole.extend(id.0.to_le_bytes());
                }
                whole.append(&mut file);
                Ok(fs::write(path, whole)?)
            }
        }
    }
}

/// The constants of one position's softmax.
struct Row {
    most: f32,
    least: f32,
    log_sum: f64,
}

impl Row {
    fn of(logits: &[f32]) -> Row {
        let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let least = logits.iter().copied().fold(f32::INFINITY, f32::min);
        let sum: f64 = logits.iter().map(|x| f64::from((x - most).exp())).sum();
        Row {
            most,
            least: least.max(most - 16.0),
            log_sum: sum.ln(),
        }
    }

    fn log_prob(&self, logit: f32) -> f64 {
        f64::from(logit - self.most) - self.log_sum
    }

    /// Step and least value as f32, then the logits in 65535 steps above that, an even number.
    fn write(&self, logits: &[f32], out: &mut Vec<u8>) -> Result<()> {
        let begin = out.len();
        let step = (self.most - self.least) / 65535.0;
        out.write_all(&step.to_le_bytes())?;
        out.write_all(&(self.log_prob(self.least) as f32).to_le_bytes())?;
        for logit in logits {
            let steps = if step > 0.0 {
                (logit.max(self.least) - self.least) / step
            } else {
                0.0
            };
            out.write_all(&(steps.round_ties_even() as u16).to_le_bytes())?;
        }
        out.resize(begin + 2 * (HEAD + logits.len().next_multiple_of(2)), 0);
        Ok(())
    }
}
