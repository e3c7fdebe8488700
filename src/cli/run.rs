//! `run`: continues a text.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sharpi_chat::AnswerFormat;
use sharpi_chat::template::Message;
use sharpi_compile::conversation::ChatPrompt;
use sharpi_compile::exec::Footprint;
use sharpi_compile::generate::{
    DraftOptions, GenerateOptions, Generator, Sampler, SamplerOptions, StopReason, check_prompt,
};
use sharpi_compile::receipt::Recorder;
use sharpi_compile::tokenizer::Tokenizer;
use sharpi_compile::{Model, Session};
use sharpi_ir::plain::PlainPath;

use super::answer::AnswerPrinter;
use super::context_arg::ContextArg;
use super::conversation_args::ConversationArgs;
use super::described::Described;
use super::exec_args::ExecArgs;
use super::failure::Failure;
use super::grammar::GrammarArgs;
use super::lower_args::LowerArgs;
use super::memory::sums;
use super::model_arg::{self, ModelArg};
use super::notice;
use super::pass_args::PassArgs;
use super::progress::Progress;
use super::prompt::{Prompt, PromptArgs};
use super::prompt_cache::PromptCacheArgs;
use super::record::{Record, Round, Stop};
use super::sampling::SamplingArgs;
use super::screen::Stdout;
use super::shape::Shape;
use super::spec::SpecArgs;
use super::started::Started;
use super::timings::{Timings, peak_memory, timed};
use super::trace::{self, Summary};
use super::{interrupt, screen, write_json_line};

#[derive(clap::Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    model: ModelArg,
    #[command(flatten)]
    prompt: PromptArgs,
    /// Take the prompt for a message, written as the model's chat template has it, and answer it
    #[arg(long, conflicts_with = "ids")]
    chat: bool,
    #[command(flatten)]
    conversation: ConversationArgs,
    #[command(flatten)]
    prompt_cache: PromptCacheArgs,
    /// Tokens to generate; -1 until the text ends or the context is full
    #[arg(short, long, value_name = "N", default_value_t = 128, allow_negative_numbers = true, value_parser = clap::value_parser!(i64).range(-1..))]
    n_predict: i64,
    #[command(flatten)]
    context: ContextArg,
    #[command(flatten)]
    exec: ExecArgs,
    /// Never choose a token that ends the text
    #[arg(long, conflicts_with = "GrammarArgs")]
    ignore_eos: bool,
    #[command(flatten)]
    grammar: GrammarArgs,
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
    /// Write a file with which `replay` proves the text afterwards, bit for bit
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
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

