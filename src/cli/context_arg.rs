//! How many tokens a session holds.

use sharpi_compile::Model;

use super::failure::Failure;
use super::notice;

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
            Some(n) => {
                if n > trained {
                    notice::warn(format_args!(
                        "a context of {n} tokens is more than the {trained} that the model was trained for: texts may go wrong there"
                    ));
                }
                n
            }
        })
    }
}
