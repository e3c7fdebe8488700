//! `chat`: a conversation in the terminal, or line by line from another program.

mod answerer;
mod command;
mod editor;
mod figures;
mod input;
mod multiline;
mod params;
mod prompt_view;
mod reading;
mod saved;
mod talk;
mod transcript;

use std::path::PathBuf;
use std::sync::Arc;

use sharpi_compile::Model;
use sharpi_compile::engine::EngineOptions;
use sharpi_compile::generate::GenerateOptions;
use sharpi_compile::tokenizer::Tokenizer;

use super::conversation_args::ConversationArgs;
use super::described::Described;
use super::engine_args::EngineArgs;
use super::failure::Failure;
use super::file_sampling;
use super::interrupt::Breaks;
use super::model_arg::{self, ModelArg};
use super::progress::Progress;
use super::prompt::EscapeArgs;
use super::sampling::SamplingArgs;
use super::screen::Stdout;
use super::started::Started;
use super::{notice, trace};
use answerer::Answerer;
use input::Input;
use params::Params;
use talk::Talk;
use transcript::Transcript;

/// What is shorter than this is read again rather than remembered, in tokens: one user has room for
/// more than many have.
const REMEMBERED: usize = 16;

#[derive(clap::Args)]
pub(super) struct ChatArgs {
    #[command(flatten)]
    model: ModelArg,
    /// Say this, print the answer and leave; - says what the standard input has
    #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true)]
    prompt: Option<String>,
    /// Say what is in this file, print the answer and leave
    #[arg(short, long, value_name = "FILE", conflicts_with = "prompt")]
    file: Option<PathBuf>,
    #[command(flatten)]
    escapes: EscapeArgs,
    #[command(flatten)]
    conversation: ConversationArgs,
    /// Show the prompt that a message makes in place of an answer, special tokens between « and »
    #[arg(long)]
    show_prompt: bool,
    /// Most tokens of an answer; -1 until it ends or the context is full
    #[arg(short, long, value_name = "N", default_value_t = -1, allow_negative_numbers = true, value_parser = clap::value_parser!(i64).range(-1..))]
    n_predict: i64,
    /// Never choose a token that ends the answer
    #[arg(long)]
    ignore_eos: bool,
    /// Neither read nor write the file with the lines that were typed before
    #[arg(long)]
    no_history: bool,
    #[command(flatten)]
    engine: EngineArgs,
    #[command(flatten)]
    sampling: SamplingArgs,
}

impl ChatArgs {
    pub(super) fn run(&self, out: &mut Stdout) -> Result<(), Failure> {
        let (model, tokenizer) = self.load()?;
        let manner = self.conversation.manner(&model)?;
        let system = self.conversation.system(self.escapes.read())?;
        let message = self
            .escapes
            .text(self.prompt.as_deref(), self.file.as_deref())?;
        let sampler = self.sampling.options(file_sampling::sampler(&model));
        let params = Params::new(
            &sampler,
            self.sampling.seed(),
            self.n_predict,
            self.conversation.think(),
        );
        let answerer = match self.show_prompt {
            true => None,
            false => Some(self.answerer(&model, &tokenizer)?),
        };
        let mut input = Input::new(message, !self.no_history)?;
        if self.model.is_bundled() && !self.show_prompt {
            notice::tell(
                "a small model that knows nothing but Shakespeare: whatever it is told, it continues a play",
            );
        }
        if input.is_attended() {
            notice::tell("/help lists the commands, Ctrl-D leaves");
        }
        let breaks = Breaks::listen(input.is_attended())?;
        let mut talk = Talk {
            tokenizer,
            manner,
            transcript: Transcript::new(system),
            params,
            answerer,
            breaks,
        };
        talk.hold(&mut input, out)?;
        if let Some(answerer) = talk.answerer {
            answerer.close();
        }
        Ok(())
    }

    fn load(&self) -> Result<(Model, Arc<Tokenizer>), Failure> {
        let _progress = Progress::spinner("loading the model");
        let model = self.model.open()?;
        // Of a model of another kind the vocabulary is another too; the kind is what to tell.
        model.hparams()?;
        let tokenizer = Arc::new(model_arg::tokenizer(&model)?);
        Ok((model, tokenizer))
    }

    fn answerer(&self, model: &Model, tokenizer: &Arc<Tokenizer>) -> Result<Answerer, Failure> {
        let options = EngineOptions::default()
            .parallel(1)
            .checkpoint_min(REMEMBERED);
        let (engine, draft) = self.engine.start(model, tokenizer, options)?;
        let started = Started::new(
            Described::of(model, &self.model.name()),
            engine.executor().executable(),
            engine.options().context,
            self.engine.exec.threads(),
            self.sampling.seed(),
        );
        notice::tell(&started);
        let trace = self.engine.spec.traced().then_some(trace::round as fn(&_));
        let options = GenerateOptions::default()
            .end_of_text(tokenizer.end_of_text_ids().to_vec())
            .ignore_eos(self.ignore_eos);
        Answerer::new(engine, draft, options, trace)
    }
}
