//! How many tokens a session holds.

use sharpi_compile::Model;

use super::failure::Failure;

/// A context larger than this costs memory that few texts need; `-c` can ask for it.
const DEFAULT: usize = 4096;

#[derive(clap::Args)]
pub(super) struct ContextArg {
    /// Tokens that prompt and text can have together; 0 as many as the model was trained for
    /// [default: the same, at most 4096]
    #[arg(short, long, value_name = "N")]
    ctx_size: Option<usize>,
}

impl ContextArg {
    /// Tokens, for this model.
    pub(super) fn of(&self, model: &Model) -> Result<usize, Failure> {
        let trained = model.hparams()?.context_length;
        Ok(match self.ctx_size {
            None => trained.min(DEFAULT),
            Some(0) => trained,
            Some(n) => n,
        })
    }
}
