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
        Ok(match &self.model {
            Some(path) => Model::open(path)?,
            None => Model::embedded()?,
        })
    }
}
