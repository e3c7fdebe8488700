//! Which model.

use std::path::PathBuf;

use sharpi_compile::Model;

use super::failure::Failure;

#[derive(clap::Args)]
pub(super) struct ModelArg {
    /// Model file, GGUF [default: a small model that is part of the program]
    #[arg(short, long, value_name = "FILE")]
    model: Option<PathBuf>,
}

impl ModelArg {
    pub(super) fn open(&self) -> Result<Model, Failure> {
        open(self.model.as_ref())
    }
}

/// The model of a file, or the one that is part of the program.
pub(super) fn open(file: Option<&PathBuf>) -> Result<Model, Failure> {
    Ok(match file {
        Some(path) => Model::open(path)?,
        None => Model::embedded()?,
    })
}