impl RunArgs {
    pub(super) fn run(&self, out: &mut Stdout) -> Result<(), Failure> {
        let mut timings = Timings::default();
        let (model, tokenizer) = timed(&mut timings.load_seconds, || self.load())?;
        let tokenizer = Arc::new(tokenizer);
        let (prompt, format) = self.read_prompt(&model, &tokenizer)?;
        let context = self.context.of(&model)?;
        let hparams = model.hparams()?;
        check_prompt(&prompt.ids, context, hparams.vocabulary)?;
        let (form, mask) = self.grammar.form(&tokenizer)?;
        let draft = self.spec.options(&hparams)?;
        if draft.is_none() && self.model.names_a_head() {
            notice::warn("--model-draft does nothing without drafting: see --spec-type");
        }
        self.exec.check()?;
        let remembered = self.prompt_cache.read()?;
        let session = timed(&mut timings.compile_seconds, || {
            self.session(&model, context, draft)
        })?;
        let loading = session.executable().loading();
        timings.weight_bytes = loading.bytes;
        timings.weights_cached = loading.cached;
        timings.weight_seconds = loading.time.as_secs_f64();
        timings.compile_seconds -= timings.weight_seconds;
        // Until here there is nothing to end cleanly, and Ctrl-C ends the program at once.
        let cancel = interrupt::flag()?;
        let sampling = self.sampling.options(SamplerOptions::default());
        let seed = (sampling.temp > 0.0).then_some(sampling.seed);
        let described = Described::of(&model, &self.model.name());
        let started = Started::new(
            described,
            session.executable(),
            context,
            self.exec.threads(),
            seed,
        );
        notice::tell(&started);
        let memory = session.footprint();
        if notice::is_verbose() {
            tell_more(&session, &prompt);
        }
        let options = self.generate_options(&tokenizer, Arc::clone(&cancel));
        let mut recorder = self.receipt.is_some().then(|| {
            let _progress = Progress::spinner("hashing the weights");
            let ends = (&*options.end_of_text, options.ignore_eos);
            Recorder::new(session.executable(), &prompt.ids, &sampling, ends).form(form)
        });
        let (sampler, options) = (Sampler::new(sampling), (options, draft));
        let known = remembered.as_ref();
        let (mut generator, resumed) =
            Generator::resume(session, sampler, &prompt.ids, options, mask, known)?;
        self.prompt_cache.tell(resumed, prompt.ids.len(), known);
        let mut fed = 0;
        timed(&mut timings.prompt_seconds, || {
            let bar = Progress::tokens("prompt", prompt.ids.len() - resumed);
            generator.prefill(|done| {
                fed = done;
                bar.at(done as u64);
            })
        })?;
        timings.fed(
            fed,
            prompt.ids.len() - resumed,
            cancel.load(Ordering::Relaxed),
        );
        if self.prompt_cache.keeps_prompt() && !cancel.load(Ordering::Relaxed) {
            self.prompt_cache.write(&mut generator)?;
        }
        if !self.json && !self.no_display_prompt && !self.chat {
            write!(out, "{}", prompt.text)?;
            out.flush()?;
        }
        let mut answer = Answer::default();
        timed(&mut timings.generate_seconds, || {
            let answer = (&mut answer, &mut recorder);
            self.generate(&mut generator, &tokenizer, answer, (format, out))
        })?;
        self.write_receipt(recorder, &generator)?;
        if self.prompt_cache.keeps_text() {
            self.prompt_cache.write(&mut generator)?;
        }
        timings.generated_tokens = answer.ids.len();
        timings.peak_memory_bytes = peak_memory();
        let close = Closing {
            stop: Stop::of(generator.stop_reason()),
            prompt,
            answer,
            started,
            seed,
            timings,
            memory,
        };
        self.close(close, &generator, out)
    }

    fn load(&self) -> Result<(Model, Tokenizer), Failure> {
        let _progress = Progress::spinner("loading the model");
        let model = self.model.open()?;
        // Of a model of another kind the vocabulary is another too; the kind is what to tell.
        model.hparams()?;
        let tokenizer = model_arg::tokenizer(&model)?;
        Ok((model, tokenizer))
    }

    /// The prompt, and the form of the text that follows it.
    fn read_prompt(
        &self,
        model: &Model,
        tokenizer: &Tokenizer,
    ) -> Result<(Prompt, AnswerFormat), Failure> {
        if !self.chat {
            self.conversation.check_unused()?;
            return Ok((self.prompt.read(tokenizer)?, AnswerFormat::default()));
        }
        let manner = self.conversation.manner(model)?;
        let system = self.conversation.system(self.prompt.escapes.read())?;
        let system = system.map(|text| Message::text("system", &text));
        let message = Message::text("user", &self.prompt.text()?);
        let messages = system.into_iter().chain([message]).collect();
        let (prompt, format) = manner.prompt(tokenizer, messages, self.conversation.think())?;
        let ChatPrompt { text, ids } = prompt;
        Ok((Prompt { text, ids }, format))
    }

    fn session(
        &self,
        model: &Model,
        context: usize,
        draft: Option<DraftOptions>,
    ) -> Result<Session, Failure> {
        let drafts = draft.map_or(0, |d| d.n_max);
        let shape = Shape { context, drafts };
        let traced = self.trace_layers || trace::is_set("SHARPI_TRACE_LAYERS");
        let mut passes = self.passes.options();
        if traced {
            passes.only.get_or_insert_default();
        }
        let vocabulary = match draft {
            Some(_) => self.spec.vocabulary.read()?,
            None => None,
        };
        let lower = shape.lower(&self.lower, vocabulary);
        let executable = Arc::new(self.exec.compile(model, lower, passes)?);
        if let Some(last) = &executable.report().last_rewrite {
            notice::tell(last);
        }
        let options = self.exec.session(context, shape.rollback());
        let mut session = Session::new(executable, &options)?;
        if traced {
            session.watch(Some(Box::new(trace::tensor)));
        }
        Ok(session)
    }

