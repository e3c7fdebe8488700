//! `perplexity`: how well a model predicts a text, and how far it is from llama.cpp on it.

mod count;
mod json;
mod text;

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sharpi_compile::perplexity::{
    BaseError, BaseFault, BaseFile, BaseWriter, Chunks, Evaluator, Judge, LEAST_CHUNK, NotFinite,
};
use sharpi_compile::tokenizer::Tokenizer;
use sharpi_compile::{Model, Session};
use sharpi_ir::plain::PlainPath;
use sharpi_passes::Options;

use super::exec_args::ExecArgs;
use super::failure::Failure;
use super::interrupt;
use super::lower_args::LowerArgs;
use super::model_arg::ModelArg;
use super::progress::Progress;
use super::screen;
use super::text_file;
use super::write_json_line;
use count::Count;

/// Most rows of logits of a run: with a large vocabulary each takes a megabyte.
const ROWS: usize = 128;
/// Tokens of a chunk, as llama-perplexity has it.
const CHUNK: usize = 512;

#[derive(clap::Args)]
pub(super) struct PerplexityArgs {
    #[command(flatten)]
    model: ModelArg,
    /// Text in UTF-8, `-` for standard input; a line end at its end does not count. With
    /// --kl-divergence it need not be named: the tokens are those of the base
    #[arg(
        short,
        long,
        value_name = "FILE",
        required_unless_present = "kl_divergence"
    )]
    file: Option<PathBuf>,
    /// Tokens of a chunk; the second half of each is judged [default: 512, or as the base]
    #[arg(short, long, value_name = "N", value_parser = chunk_length)]
    ctx_size: Option<usize>,
    /// Most chunks to evaluate; -1 for all
    #[arg(long, value_name = "N", default_value_t = -1, allow_negative_numbers = true, value_parser = chunk_count)]
    chunks: i64,
    /// Write the log probabilities of all judged tokens to a file, as llama-perplexity does; with
    /// --kl-divergence read them; also --save-all-logits
    #[arg(long, value_name = "FILE", alias = "save-all-logits")]
    kl_divergence_base: Option<PathBuf>,
    /// Compare with the log probabilities in the file of --kl-divergence-base, which
    /// llama-perplexity or this command has written
    #[arg(long, requires = "kl_divergence_base")]
    kl_divergence: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    exec: ExecArgs,
    #[command(flatten)]
    lower: LowerArgs,
}

/// What is evaluated, and what becomes of the logits.
struct Task {
    chunks: Chunks,
    base: Option<BaseFile>,
    writer: Option<BaseWriter>,
}

impl PerplexityArgs {
    pub(super) fn run(&self, out: &mut impl Write) -> Result<(), Failure> {
        let model = self.model.open()?;
        let hparams = model.hparams()?;
        let tokenizer = model.tokenizer()?;
        let mut task = self.task(&tokenizer, hparams.vocabulary)?;
        let length = task.chunks.length();
        if length > hparams.context_length {
            let trained = hparams.context_length;
            note(format_args!(
                "the model was trained on texts of {trained} tokens, a chunk has {length}"
            ));
        }
        let mut evaluator = self.evaluator(&model, length)?;
        let judge = Judge::new(self.exec.threads())?;
        // Until here there is nothing to end cleanly, and Ctrl-C ends the program at once.
        let cancel = interrupt::flag()?;
        let mut count = Count::new(task.base.is_some());
        self.evaluate(&mut task, &mut evaluator, &judge, &mut count, &cancel, out)?;
        let (done, all) = (count.chunks(), task.chunks.count());
        match self.json {
            true => write_json_line(out, &json::Record::new(&count, &task.chunks, &tokenizer))?,
            false => text::summary(&count, &task.chunks, &tokenizer, out)?,
        }
        out.flush()?;
        if done < all {
            return Err(Failure::interrupted(
                format!("stopped by Ctrl-C after {done} of {all} chunks"),
                "--chunks N ends after as many; a file of log probabilities is only written whole",
            ));
        }
        if let Some(writer) = task.writer.take() {
            writer.finish()?;
        }
        Ok(())
    }

    /// Evaluates all chunks, or those before Ctrl-C, telling each as it is done.
    fn evaluate(
        &self,
        task: &mut Task,
        evaluator: &mut Evaluator,
        judge: &Judge,
        count: &mut Count,
        cancel: &AtomicBool,
        out: &mut impl Write,
    ) -> Result<(), Failure> {
        let Task {
            chunks,
            base,
            writer,
        } = task;
        let tokens = chunks.count() * (chunks.length() - 1);
        // Drawn over each other on one terminal they could not be read.
        let shared = io::stdout().is_terminal() && io::stderr().is_terminal();
        let live = !self.json && !shared;
        let bar = Progress::tokens("perplexity", tokens);
        let mut fed = 0;
        for chunk in 0..chunks.count() {
            evaluator.begin(chunks, chunk);
            while let Some(piece) = evaluator.piece()? {
                count.take(judge, &piece, base.as_mut(), writer.as_mut())?;
                fed += piece.fed;
                bar.at(fed as u64);
                if cancel.load(Ordering::Relaxed) {
                    break;
                }
            }
            if cancel.load(Ordering::Relaxed) {
                break;
            }
            count.end_chunk();
            bar.says(format!("perplexity {:.4}", count.value()));
            if live {
                text::chunk(count, count.chunks() - 1, out)?;
                out.flush()?;
            }
        }
        drop(bar);
        if !live && !self.json {
            (0..count.chunks()).try_for_each(|chunk| text::chunk(count, chunk, out))?;
        }
        Ok(())
    }

