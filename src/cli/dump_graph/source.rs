//! Where the graphs come from: a model, or a file in the textual form.

use std::io::Read;
use std::path::{Path, PathBuf};

use sharpi_compile::Model;
use sharpi_compile::lower::LowerOptions;
use sharpi_compile::regular_file;
use sharpi_ir::Module;
use sharpi_ir::plain::PlainPath;

use crate::cli::failure::Failure;
use crate::cli::lower_args::LowerArgs;
use crate::cli::model_arg::ModelArg;
use crate::cli::module_file;

#[derive(clap::Args)]
pub(super) struct Source {
    /// Model file, or graphs in the textual form
    #[arg(value_name = "FILE", conflicts_with = "model")]
    file: Option<PathBuf>,
    #[command(flatten)]
    model: ModelArg,
    /// The graphs of a run that drafts no tokens: the end of the trunk for the rows of the logits
    /// alone, and no head
    #[arg(long)]
    no_draft: bool,
    #[command(flatten)]
    lower: LowerArgs,
}

impl Source {
    /// What the file is called, without its folder.
    pub(super) fn name(&self) -> String {
        let file = self.file.as_deref().and_then(Path::file_name);
        file.map_or_else(
            || self.model.short_name(),
            |name| PlainPath(name.as_ref()).to_string(),
        )
    }

    /// The graphs before any pass. Of a model only the header is read.
    pub(super) fn module(&self) -> Result<Module, Failure> {
        match &self.file {
            Some(path) => self.module_of(path),
            None => self.lowered(&self.model.open()?),
        }
    }

    /// The graphs of a file: of a model, or in the textual form.
    pub(super) fn module_of(&self, path: &Path) -> Result<Module, Failure> {
        if is_gguf(path) {
            return self.lowered(&self.model.open_file(path)?);
        }
        if self.no_draft {
            return Err(Failure::usage(
                format!("{} holds graphs that are made already", PlainPath(path)),
                "--no-draft chooses the graphs of a model; leave it away",
            ));
        }
        module_file::read(path)
    }

    fn lowered(&self, model: &Model) -> Result<Module, Failure> {
        let rows = LowerOptions::default().max_rows;
        let options = self.lower.options(usize::MAX, rows).draft(!self.no_draft);
        Ok(model.lower(&options)?)
    }
}

/// Whether a file is a model, by its first bytes.
fn is_gguf(path: &Path) -> bool {
    let mut magic = [0; 4];
    let read = regular_file::open(path).and_then(|mut file| file.read_exact(&mut magic));
    read.is_ok() && magic == *b"GGUF"
}
