//! `bench`: measures speed as llama-bench does, with its options, tests and columns.

mod numbers;
mod output;
mod parallel;
mod row;
mod samples;
mod setup;
mod table;
mod test;

use std::io::Write;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sharpi_compile::Model;
use sharpi_compile::generate::check_prompt;
use sharpi_passes::Options;

use super::described::Described;
use super::draft_vocab::DraftVocabArgs;
use super::exec_args::{MOST_THREADS, WeightArgs, available_threads, check_machine};
use super::failure::Failure;
use super::ids::{self, Ids};
use super::interrupt;
use super::lower_args::CacheType;
use super::model_arg::{self, StrictArg};
use super::progress::Progress;
use super::screen;
use super::spec::{DISABLE, no_head};
use super::trace::is_set;
use numbers::Numbers;
use output::{Format, Output};
use row::Row;
use setup::Setup;
use table::Table;
use test::{Bench as Runner, Drafting, Test};

/// Several values can be given as `1,2`, as a range `1-8`, `1-8+2` or `1-8*2`, or by giving an
/// option again; each is measured with each.
#[derive(clap::Args)]
pub(super) struct Bench {
    /// Model files, GGUF [default: a small model that is part of the program]
    #[arg(short, long, value_name = "FILE", value_delimiter = ',')]
    model: Vec<PathBuf>,
    #[command(flatten)]
    strict: StrictArg,
    /// Tokens of prompts to measure; 0 for no such test
    #[arg(short = 'p', long, value_name = "N", default_value = "512", value_parser = numbers::parse)]
    n_prompt: Vec<Numbers>,
    /// Tokens of texts to measure, generated one after another; 0 for no such test
    #[arg(short, long, value_name = "N", default_value = "128", value_parser = numbers::parse)]
    n_gen: Vec<Numbers>,
    /// A prompt and a text behind it, measured together; also -pg
    #[arg(long, value_name = "P,G", value_parser = numbers::parse_pair)]
    n_prompt_gen: Vec<(usize, usize)>,
    /// Sequences at once, each with a prompt of -p and a text of -n: the speed of all texts together,
    /// of each, of the prompts, and the time to the first token; also -npl, with -npp and -ntg
    #[arg(long, value_name = "N", value_parser = numbers::parse_positive)]
    parallel: Vec<Numbers>,
    /// Tokens that come before, unmeasured
    #[arg(short = 'd', long, value_name = "N", default_value = "0", value_parser = numbers::parse)]
    n_depth: Vec<Numbers>,
    /// Most tokens of a prompt to feed at once [default: 512]
    #[arg(short, long, value_name = "N", value_parser = numbers::parse_positive)]
    batch_size: Vec<Numbers>,
    /// Most tokens to feed at once, as llama-bench names it; the smaller of this and -b counts;
    /// also -ub
    #[arg(long, value_name = "N", value_parser = numbers::parse_positive)]
    ubatch_size: Vec<Numbers>,
    /// Types of the cached keys; also -ctk
    #[arg(
        long,
        value_name = "TYPE",
        default_value = "f16",
        value_delimiter = ','
    )]
    cache_type_k: Vec<CacheType>,
    /// Types of the cached values; also -ctv
    #[arg(
        long,
        value_name = "TYPE",
        default_value = "f16",
        value_delimiter = ','
    )]
    cache_type_v: Vec<CacheType>,
    /// Threads to compute with [default: as many as the machine runs at once]
    #[arg(short, long, value_name = "N", value_parser = numbers::parse_positive)]
    threads: Vec<Numbers>,
    #[command(flatten)]
    weights: WeightArgs,
    /// Most tokens that the MTP head drafts; 0 for no drafting, `auto` for drafts of a length that
    /// is chosen for each. Prompts are measured without it
    #[arg(long, value_name = "N", default_value = "0", value_parser = test::parse_drafting)]
    spec_draft_n_max: Vec<Vec<Drafting>>,
    #[command(flatten)]
    vocabulary: DraftVocabArgs,
    /// How often each test is measured
    #[arg(short, long, value_name = "N", default_value = "5")]
    repetitions: NonZeroUsize,
    /// Tokens to feed, over and over; the texts are the model's own [default: 300,301,302,…]
    #[arg(long, value_name = "IDS", value_parser = ids::parse)]
    prompt_ids: Option<Ids>,
    /// Start to measure without a run before
    #[arg(long)]
    no_warmup: bool,
    /// Form of the result
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value = "md")]
    output: Format,
}

