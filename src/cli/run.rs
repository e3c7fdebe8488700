//! `run`: continues a text.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use sharpi_compile::generate::{
    DraftOptions, GenerateOptions, Generator, MtpDrafter, Sampler, StopReason, check_prompt,
};
use sharpi_compile::tokenizer::Tokenizer;
use sharpi_compile::{Model, Session};

use super::context_arg::ContextArg;
use super::exec_args::ExecArgs;
use super::failure::Failure;
use super::lower_args::LowerArgs;
use super::model_arg::{self, ModelArg};
use super::pass_args::PassArgs;
use super::progress::Progress;
use super::prompt::{Prompt, PromptArgs};
use super::record::{Record, Round};
use super::sampling::SamplingArgs;
use super::spec::SpecArgs;
use super::timings::{Timings, peak_memory, timed};
use super::trace::{self, Summary};
use super::{interrupt, write_json_line};

#[derive(clap::Args)]
pub(super) struct Run {
    #[command(flatten)]
    model: ModelArg,
    #[command(flatten)]
    prompt: PromptArgs,
    /// Tokens to generate; -1 until the text ends or the context is full
    #[arg(short, long, value_name = "N", default_value_t = 128, allow_negative_numbers = true, value_parser = clap::value_parser!(i64).range(-1..))]
    n_predict: i64,
    #[command(flatten)]
    context: ContextArg,
    #[command(flatten)]
    exec: ExecArgs,
    /// Never choose a token that ends the text
    #[arg(long)]
    ignore_eos: bool,
    #[command(flatten)]
    spec: SpecArgs,
    /// Tell the norm and the ends of each named tensor on stderr, without the passes that would
    /// fuse tensors away unless --passes names some; also SHARPI_TRACE_LAYERS=1
    #[arg(long)]
    trace_layers: bool,
    /// Do not print the prompt in front of the text
    #[arg(long)]
    no_display_prompt: bool,
    /// Print one JSON object instead of the text
    #[arg(long)]
    json: bool,
    /// With --json, the K best logits of each step
    #[arg(long, value_name = "K", requires = "json")]
    logits_top: Option<usize>,
    #[command(flatten)]
    lower: LowerArgs,
    #[command(flatten)]
    passes: PassArgs,
    #[command(flatten)]
    sampling: SamplingArgs,
}

/// What has come out so far.
#[derive(Default)]
struct Answer {
    ids: Vec<u32>,
    text: String,
    top: Vec<Vec<(u32, f32)>>,
}

impl Run {
    pub(super) fn run(&self, out: &mut impl Write) -> Result<(), Failure> {
        let mut timings = Timings::default();
        let (model, tokenizer) = timed(&mut timings.load_seconds, || self.load())?;
        let prompt = self.prompt.read(&tokenizer)?;
        let context = self.context.of(&model)?;
        let hparams = model.hparams()?;
        check_prompt(&prompt.ids, context, hparams.vocabulary)?;
        let draft = self.spec.options(&hparams)?;
        if draft.is_none() && self.model.names_a_head() {
            // As all that is told beside the text, not worth failing for want of a stderr.
            let _ = writeln!(
                io::stderr(),
                "--model-draft has no effect without --spec-type"
            );
        }
        let session = timed(&mut timings.compile_seconds, || {
            self.session(&model, context, draft)
        })?;
        let loading = session.executable().loading();
        timings.weight_bytes = loading.bytes;
        timings.weight_seconds = loading.time.as_secs_f64();
        timings.compile_seconds -= timings.weight_seconds;
        // Until here there is nothing to end cleanly, and Ctrl-C ends the program at once.
        let cancel = interrupt::flag()?;
        let sampler = Sampler::new(self.sampling.options());
        let options = self.generate_options(&tokenizer, cancel);
        let ids = &prompt.ids;
        let mut generator = match draft {
            None => Generator::new(session, sampler, ids, options)?,
            Some(draft) => {
                let drafter = Box::new(MtpDrafter::new(&session, draft)?);
                Generator::with_drafter(session, sampler, drafter, ids, options)?
            }
        };
        timed(&mut timings.prompt_seconds, || {
            let bar = Progress::tokens("prompt", prompt.ids.len());
            generator.prefill(|done| {
                timings.prompt_tokens = done;
                bar.at(done as u64);
            })
        })?;
        if !self.json && !self.no_display_prompt {
            write!(out, "{}", prompt.text)?;
            out.flush()?;
        }
        let mut answer = Answer::default();
        timed(&mut timings.generate_seconds, || {
            self.generate(&mut generator, &tokenizer, &mut answer, out)
        })?;
        timings.generated_tokens = answer.ids.len();
        timings.peak_memory_bytes = peak_memory();
        self.close(prompt, answer, timings, &generator, context, out)
    }

