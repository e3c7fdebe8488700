//! The engine that answers requests, for the commands that have one.

use std::sync::Arc;

use sharpi_compile::Model;
use sharpi_compile::engine::{Engine, EngineOptions};
use sharpi_compile::generate::DraftOptions;
use sharpi_compile::tokenizer::Tokenizer;

use super::context_arg::ContextArg;
use super::exec_args::ExecArgs;
use super::failure::Failure;
use super::lower_args::LowerArgs;
use super::remember_args::RememberArgs;
use super::spec::SpecArgs;

#[derive(clap::Args)]
pub(super) struct EngineArgs {
    #[command(flatten)]
    context: ContextArg,
    #[command(flatten)]
    remember: RememberArgs,
    #[command(flatten)]
    pub(super) exec: ExecArgs,
    #[command(flatten)]
    pub(super) spec: SpecArgs,
    #[command(flatten)]
    lower: LowerArgs,
}

impl EngineArgs {
    /// Compiles a model and starts an engine with `options`, to which those of the command line are
    /// added; with it, how requests are to draft.
    pub(super) fn start(
        &self,
        model: &Model,
        tokenizer: &Arc<Tokenizer>,
        options: EngineOptions,
    ) -> Result<(Engine, Option<DraftOptions>), Failure> {
        let context = self.context.of(model)?;
        let draft = self.spec.options(&model.hparams()?)?;
        self.exec.check()?;
        let drafts = draft.map_or(0, |d| d.n_max);
        let vocabulary = match draft {
            Some(_) => self.spec.vocabulary.read()?,
            None => None,
        };
        // All that run may have drafts at a time.
        let lower = self
            .lower
            .options(usize::MAX, options.parallel * (1 + drafts));
        let lower = lower.draft(drafts > 0).draft_vocabulary(vocabulary);
        let passes = sharpi_passes::Options::default();
        let executable = self.exec.compile(model, lower, passes)?;
        let options = options
            .threads(self.exec.threads())
            .pin(self.exec.pins())
            .context(context)
            .drafts(drafts);
        let options = self.remember.set(options);
        let engine = Engine::start(Arc::new(executable), Some(tokenizer.clone()), options)?;
        Ok((engine, draft))
    }
}