/// A model file that has been looked at.
struct Opened {
    model: Model,
    described: Described,
    ids: Vec<u32>,
}

/// Where the rows go.
struct Report<W: Write> {
    output: Output<W>,
    progress: Progress,
    rows: usize,
}

/// As `run` has it.
const DEFAULT_BATCH: usize = 512;

/// What the default prompt counts up from.
const FIRST_ID: u32 = 300;

impl Bench {
    pub(super) fn run(&self, out: &mut impl Write) -> Result<(), Failure> {
        let (setups, mut tests) = (self.setups()?, self.tests());
        tests.sort_by_key(Test::drafts);
        if tests.is_empty() {
            return Err(Failure::usage(
                "there is nothing to measure: neither a prompt nor a text has tokens",
                "give a number above 0 with -p, -n or -pg",
            ));
        }
        let models = self.open(&tests)?;
        let all = models.len() * setups.len() * tests.len();
        // Until here there is nothing to end cleanly, and Ctrl-C ends the program at once.
        let cancel = interrupt::flag()?;
        let mut report = Report {
            output: Output::new(out, self.output, self.table(&setups, &tests)),
            progress: Progress::runs(all * self.repetitions.get()),
            rows: 0,
        };
        for opened in &models {
            // Setups that differ in threads alone share the compiled model.
            for setups in setups.chunk_by(Setup::same_graphs) {
                // Graphs that can draft do a little more, which tests without must not pay.
                for tests in tests.chunk_by(|a, b| a.drafts() == b.drafts()) {
                    if !cancel.load(Ordering::Relaxed) {
                        self.measure(opened, setups, tests, &cancel, &mut report)?;
                    }
                }
            }
        }
        let rows = report.rows;
        report.output.end()?;
        drop(report.progress);
        if cancel.load(Ordering::Relaxed) {
            // The rows are there; they do not fail for want of a stderr.
            let _ = writeln!(
                screen::notes(),
                "interrupted: {rows} of {all} tests are in the result"
            );
        }
        Ok(())
    }

    /// What is measured of each setup, in llama-bench's order.
    fn tests(&self) -> Vec<Test> {
        let mut tests = Vec::new();
        if !self.parallel.is_empty() {
            self.add_together(&mut tests);
            return tests;
        }
        for depth in all(&self.n_depth) {
            let mut add = |prompt, generate, drafting| {
                if prompt + generate > 0 {
                    tests.push(Test {
                        depth,
                        prompt,
                        generate,
                        drafting,
                        parallel: None,
                    });
                }
            };
            all(&self.n_prompt).for_each(|prompt| add(prompt, 0, Drafting::NONE));
            let texts = all(&self.n_gen).map(|generate| (0, generate));
            for (prompt, generate) in texts.chain(self.n_prompt_gen.iter().copied()) {
                let drafting = self.spec_draft_n_max.iter().flatten();
                drafting.for_each(|drafting| add(prompt, generate, *drafting));
            }
        }
        tests
    }

    /// Tests of several sequences at once.
    fn add_together(&self, tests: &mut Vec<Test>) {
        for prompt in all(&self.n_prompt) {
            for generate in all(&self.n_gen).filter(|n| *n > 0) {
                for drafting in self.spec_draft_n_max.iter().flatten() {
                    tests.extend(all(&self.parallel).map(|parallel| Test {
                        depth: 0,
                        prompt,
                        generate,
                        drafting: *drafting,
                        parallel: Some(parallel),
                    }));
                }
            }
        }
    }

    fn setups(&self) -> Result<Vec<Setup>, Failure> {
        let threads: Vec<usize> = match self.threads.is_empty() {
            true => vec![available_threads()],
            false => all(&self.threads).collect(),
        };
        if let Some(threads) = threads.iter().find(|n| **n > MOST_THREADS as usize) {
            return Err(Failure::usage(
                format!("{threads} threads are too many: {MOST_THREADS} at most"),
                "as many as the machine runs at once are the fastest",
            ));
        }
        check_machine(threads.iter().copied().max().unwrap_or(1))?;
        let mut setups = Vec::new();
        for n_batch in self.batches() {
            for &type_k in &self.cache_type_k {
                for &type_v in &self.cache_type_v {
                    setups.extend(threads.iter().map(|&n_threads| Setup {
                        n_batch,
                        n_threads,
                        type_k,
                        type_v,
                    }));
                }
            }
        }
        Ok(setups)
    }

