//! `parity`: the model against what the reference did with it.

use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::ValueEnum;
use sharpi_compile::parity::{
    Bisection, Capture, Dump, Mode, Outcome, ParityError, ParityOptions, Skip, Tolerance, Verdict,
    bisect, compare, work,
};
use sharpi_compile::{Model, SessionOptions};

use super::record::Record;
use super::table;
use crate::cli::failure::Failure;
use crate::cli::lower_args::CacheType;
use crate::cli::model_arg::ModelArg;
use crate::cli::progress::Progress;
use crate::cli::{interrupt, write_json_line};

#[derive(clap::Args)]
pub(super) struct Compare {
    #[command(flatten)]
    model: ModelArg,
    /// Captures of the reference
    #[arg(long, value_name = "FILE", required_unless_present = "bisect")]
    golden: Option<PathBuf>,
    /// What is fed after the prompt
    #[arg(long, value_name = "MODE", default_value = "free", requires = "golden")]
    mode: ModeArg,
    /// Compare only the captures with this type of cached keys and values [default: each with its
    /// own]
    #[arg(long, value_name = "TYPE", requires = "golden")]
    cache_type: Option<CacheType>,
    /// Also feed the captured ids in runs of so many tokens, such as "1,2,3", and compare the
    /// logits bit for bit with those of single tokens
    #[arg(long, value_name = "WIDTHS", value_delimiter = ',', requires = "golden", value_parser = clap::value_parser!(u16).range(1..=512))]
    widths: Vec<u16>,
    /// Threads to compute with [default: as many as the machine runs at once]
    #[arg(short, long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// Dump of the reference's tensors, of which the first that differs is named
    #[arg(long, value_name = "TENSORS")]
    bisect: Option<PathBuf>,
    /// Of the dump, that a tensor differs where any bit does
    #[arg(long, requires = "bisect")]
    bits: bool,
    /// Print a JSON object instead of tables
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum ModeArg {
    /// The model's own ids; stable captures must be the same
    Free,
    /// The reference's ids; choices may differ where its two best logits are as close as its error
    Forced,
}

impl Compare {
    pub(super) fn run(&self, out: &mut impl Write) -> Result<(), Failure> {
        let cancel = interrupt::flag()?;
        let captures = self.golden.as_deref().map(Capture::read_all).transpose()?;
        let captures = captures.unwrap_or_default();
        let dump = self.bisect.as_deref().map(Dump::read).transpose()?;
        let model = self.model.open()?;
        let outcomes = self.compare(&model, &captures, &cancel)?;
        let bisection = dump.map(|dump| self.bisect(&model, &dump, &cancel));
        let bisection = bisection.transpose()?;
        let record = Record::new(&captures, &outcomes, bisection.as_ref());
        match self.json {
            true => write_json_line(out, &record)?,
            false => self.write(&record, out)?,
        }
        out.flush()?;
        verdict(&outcomes, bisection.as_ref())
    }

    fn compare(
        &self,
        model: &Model,
        captures: &[Capture],
        cancel: &Arc<AtomicBool>,
    ) -> Result<Vec<Outcome>, ParityError> {
        if captures.is_empty() {
            return Ok(Vec::new());
        }
        let options = ParityOptions {
            mode: match self.mode {
                ModeArg::Free => Mode::Free,
                ModeArg::Forced => Mode::Forced,
            },
            cache_type: self.cache_type.map(CacheType::dtype),
            widths: self.widths.iter().map(|w| usize::from(*w)).collect(),
            threads: self.threads(),
            cancel: Arc::clone(cancel),
        };
        let bar = Progress::tokens("parity", work(captures, &options));
        let mut done = 0;
        compare(model, captures, &options, &mut || {
            done += 1;
            bar.at(done as u64);
        })
    }

    fn bisect(
        &self,
        model: &Model,
        dump: &Dump,
        cancel: &AtomicBool,
    ) -> Result<Bisection, ParityError> {
        let _progress = Progress::spinner("comparing tensors");
        let tolerance = match self.bits {
            true => Tolerance::Bits,
            false => Tolerance::Rounding,
        };
        bisect(model, dump, (self.threads(), tolerance), cancel)
    }

    fn threads(&self) -> usize {
        let default = SessionOptions::default().threads;
        self.threads.map_or(default, NonZeroUsize::get)
    }

    fn write(&self, record: &Record<'_>, out: &mut impl Write) -> io::Result<()> {
        if !record.captures.is_empty() {
            table::write(&record.captures, out)?;
        }
        match record.bisection {
            Some(bisection) => table::write_bisection(bisection, out),
            None => Ok(()),
        }
    }
}

/// Fails where something differs, and where nothing could be compared.
fn verdict(outcomes: &[Outcome], bisection: Option<&Bisection>) -> Result<(), Failure> {
    let count = |wanted| outcomes.iter().filter(|o| o.verdict() == wanted).count();
    let (differ, skipped, all) = (
        count(Verdict::Differs),
        count(Verdict::Skipped),
        outcomes.len(),
    );
    let off = bisection.map_or(0, |b| b.differing.len());
    let tensors = bisection.map_or(0, |b| b.tensors);
    let cancelled = Outcome::Skipped {
        skipped: Skip::Cancelled,
    };
    match (differ, off) {
        (0, 0) if outcomes.contains(&cancelled) => Err(Failure::plain(
            format!("stopped by Ctrl-C with {skipped} of {all} captures not compared"),
            "nothing differs so far; run it again to compare the others",
        )),
        (0, 0) if all > 0 && skipped == all => Err(Failure::plain(
            "no capture was compared",
            "the table says why; another --cache-type or --mode takes others",
        )),
        (0, 0) => Ok(()),
        (0, _) => Err(Failure::mismatch(
            format!("{off} of {tensors} tensors differ from the reference"),
            "the fault is between the first of them and what it is made of",
        )),
        _ => Err(Failure::mismatch(
            format!("{differ} of {all} captures differ from the reference"),
            "see that the file is the one captured; --bisect TENSORS.json names the first tensor \
             that differs",
        )),
    }
}
