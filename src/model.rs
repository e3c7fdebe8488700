//! A model file: the door to everything else.

use std::path::Path;
use std::sync::Arc;

use sharpi_ir::Module;

use crate::error::Error;
use crate::exec::Executable;
use crate::gguf::Gguf;
use crate::lower::{Hparams, LowerOptions, lower};
use crate::tokenizer::{Tokenizer, Vocabulary};

/// The model that is part of the program.
static EMBEDDED: &[u8] = include_bytes!("../fixtures/models/tiny-dense-Q4_K_M.gguf");

/// An opened model file; cheap to clone.
#[derive(Clone)]
pub struct Model {
    gguf: Arc<Gguf>,
}

/// How a model is lowered and which passes run.
#[derive(Clone, Debug, Default)]
pub struct CompileOptions {
    /// The graphs' sizes and cache types.
    pub lower: LowerOptions,
    /// The pipeline.
    pub passes: sharpi_passes::Options,
}

impl Model {
    /// Opens a GGUF file, or the first part of a split one. Weights stay mapped, not read.
    ///
    /// # Errors
    /// A file that cannot be read or is malformed.
    pub fn open(path: impl AsRef<Path>) -> Result<Model, Error> {
        Ok(Model::from_gguf(Gguf::open(path)?))
    }

    /// The small model that is part of the program.
    ///
    /// # Errors
    /// None in a sound build.
    pub fn embedded() -> Result<Model, Error> {
        Ok(Model::from_gguf(Gguf::from_static(EMBEDDED)?))
    }

    /// A model from an opened file.
    pub fn from_gguf(gguf: Gguf) -> Model {
        Model {
            gguf: Arc::new(gguf),
        }
    }

    /// The file.
    pub fn gguf(&self) -> &Gguf {
        &self.gguf
    }

    /// Sizes and constants from the metadata.
    ///
    /// # Errors
    /// An unsupported architecture, a missing or unusable key.
    pub fn hparams(&self) -> Result<Hparams, Error> {
        Ok(Hparams::read(&self.gguf)?)
    }

    /// The tokeniser of the file's vocabulary.
    ///
    /// # Errors
    /// A vocabulary that is missing, inconsistent, or of an unknown kind.
    pub fn tokenizer(&self) -> Result<Tokenizer, Error> {
        Ok(Tokenizer::new(Vocabulary::read(&self.gguf)?)?)
    }

    /// The graphs as imported, before any pass.
    ///
    /// # Errors
    /// See [`lower`](crate::lower::lower).
    pub fn lower(&self, options: &LowerOptions) -> Result<Module, Error> {
        Ok(lower(&self.gguf, options)?)
    }

    /// Lowers the model, runs the passes and binds the plan to kernels.
    ///
    /// # Errors
    /// What [`Model::lower`] and the passes refuse.
    pub fn compile(&self, options: &CompileOptions) -> Result<Executable, Error> {
        self.compile_module(self.lower(&options.lower)?, &options.passes)
    }

    /// Runs the passes over graphs on this model's weights, lowered or made in some other way, and
    /// binds the plan to kernels.
    ///
    /// # Errors
    /// What the passes refuse; weights that the file does not hold; ops without a kernel.
    pub fn compile_module(
        &self,
        module: Module,
        passes: &sharpi_passes::Options,
    ) -> Result<Executable, Error> {
        let compiled = sharpi_passes::compile(module, passes)?;
        Ok(Executable::new(compiled, &self.gguf)?)
    }
}
