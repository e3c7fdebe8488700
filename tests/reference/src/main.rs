//! Runs llama.cpp in this process: to write what it did as golden files for the tests, and to
//! compare speeds.

mod capture;
mod compare;
mod dump;
mod formats;
mod generate;
mod join;
mod llama;
mod perplexity;
mod plot;
mod quantize;
mod tokenize;
mod watch;

/// How files of tests are rewritten.
#[path = "../../support/older.rs"]
mod older;
#[path = "../../support/rewrite.rs"]
mod rewrite;
/// Vocabularies and texts of tests.
#[path = "../../support/words.rs"]
mod words;

use std::path::PathBuf;
use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};
use clap::{Args, Parser, Subcommand};
use llama_cpp_2::llama_backend::LlamaBackend;
use sharpi_compile::ir::DType;
use sharpi_compile::lower::CACHE_TYPES;
use sharpi_compile::parity::{Capture, read_prompts};

use crate::capture::Plan;
use crate::llama::Llama;

/// Runs llama.cpp for comparison.
#[derive(Parser)]
#[command(name = "sharpi-reference", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Continue prompts greedily and write ids, logits and rounds of drafting
    Capture(CaptureArgs),
    /// Measure both engines alternately on one file and print how much faster this one is
    Compare(compare::CompareArgs),
    /// Write the tensors that llama.cpp names in a short run
    Dump(dump::DumpArgs),
    /// Hold weights of every type, and their products, against ggml's bit by bit
    Formats(formats::FormatsArgs),
    /// Write a model of qwen3next as older converters did, with a joint matrix in each DeltaNet block
    Join(join::JoinArgs),
    /// Measure how well llama.cpp predicts a text, and write its log probabilities
    Perplexity(perplexity::PerplexityArgs),
    /// Draw what `compare --json` has measured
    Plot(plot::PlotArgs),
    /// Quantise a model of f32, each matrix to the next of some types
    Quantize(quantize::QuantizeArgs),
    /// Hold the ids of thousands of texts against llama.cpp's, by each rule that parts words
    Tokenize(tokenize::TokenizeArgs),
}

#[derive(Args)]
struct CaptureArgs {
    /// Model file in GGUF
    #[arg(short, long, value_name = "FILE")]
    model: PathBuf,
    /// Text to continue; may be given more than once
    #[arg(
        short,
        long,
        value_name = "TEXT",
        allow_hyphen_values = true,
        required_unless_present = "prompts"
    )]
    prompt: Vec<String>,
    /// JSON list of texts to continue
    #[arg(long, value_name = "FILE")]
    prompts: Option<PathBuf>,
    /// Ids to generate
    #[arg(short = 'n', long, value_name = "N", default_value_t = 64, value_parser = at_least_one)]
    predict: usize,
    /// Most ids drafted in a round, 0 for none; each is a capture of its own
    #[arg(
        long,
        value_name = "N,…",
        value_delimiter = ',',
        default_value = "0,1,2,3"
    )]
    draft_max: Vec<usize>,
    /// Types of the cached keys and values, of f32, f16, bf16, q8_0 and q4_0; each is a capture of its own
    #[arg(long, value_name = "TYPE,…", value_delimiter = ',', default_value = "f32", value_parser = cache_type)]
    cache_type: Vec<DType>,
    /// Never choose an id that ends the text
    #[arg(long)]
    ignore_eos: bool,
    /// File to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Capture(args) => args.run(),
        Command::Compare(args) => args.run(),
        Command::Dump(args) => args.run(),
        Command::Formats(args) => args.run(),
        Command::Join(args) => args.run(),
        Command::Perplexity(args) => args.run(),
        Command::Plot(args) => args.run(),
        Command::Quantize(args) => args.run(),
        Command::Tokenize(args) => args.run(),
    }
}

impl CaptureArgs {
    fn run(self) -> Result<()> {
        let mut prompts = self.prompt;
        if let Some(path) = &self.prompts {
            prompts.extend(read_prompts(path)?);
        }
        let plan = Plan {
            prompts,
            cache_types: self.cache_type,
            draft_widths: self.draft_max,
            max_tokens: self.predict,
            ignore_eos: self.ignore_eos,
        };
        let backend = backend()?;
        let mut captures = plan.capture(&Llama::load(backend, &self.model, true)?)?;
        plan.compare(&mut captures, &Llama::load(backend, &self.model, false)?)?;
        for capture in &captures {
            println!("{capture}");
        }
        Ok(Capture::write_all(&self.output, &captures)?)
    }
}

/// llama.cpp, set up once and silent.
fn backend() -> Result<&'static LlamaBackend> {
    static BACKEND: OnceLock<LlamaBackend> = OnceLock::new();
    if let Some(backend) = BACKEND.get() {
        return Ok(backend);
    }
    let mut backend = LlamaBackend::init()?;
    backend.void_logs();
    Ok(BACKEND.get_or_init(|| backend))
}

fn cache_type(name: &str) -> Result<DType> {
    let found = CACHE_TYPES.into_iter().find(|ty| ty.name() == name);
    found.with_context(|| format!("`{name}` is none of f32, f16, bf16, q8_0, q4_0"))
}

fn at_least_one(text: &str) -> Result<usize> {
    let n = text.parse()?;
    ensure!(n > 0, "at least one id has to be asked for");
    Ok(n)
}