    fn load(&self) -> Result<(Model, Tokenizer), Failure> {
        let _progress = Progress::spinner("loading the model");
        let model = self.model.open()?;
        // Of a model of another kind the vocabulary is another too; the kind is what to tell.
        model.hparams()?;
        let tokenizer = model_arg::tokenizer(&model)?;
        Ok((model, tokenizer))
    }

    fn session(
        &self,
        model: &Model,
        context: usize,
        draft: Option<DraftOptions>,
    ) -> Result<Session, Failure> {
        // A draft is verified together with the token before it.
        let width = 1 + draft.map_or(0, |d| d.n_max);
        let traced = self.trace_layers || trace::is_set("SHARPI_TRACE_LAYERS");
        let mut passes = self.passes.options();
        if traced {
            passes.only.get_or_insert_default();
        }
        let mut lower = self.lower.options(context, width);
        lower.draft = draft.is_some();
        if lower.draft {
            lower.draft_vocabulary = self.spec.vocabulary.read()?;
        }
        let executable = Arc::new(self.exec.compile(model, lower, passes)?);
        if let Some(last) = &executable.report().last_rewrite {
            // As all that is told beside the text, not worth failing for want of a stderr.
            let _ = writeln!(io::stderr(), "{last}");
        }
        let rollback = if draft.is_some() { width } else { 0 };
        let mut session = Session::new(executable, &self.exec.session(context, rollback))?;
        if traced {
            session.watch(Some(Box::new(trace::tensor)));
        }
        Ok(session)
    }

    fn generate_options(&self, tokenizer: &Tokenizer, cancel: Arc<AtomicBool>) -> GenerateOptions {
        GenerateOptions {
            max_tokens: usize::try_from(self.n_predict).ok(),
            end_of_text: tokenizer.end_of_text_ids().to_vec(),
            ignore_eos: self.ignore_eos,
            logits_top: self.logits_top.unwrap_or(0),
            cancel,
            // The graphs are compiled for the batch asked for.
            batch: usize::MAX,
        }
    }

    /// Collects the tokens, and prints their text unless it goes into a record.
    fn generate(
        &self,
        generator: &mut Generator,
        tokenizer: &Tokenizer,
        answer: &mut Answer,
        out: &mut impl Write,
    ) -> Result<(), Failure> {
        let mut stream = tokenizer.stream();
        let mut show = |answer: &mut Answer, piece: &str| {
            answer.text.push_str(piece);
            match self.json {
                true => Ok(()),
                false => write!(out, "{piece}").and_then(|()| out.flush()),
            }
        };
        let mut told = 0;
        while let Some(token) = generator.next() {
            for round in &generator.rounds()[told..] {
                if self.spec.traced() {
                    trace::round(round);
                }
            }
            told = generator.rounds().len();
            let token = token?;
            answer.ids.push(token.id);
            answer.top.push(token.top);
            show(answer, &stream.push(token.id))?;
        }
        show(answer, &stream.finish())?;
        Ok(())
    }

    /// Prints what is left to be said once the text is complete.
    fn close(
        &self,
        prompt: Prompt,
        answer: Answer,
        timings: Timings,
        generator: &Generator,
        context: usize,
        out: &mut impl Write,
    ) -> Result<(), Failure> {
        let summary = Summary(generator.rounds());
        if self.json {
            if self.spec.traced() {
                let _ = write!(io::stderr(), "{summary}");
            }
            let record = Record {
                prompt_ids: prompt.ids,
                ids: answer.ids,
                text: answer.text,
                rounds: generator.rounds().iter().map(Round::from).collect(),
                drafted: summary.drafted(),
                accepted: summary.accepted(),
                timings,
                top: self.logits_top.map(|_| answer.top),
            };
            return write_json_line(out, &record);
        }
        writeln!(out)?;
        out.flush()?;
        let full =
            format!("\nstopped: the context of {context} tokens is full, -c N makes it larger\n");
        let note = match generator.stop_reason() {
            Some(StopReason::Context) => &full,
            _ => "",
        };
        // The text is what was asked for; it does not fail for want of a place for timings.
        let _ = write!(io::stderr(), "{note}\n{timings}");
        if !generator.rounds().is_empty() {
            let _ = write!(io::stderr(), "{summary}");
        }
        Ok(())
    }
}
