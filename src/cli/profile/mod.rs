//! `profile`: where the time of a prompt and of a text goes, op by op and worker by worker.

mod graph;
mod json;
mod measured;
mod text;
mod timeline;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sharpi_compile::cost::Ceilings;
use sharpi_compile::exec::RecordedRun;
use sharpi_compile::generate::{
    DraftOptions, GenerateOptions, Generator, MtpDrafter, Sampler, SamplerOptions, check_prompt,
};
use sharpi_compile::lower::LowerOptions;
use sharpi_compile::{Executable, Model, Session, SessionOptions};
use sharpi_ir::plain::PlainPath;

use super::ceilings::CeilingsArg;
use super::context_arg::ContextArg;
use super::draft_vocab::DraftVocabArgs;
use super::exec_args::ExecArgs;
use super::failure::Failure;
use super::interrupt;
use super::lower_args::LowerArgs;
use super::model_arg::{self, ModelArg};
use super::pass_args::PassArgs;
use super::progress::Progress;
use super::prompt::PromptArgs;
use super::shape::Shape;
use super::spec::no_head;
use super::timings::{Timings, peak_memory, timed};
use super::write_json;
use measured::Measured;

#[derive(clap::Args)]
pub(super) struct Profile {
    #[command(flatten)]
    model: ModelArg,
    #[command(flatten)]
    prompt: PromptArgs,
    /// Tokens to generate; those that end a text are like any other
    #[arg(short, long, value_name = "N", default_value_t = 32)]
    n_predict: usize,
    #[command(flatten)]
    context: ContextArg,
    #[command(flatten)]
    exec: ExecArgs,
    /// Most tokens that the MTP head drafts; 0 for no drafting
    #[arg(long, value_name = "N", default_value = "0", value_parser = clap::value_parser!(u16).range(0..=64))]
    spec_draft_n_max: u16,
    #[command(flatten)]
    vocabulary: DraftVocabArgs,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
    /// Write what each worker did when, as a trace that ui.perfetto.dev shows
    #[arg(long, value_name = "FILE")]
    export: Option<PathBuf>,
    /// Write what each op took, for `dump-graph --format html --measured FILE`
    #[arg(long, value_name = "FILE")]
    export_graph: Option<PathBuf>,
    /// Write a page of the graphs with what each op took, to look through in a browser
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    #[command(flatten)]
    ceilings: CeilingsArg,
    #[command(flatten)]
    lower: LowerArgs,
    #[command(flatten)]
    passes: PassArgs,
}

/// What was recorded, and what it is compared with.
struct Recorded {
    executable: Arc<Executable>,
    runs: Vec<RecordedRun>,
    /// Tokens of the prompt.
    prompt: usize,
    timings: Timings,
    ceilings: Ceilings,
    threads: usize,
    /// What the graphs were made of.
    model: Model,
    lower: LowerOptions,
}

impl Profile {
    pub(super) fn run(&self, out: &mut impl Write) -> Result<(), Failure> {
        // Places that cannot be written to are told before anything runs.
        let export = Output::create("--export", self.export.as_deref())?;
        let export_graph = Output::create("--export-graph", self.export_graph.as_deref())?;
        let html = Output::create("--html", self.html.as_deref())?;
        let recorded = self.record(self.ceilings.get(Some(self.exec.threads()))?)?;
        if let Some(mut file) = export {
            file.write(|out| timeline::write(&recorded, out))?;
        }
        if let Some(mut file) = export_graph {
            file.write(|out| graph::export(&recorded, out))?;
        }
        if let Some(mut file) = html {
            let page = graph::page(&recorded, &self.model.short_name(), &self.passes.options())?;
            file.write(|out| out.write_all(&page))?;
        }
        let measured = Measured::all(&recorded);
        match self.json {
            true => write_json(out, &json::Document::new(&recorded, &measured)),
            false => Ok(text::write(&recorded, &measured, out)?),
        }
    }

