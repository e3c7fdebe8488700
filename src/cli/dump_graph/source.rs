//! Where the graphs come from: a model, or a file in the textual form.

use std::path::PathBuf;

use sharpi_compile::lower::LowerOptions;
use sharpi_ir::Module;

use crate::cli::failure::Failure;
use crate::cli::lower_args::LowerArgs;
use crate::cli::model_arg::ModelArg;
use crate::cli::module_file;

#[derive(clap::Args)]
pub(super) struct Source {
    /// Graphs in the textual form, in place of a model's
    #[arg(value_name = "FILE.sir", conflicts_with = "model")]
    file: Option<PathBuf>,
    #[command(flatten)]
    model: ModelArg,
    /// The graphs of a run that drafts no tokens: the end of the trunk for the rows of the logits
    /// alone, and no head
    #[arg(long, conflicts_with = "file")]
    no_draft: bool,
    #[command(flatten)]
    lower: LowerArgs,
}

impl Source {
    /// The graphs before any pass. Of a model only the header is read.
    pub(super) fn module(&self) -> Result<Module, Failure> {
        match &self.file {
            Some(path) => module_file::read(path),
            None => {
                let rows = LowerOptions::default().max_rows;
                let options = LowerOptions {
                    draft: !self.no_draft,
                    ..self.lower.options(usize::MAX, rows)
                };
                Ok(self.model.open()?.lower(&options)?)
            }
        }
    }
}