    fn task(&self, tokenizer: &Tokenizer, vocabulary: usize) -> Result<Task, Failure> {
        let text = self.file.as_deref().map(text_file::read).transpose()?;
        let most = usize::try_from(self.chunks).ok();
        let base = match (&self.kl_divergence_base, self.kl_divergence) {
            (Some(path), true) => Some((path, self.base(path, most, vocabulary)?)),
            _ => None,
        };
        let mut chunks = match (&base, &text) {
            (Some((path, base)), text) => {
                let bos = tokenizer.bos().filter(|_| tokenizer.adds_bos());
                let chunks = Chunks::new(base.tokens().to_vec(), base.length(), bos);
                if let Some(text) = text {
                    same_tokens(path, &chunks, tokenizer, text)?;
                }
                chunks
            }
            (None, text) => {
                let length = self.ctx_size.unwrap_or(CHUNK);
                let text = text.as_deref().unwrap_or_default();
                Chunks::of_text(tokenizer, text, length).map_err(|error| {
                    Failure::plain(error, "give a longer text, or shorter chunks with -c N")
                })?
            }
        };
        chunks.truncate(most.unwrap_or(usize::MAX));
        let writer = match &self.kl_divergence_base {
            Some(path) if base.is_none() => Some(BaseWriter::create(path, &chunks, vocabulary)?),
            _ => None,
        };
        Ok(Task {
            chunks,
            base: base.map(|(_, base)| base),
            writer,
        })
    }

    /// The base, if it is one of this model and fits the chunks asked for.
    fn base(&self, path: &Path, most: Option<usize>, own: usize) -> Result<BaseFile, Failure> {
        let base = BaseFile::open(path, most)?;
        let (length, vocabulary) = (base.length(), base.vocabulary());
        let name = PlainPath(path);
        if vocabulary != own {
            return Err(Failure::plain(
                format!(
                    "{name}: it is of a vocabulary of {vocabulary} tokens, the model has {own}"
                ),
                "name the model that it was made with, or one with the same vocabulary, with -m",
            ));
        }
        match self.ctx_size {
            Some(asked) if asked < length => Err(Failure::plain(
                format!("{name}: its chunks have {length} tokens, -c asks for {asked}"),
                "leave -c away: the chunks are those of the file",
            )),
            _ => Ok(base),
        }
    }

    fn evaluator(&self, model: &Model, length: usize) -> Result<Evaluator, Failure> {
        let run = self.lower.batch_size().min(length);
        let rows = ROWS.min(run);
        let mut lower = self.lower.options(length, rows);
        lower.draft = false;
        self.exec.check()?;
        let executable = Arc::new(self.exec.compile(model, lower, Options::default())?);
        let session = Session::new(executable, &self.exec.session(length, 0))?;
        Ok(Evaluator::new(session, run, rows))
    }
}

/// Whether the base is of the text that was named.
fn same_tokens(
    path: &Path,
    base: &Chunks,
    tokenizer: &Tokenizer,
    text: &str,
) -> Result<(), Failure> {
    let named = Chunks::of_text(tokenizer, text, base.length());
    let named = named.as_ref().map_or(&[][..], Chunks::tokens);
    let pairs = base.tokens().iter().zip(named);
    let same = pairs.take_while(|(a, b)| a == b).count();
    if same == base.tokens().len() {
        return Ok(());
    }
    let word = |id: Option<&u32>| match id {
        Some(id) => format!("{id} {:?}", tokenizer.decode(&[*id], true)),
        None => "none".into(),
    };
    Err(Failure::plain(
        format!(
            "{}: it is not of this text: token {same} is {} there and {} here",
            PlainPath(path),
            word(base.tokens().get(same)),
            word(named.get(same)),
        ),
        "name the text that it was made with; without -f the tokens of the file are evaluated",
    ))
}

fn chunk_length(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n) if (LEAST_CHUNK..=i32::MAX as usize).contains(&n) => Ok(n),
        _ => Err(format!("expected {LEAST_CHUNK} tokens or more")),
    }
}

fn chunk_count(text: &str) -> Result<i64, String> {
    match text.parse() {
        // Any negative number, as in llama.cpp.
        Ok(n) if n != 0 => Ok(n),
        _ => Err("expected a number of chunks, or -1 for all".into()),
    }
}

/// Something worth knowing; nothing fails for want of a place for it.
fn note(text: impl std::fmt::Display) {
    let _ = writeln!(screen::notes(), "{text}");
}

impl From<BaseError> for Failure {
    fn from(error: BaseError) -> Failure {
        let help = match &error.fault {
            BaseFault::Io(_) | BaseFault::Kind => "check the path and whether you may use the file",
            BaseFault::Truncated { whole, .. } if *whole > 0 => {
                "make it again, or compare with what is there: --chunks N takes the first N chunks"
            }
            BaseFault::Magic { .. } => {
                "`llama-perplexity --kl-divergence-base FILE` writes such a file, and so does this \
                 command without --kl-divergence"
            }
            _ => "the file is damaged or incomplete: make it again",
        };
        Failure::plain(error, help)
    }
}

impl From<NotFinite> for Failure {
    fn from(error: NotFinite) -> Failure {
        let help = match error {
            NotFinite::Base(_) => "the file of --kl-divergence-base is damaged: make it again",
            _ => "the weights are damaged: try another copy of the file",
        };
        Failure::plain(error, help)
    }
}
