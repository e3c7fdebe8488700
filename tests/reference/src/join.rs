//! Models as older converters wrote them.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use sharpi_compile::gguf::Gguf;

use crate::older::joint;

/// What to rewrite.
#[derive(Args)]
pub struct JoinArgs {
    /// Model file in GGUF
    #[arg(short, long, value_name = "FILE")]
    model: PathBuf,
    /// File to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

impl JoinArgs {
    /// Writes the file.
    pub fn run(self) -> Result<()> {
        let written = std::fs::write(&self.output, joint(&Gguf::open(&self.model)?));
        written.with_context(|| format!("cannot write {}", self.output.display()))
    }
}