    fn generate_options(&self, tokenizer: &Tokenizer, cancel: Arc<AtomicBool>) -> GenerateOptions {
        GenerateOptions::default()
            .max_tokens(usize::try_from(self.n_predict).ok())
            .end_of_text(tokenizer.end_of_text_ids().to_vec())
            .ignore_eos(self.ignore_eos)
            .logits_top(self.logits_top.unwrap_or(0))
            .hash_logits(self.receipt.is_some())
            .cancel(cancel)
            // The graphs are compiled for the batch asked for.
            .batch(usize::MAX)
    }

    /// Collects the tokens, and prints their text unless it goes into a record.
    fn generate(
        &self,
        generator: &mut Generator,
        tokenizer: &Tokenizer,
        (answer, recorder): (&mut Answer, &mut Option<Recorder>),
        (format, out): (AnswerFormat, &mut Stdout),
    ) -> Result<(), Failure> {
        let mut stream = tokenizer.stream();
        let mut printer = AnswerPrinter::new(out, format);
        let mut show = |answer: &mut Answer, piece: &str| {
            answer.text.push_str(piece);
            match self.json {
                true => Ok(()),
                false => printer.push(piece),
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
            if let Some(recorder) = recorder {
                recorder.push(&token);
            }
            answer.ids.push(token.id);
            answer.top.push(token.top);
            show(answer, &stream.push(token.id))?;
        }
        show(answer, &stream.finish())?;
        printer.finish()?;
        Ok(())
    }

    fn write_receipt(
        &self,
        recorder: Option<Recorder>,
        generator: &Generator,
    ) -> Result<(), Failure> {
        let (Some(path), Some(recorder)) = (&self.receipt, recorder) else {
            return Ok(());
        };
        let receipt = recorder.finish(generator.stop_reason(), generator.end_hash());
        let written = serde_json::to_vec(&receipt).map_err(std::io::Error::from);
        let written = written.and_then(|bytes| std::fs::write(path, bytes));
        written.map_err(|error| {
            Failure::plain(
                format!("{}: {error}", PlainPath(path)),
                "name a file that can be written with --receipt",
            )
        })
    }

    /// Prints what is left to be said once the text is complete.
    fn close(
        &self,
        closing: Closing,
        generator: &Generator,
        out: &mut Stdout,
    ) -> Result<(), Failure> {
        let (summary, stop) = (Summary(generator.rounds()), closing.stop);
        if self.json {
            if self.spec.traced() {
                let _ = write!(screen::notes(), "{summary}");
            }
            let record = Record {
                prompt_ids: closing.prompt.ids,
                ids: closing.answer.ids,
                text: closing.answer.text,
                stop,
                seed: closing.seed,
                run: closing.started,
                rounds: generator.rounds().iter().map(Round::from).collect(),
                drafted: summary.drafted(),
                accepted: summary.accepted(),
                timings: closing.timings,
                memory: closing.memory.into(),
                top: self.logits_top.map(|_| closing.answer.top),
            };
            write_json_line(out, &record)?;
        } else {
            writeln!(out)?;
            out.flush()?;
            notice::tell(format_args!("\nstopped:    {}", why(generator)));
            notice::tell(format_args!(
                "{}memory:     {}",
                closing.timings,
                sums(&closing.memory)
            ));
            if !generator.rounds().is_empty() {
                notice::tell(format_args!("{}", summary.to_string().trim_end()));
            }
        }
        match stop {
            Stop::Interrupted => Err(Failure::Interrupted),
            _ => Ok(()),
        }
    }
}

/// What is left to be told at the end.
struct Closing {
    stop: Stop,
    prompt: Prompt,
    answer: Answer,
    started: Started,
    seed: Option<u64>,
    timings: Timings,
    memory: Footprint,
}

/// Why the text ended, in words.
fn why(generator: &Generator) -> String {
    let context = generator.session().context();
    match generator.stop_reason() {
        Some(StopReason::EndOfText(id)) => format!("eos, token {id} ended the text"),
        Some(StopReason::Context) => {
            format!("context, the context of {context} tokens is full, -c N makes it larger")
        }
        Some(StopReason::Cancelled | StopReason::Deadline) => "interrupted".into(),
        Some(StopReason::StopString(_)) => "stop string".into(),
        Some(StopReason::Length | StopReason::Failed) | None => {
            "length, as many tokens as asked for with -n".into()
        }
    }
}

/// What `--verbose` tells besides.
fn tell_more(session: &Session, prompt: &Prompt) {
    notice::detail(format_args!("\n{}", session.executable().report()));
    notice::detail(format_args!("prompt: ids {:?}", prompt.ids));
}