    /// Tokens fed at once: each of -b with each of -ub, the smaller of the two.
    fn batches(&self) -> Vec<usize> {
        let given = |numbers: &[Numbers]| match numbers {
            [] => vec![usize::MAX],
            numbers => all(numbers).collect(),
        };
        let (most, at_once) = (given(&self.batch_size), given(&self.ubatch_size));
        let mut batches = Vec::new();
        for n in most.iter().flat_map(|b| at_once.iter().map(|u| *b.min(u))) {
            let n = if n == usize::MAX { DEFAULT_BATCH } else { n };
            if !batches.contains(&n) {
                batches.push(n);
            }
        }
        batches
    }

    fn table(&self, setups: &[Setup], tests: &[Test]) -> Table {
        let f16 = |types: &[CacheType]| types == [CacheType::F16];
        Table {
            batch: setups.iter().any(|s| s.n_batch != DEFAULT_BATCH),
            cache: !f16(&self.cache_type_k) || !f16(&self.cache_type_v),
            drafting: tests.iter().any(Test::drafts),
            together: !self.parallel.is_empty(),
        }
    }

    /// Opens all models, so that a wrong name does not end a bench half way.
    fn open(&self, tests: &[Test]) -> Result<Vec<Opened>, Failure> {
        let files = self.model.iter().map(Some);
        let files: Vec<Option<&PathBuf>> = match self.model.is_empty() {
            true => vec![None],
            false => files.collect(),
        };
        let drafting = tests.iter().any(Test::drafts);
        if drafting && is_set(DISABLE) {
            return Err(Failure::usage(
                format!("drafting is off, {DISABLE} is set"),
                format!("unset {DISABLE}, or leave --spec-draft-n-max away"),
            ));
        }
        let open = |file: Option<&PathBuf>| {
            let model = self.strict.open(file.map(PathBuf::as_path))?;
            let hparams = model.hparams()?;
            if drafting && hparams.mtp_blocks == 0 {
                return Err(no_head(&hparams, "--spec-draft-n-max"));
            }
            let vocabulary = hparams.vocabulary as u32;
            let ids = match &self.prompt_ids {
                Some(Ids(ids)) => ids.clone(),
                None => (FIRST_ID % vocabulary..vocabulary).collect(),
            };
            check_prompt(&ids, usize::MAX, hparams.vocabulary)?;
            let described = Described::of(&model, &model_arg::name(file));
            Ok(Opened {
                model,
                described,
                ids,
            })
        };
        files.into_iter().map(open).collect()
    }

    /// Compiles a model for setups that share its graphs, and runs all tests of each.
    fn measure<W: Write>(
        &self,
        opened: &Opened,
        setups: &[Setup],
        tests: &[Test],
        cancel: &Arc<AtomicBool>,
        report: &mut Report<W>,
    ) -> Result<(), Failure> {
        let described = &opened.described;
        report
            .progress
            .says(format!("compiling {}", described.model_type));
        let context = tests.iter().map(Test::context).max().unwrap_or(1);
        let rows = tests.iter().map(Test::rows).max().unwrap_or(1);
        let drafts = tests.iter().any(Test::drafts);
        let lower = setups[0].lower(context, (rows, drafts), self.vocabulary.read()?);
        let threads = setups[0].n_threads;
        let executable = (self.weights).compile(&opened.model, lower, Options::default(), threads);
        let executable = Arc::new(executable?);
        for setup in setups {
            let runner = Runner {
                executable: &executable,
                threads: setup.n_threads,
                ids: &opened.ids,
                repetitions: self.repetitions.get(),
                warmup: !self.no_warmup,
                cancel,
            };
            for test in tests {
                if cancel.load(Ordering::Relaxed) {
                    return Ok(());
                }
                let measured = runner.run(test, &report.progress)?;
                let row = Row::new(described, setup, executable.module(), test, measured);
                report.add(row)?;
            }
        }
        Ok(())
    }
}

impl<W: Write> Report<W> {
    fn add(&mut self, row: Option<Row>) -> Result<(), Failure> {
        let Some(row) = row else { return Ok(()) };
        self.rows += 1;
        self.progress.aside(|| self.output.row(&row))
    }
}

fn all(given: &[Numbers]) -> impl Iterator<Item = usize> {
    given.iter().flat_map(|Numbers(numbers)| numbers).copied()
}
