//! How graphs are executed: threads, and where weights are held.

use std::env;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::thread;

use sharpi_compile::exec::{LoadOptions, simd};
use sharpi_compile::lower::LowerOptions;
use sharpi_compile::{CompileOptions, Executable, Model, SessionOptions};
use sharpi_passes::Options;

use super::failure::Failure;
use super::machines::RanksArgs;
use super::notice;
use super::progress::Progress;

/// Threads wait for each other after every step: far more than processors stand still.
pub(super) const MOST_THREADS: i64 = 512;

#[derive(clap::Args)]
pub(super) struct ExecArgs {
    /// Threads to compute with, of each rank if there are several [default: as many as the machine runs
    /// at once]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=MOST_THREADS))]
    threads: Option<u16>,
    /// Keep each thread but the first on one processor, of those that the program may use (see
    /// taskset)
    #[arg(long)]
    pin: bool,
    #[command(flatten)]
    weights: WeightArgs,
}

/// Where weights are held.
#[derive(clap::Args)]
pub(super) struct WeightArgs {
    /// Use the weights from the mapped file instead of bringing them into memory in the layout of
    /// the kernels: it starts at once and takes no memory of its own, but computes more slowly
    #[arg(long)]
    no_repack: bool,
    /// Keep the weights as they are laid out in a file of this folder, which the next start maps at
    /// once; a model's file is as large as itself, and stays until it is removed
    #[arg(long, value_name = "DIR", conflicts_with = "no_repack")]
    repack_cache: Option<PathBuf>,
    /// Lock the weights in memory
    #[arg(long, conflicts_with = "no_repack")]
    mlock: bool,
    #[command(flatten)]
    ranks: RanksArgs,
}

impl WeightArgs {
    /// Compiles a model and loads its weights with so many threads, showing how far that is.
    pub(super) fn compile(
        &self,
        model: &Model,
        lower: LowerOptions,
        passes: Options,
        threads: usize,
    ) -> Result<Executable, Failure> {
        let options = CompileOptions::default().lower(lower).passes(passes).load(
            LoadOptions::default()
                .repack(!self.no_repack)
                .cache(self.repack_cache.clone())
                .lock(self.mlock)
                .threads(threads),
        );
        let options = options.ranks(self.ranks.start()?);
        let bar = Progress::bytes("loading the weights", 0);
        Ok(model.compile_watched(&options, &|done, all| bar.part(done, all))?)
    }
}

impl ExecArgs {
    /// See [`WeightArgs::compile`].
    pub(super) fn compile(
        &self,
        model: &Model,
        lower: LowerOptions,
        passes: Options,
    ) -> Result<Executable, Failure> {
        self.weights.compile(model, lower, passes, self.threads())
    }

    /// Warns of what does nothing on this machine.
    pub(super) fn check(&self) -> Result<(), Failure> {
        if self.pin && self.threads() == 1 {
            notice::warn("--pin does nothing with one thread: the first is left where it is");
        }
        check_machine(self.threads() * self.weights.ranks.count())
    }

    /// Options of a session.
    pub(super) fn session(&self, context: usize, rollback: usize) -> SessionOptions {
        SessionOptions::default()
            .context(context)
            .threads(self.threads())
            .pin(self.pin)
            .rollback(rollback)
    }

    /// Whether threads stay on one processor each.
    pub(super) fn pins(&self) -> bool {
        self.pin
    }

    pub(super) fn threads(&self) -> usize {
        let ranks = self.weights.ranks.count();
        (self.threads).map_or_else(|| available_threads().div_ceil(ranks), usize::from)
    }
}

/// Warns of more threads than run at once, and checks `SHARPI_SIMD`.
pub(super) fn check_machine(threads: usize) -> Result<(), Failure> {
    let cores = available_threads();
    if threads > cores {
        notice::warn(format_args!(
            "{threads} threads are more than the {cores} that this machine runs at once: they wait for each other"
        ));
    }
    check_simd()
}

/// An unknown instruction set is an error, one that the CPU lacks a warning.
pub(super) fn check_simd() -> Result<(), Failure> {
    let Some(wanted) = env::var_os(simd::VARIABLE) else {
        return Ok(());
    };
    let wanted = wanted.to_string_lossy();
    if !simd::NAMES.contains(&&*wanted) {
        return Err(Failure::usage(
            format!("{}={wanted:?} is no instruction set", simd::VARIABLE),
            format!(
                "set it to one of {}, or unset it for the widest that the CPU has",
                simd::NAMES.join(", ")
            ),
        ));
    }
    if simd::used() != wanted {
        notice::warn(format_args!(
            "{}={wanted}: this CPU lacks it, {} is used",
            simd::VARIABLE,
            simd::used()
        ));
    }
    Ok(())
}

/// As many threads as the machine runs at once.
pub(super) fn available_threads() -> usize {
    thread::available_parallelism().map_or(1, NonZeroUsize::get)
}