    fn record(&self, ceilings: Ceilings) -> Result<Recorded, Failure> {
        let mut timings = Timings::default();
        let model = timed(&mut timings.load_seconds, || self.model.open())?;
        let hparams = model.hparams()?;
        let n_max = usize::from(self.spec_draft_n_max);
        if n_max > 0 && hparams.mtp_blocks == 0 {
            return Err(no_head(&hparams, "--spec-draft-n-max"));
        }
        let prompt = self.prompt.read(&model_arg::tokenizer(&model)?)?.ids;
        let context = self.context.of(&model)?;
        check_prompt(&prompt, context, hparams.vocabulary)?;
        let lower = Shape {
            context,
            drafts: n_max,
        };
        let rollback = lower.rollback();
        let lower = lower.lower(&self.lower, self.vocabulary.read()?);
        let mut session = timed(&mut timings.compile_seconds, || {
            self.session(&model, lower.clone(), self.exec.session(context, rollback))
        })?;
        let executable = session.executable().clone();
        session.record();
        let cancel = interrupt::flag()?;
        let mut generator = self.generator(session, &prompt, n_max, Arc::clone(&cancel))?;
        let mut fed = 0;
        timed(&mut timings.prompt_seconds, || {
            let bar = Progress::tokens("prompt", prompt.len());
            generator.prefill(|done| {
                fed = done;
                bar.at(done as u64);
            })
        })?;
        timings.fed(fed, prompt.len(), cancel.load(Ordering::Relaxed));
        timed(&mut timings.generate_seconds, || {
            let bar = Progress::tokens("text", self.n_predict);
            for token in &mut generator {
                token?;
                timings.generated_tokens += 1;
                bar.at(timings.generated_tokens as u64);
            }
            Ok::<(), Failure>(())
        })?;
        timings.peak_memory_bytes = peak_memory();
        Ok(Recorded {
            executable,
            runs: generator.into_session().recorded(),
            prompt: prompt.len(),
            timings,
            ceilings,
            threads: self.exec.threads(),
            model,
            lower,
        })
    }

    fn session(
        &self,
        model: &Model,
        lower: LowerOptions,
        options: SessionOptions,
    ) -> Result<Session, Failure> {
        self.exec.check()?;
        let executable = self.exec.compile(model, lower, self.passes.options())?;
        Ok(Session::new(Arc::new(executable), &options)?)
    }

    /// Greedy, so that drafts can be right; nothing ends the text but its length.
    fn generator(
        &self,
        session: Session,
        prompt: &[u32],
        n_max: usize,
        cancel: Arc<AtomicBool>,
    ) -> Result<Generator, Failure> {
        let sampler = Sampler::new(SamplerOptions::default());
        let options = GenerateOptions::default()
            .max_tokens(Some(self.n_predict))
            .batch(usize::MAX)
            .cancel(cancel);
        if n_max == 0 {
            return Ok(Generator::new(session, sampler, prompt, options)?);
        }
        let draft = DraftOptions::default().n_max(n_max);
        let drafter = MtpDrafter::new(&session, draft)?;
        let generator = Generator::with_drafting(session, sampler, drafter, prompt, options)?;
        Ok(generator)
    }
}

/// A file that an option names to write to.
struct Output<'a> {
    option: &'static str,
    path: &'a Path,
    file: BufWriter<File>,
}

impl<'a> Output<'a> {
    fn create(option: &'static str, path: Option<&'a Path>) -> Result<Option<Output<'a>>, Failure> {
        let Some(path) = path else { return Ok(None) };
        let file = File::create(path).map_err(|e| unwritable(option, path, &e))?;
        let file = BufWriter::new(file);
        Ok(Some(Output { option, path, file }))
    }

    fn write(
        &mut self,
        write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
    ) -> Result<(), Failure> {
        let written = write(&mut self.file).and_then(|()| self.file.flush());
        written.map_err(|e| unwritable(self.option, self.path, &e))
    }
}

fn unwritable(option: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::plain(
        format!("{}: {error}", PlainPath(path)),
        format!("name a file that can be written with {option}"),
    )
}
