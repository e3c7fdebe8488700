//! Which model.

use std::path::{Path, PathBuf};

use sharpi_compile::Model;
use sharpi_compile::tokenizer::Tokenizer;
use sharpi_ir::plain::PlainPath;

use super::failure::Failure;
use super::notice;

#[derive(clap::Args)]
pub(super) struct ModelArg {
    /// Model file, GGUF [default: a small model that is part of the program]
    #[arg(short, long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// File with the multi-token-prediction head to draft with, in the place of the model's own;
    /// also -md
    #[arg(long, value_name = "FILE", requires = "model")]
    model_draft: Option<PathBuf>,
    #[command(flatten)]
    strict: StrictArg,
}

/// Whether what is not known is refused.
#[derive(clap::Args, Clone, Copy)]
pub(super) struct StrictArg {
    /// Refuse a file with metadata keys of its architecture that are not known here, in place of a
    /// warning
    #[arg(long)]
    strict: bool,
}

/// What the model that is part of the program is called.
const EMBEDDED: &str = "(part of the program)";

impl ModelArg {
    /// What the model is called.
    pub(super) fn name(&self) -> String {
        name(self.model.as_ref())
    }

    /// The same without the folder that the file is in.
    pub(super) fn short_name(&self) -> String {
        let file = self.model.as_deref().and_then(Path::file_name);
        file.map_or(EMBEDDED.into(), |name| PlainPath(name.as_ref()).to_string())
    }

    /// Whether it is the one that is part of the program.
    pub(super) fn is_bundled(&self) -> bool {
        self.model.is_none()
    }

    pub(super) fn open(&self) -> Result<Model, Failure> {
        let model = match (&self.model, &self.model_draft) {
            (Some(model), Some(head)) => Model::open_with_head(model, head)?,
            (model, _) => open_unchecked(model.as_deref())?,
        };
        self.strict.check(&model)?;
        Ok(model)
    }

    /// A file that is named in another way than with -m.
    pub(super) fn open_file(&self, file: &Path) -> Result<Model, Failure> {
        self.strict.open(Some(file))
    }

    /// Whether a file is named to take the head from.
    pub(super) fn names_a_head(&self) -> bool {
        self.model_draft.is_some()
    }
}

impl StrictArg {
    /// The model of a file, or the one that is part of the program.
    pub(super) fn open(self, file: Option<&Path>) -> Result<Model, Failure> {
        let model = open_unchecked(file)?;
        self.check(&model)?;
        Ok(model)
    }

    /// Tells on stderr what a file holds that may have been meant to change the result, or refuses
    /// the file for it.
    fn check(self, model: &Model) -> Result<(), Failure> {
        // A model that cannot be run is refused by whoever wants to run it.
        let notes = model.notes().unwrap_or_default();
        for note in notes.iter().filter(|note| note.is_warning()) {
            if self.strict {
                return Err(Failure::unsupported(
                    note,
                    "leave --strict away to run it all the same",
                ));
            }
            notice::warn(note);
        }
        Ok(())
    }
}

fn open_unchecked(file: Option<&Path>) -> Result<Model, Failure> {
    Ok(match file {
        Some(path) => Model::open(path)?,
        None => Model::embedded()?,
    })
}

/// The model's tokeniser; what is odd about the vocabulary is told on stderr.
pub(super) fn tokenizer(model: &Model) -> Result<Tokenizer, Failure> {
    let tokenizer = model.tokenizer()?;
    tokenizer.warnings().iter().for_each(notice::warn);
    Ok(tokenizer)
}

/// What a model is called: as its file, if it has one.
pub(super) fn name(file: Option<&PathBuf>) -> String {
    file.map_or(EMBEDDED.into(), |path| PlainPath(path).to_string())
}
