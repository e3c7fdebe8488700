//! `parity capture`: a golden file from a running llama-server.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::value_parser;
use serde::Serialize;
use sharpi_compile::parity::{self, CaptureOptions, LlamaServer, read_prompts};

use crate::cli::failure::Failure;
use crate::cli::lower_args::CacheType;
use crate::cli::write_json_line;

#[derive(clap::Args)]
#[command(after_help = START)]
pub(super) struct Capture {
    /// Address of the server
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    #[command(flatten)]
    prompts: Prompts,
    /// Tokens to generate
    #[arg(short, long, value_name = "N", default_value_t = 64, value_parser = value_parser!(u32).range(1..))]
    n_predict: u32,
    /// The --spec-draft-n-max that the server was started with; 0 without drafting
    #[arg(long, value_name = "N", default_value_t = 0)]
    draft_max: usize,
    /// The --cache-type-k and -v that the server was started with
    #[arg(long, value_name = "TYPE", default_value = "f16")]
    cache_type: CacheType,
    /// Never choose a token that ends the text
    #[arg(long)]
    ignore_eos: bool,
    /// Seconds that an answer may take
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, value_parser = value_parser!(u64).range(1..))]
    timeout: u64,
    /// File to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Print one JSON object about the captures instead of a line for each
    #[arg(long)]
    json: bool,
}

const START: &str = "\
The server: llama-server -m FILE -t 1 -fa on -np 1 [-ctk TYPE -ctv TYPE]
With drafting also: --spec-type draft-mtp --spec-draft-n-max N [-ctkd TYPE -ctvd TYPE]";

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Prompts {
    /// Text to continue; may be given more than once
    #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true)]
    prompt: Vec<String>,
    /// JSON list of texts to continue
    #[arg(long, value_name = "FILE")]
    prompts: Option<PathBuf>,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Record<'a> {
    file: String,
    model: &'a str,
    build: &'a str,
    captures: usize,
    ids: usize,
    drafted: usize,
    accepted: usize,
}

impl Capture {
    pub(super) fn run(&self, out: &mut impl Write) -> Result<(), Failure> {
        let prompts = self.prompts.read()?;
        let server = LlamaServer::connect(&self.url, Duration::from_secs(self.timeout))?;
        let options = CaptureOptions {
            max_tokens: self.n_predict as usize,
            n_draft_max: self.draft_max,
            cache_type: self.cache_type.dtype(),
            ignore_eos: self.ignore_eos,
        };
        let mut captures = Vec::new();
        for prompt in &prompts {
            captures.push(parity::capture(&server, prompt, &options)?);
            // Written after each prompt: a later failure does not lose hours of a large model.
            parity::Capture::write_all(&self.output, &captures)?;
            if !self.json {
                writeln!(out, "{}", captures[captures.len() - 1])?;
            }
        }
        if self.json {
            let record = Record {
                file: self.output.display().to_string(),
                model: server.model(),
                build: server.build(),
                captures: captures.len(),
                ids: captures.iter().map(|c| c.ids.len()).sum(),
                drafted: captures.iter().filter_map(|c| c.drafted).sum(),
                accepted: captures.iter().filter_map(|c| c.accepted).sum(),
            };
            write_json_line(out, &record)?;
        }
        Ok(())
    }
}

impl Prompts {
    fn read(&self) -> Result<Vec<String>, Failure> {
        match &self.prompts {
            Some(path) => Ok(read_prompts(path)?),
            None => Ok(self.prompt.clone()),
        }
    }
}
