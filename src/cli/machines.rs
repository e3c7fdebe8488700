//! Who runs the model: the program alone, ranks of its own, or those that mpirun has started.

use std::env;
use std::process::ExitCode;
use std::sync::OnceLock;

use sharpi_compile::ranks::Ranks;
use sharpi_passes::Shard;

use super::failure::Failure;

/// Where mpirun tells the programs that it starts how many there are: Open MPI's, and others'.
const COUNTS: [&str; 2] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE"];

/// The ranks that mpirun has started, if this is the first of them.
static LED: OnceLock<Ranks> = OnceLock::new();

/// The ranks that mpirun has started, if this is the first of them.
pub(super) fn led() -> Option<&'static Ranks> {
    LED.get()
}

#[derive(clap::Args)]
pub(super) struct RanksArgs {
    /// Divide the model among so many ranks of this program, each with its own threads: for machines
    /// with several memory nodes. mpirun starts ranks on several machines
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    ranks: Option<u16>,
    /// Keep each rank on the processors of one memory node; llama.cpp's ways to do so are all taken as
    /// this one, and without --ranks it does nothing
    #[arg(long, value_name = "WAY", num_args = 0..=1, default_missing_value = "isolate", value_parser = ["distribute", "isolate", "numactl"])]
    numa: Option<String>,
}

impl RanksArgs {
    /// The ranks that run the model.
    pub(super) fn start(&self) -> Result<Ranks, Failure> {
        match (LED.get(), self.ranks) {
            (Some(_), Some(_)) => Err(Failure::usage(
                "mpirun has started ranks, and --ranks asks for others",
                "leave --ranks away",
            )),
            (Some(led), None) => Ok(led.clone()),
            (None, ranks) => {
                Ranks::in_process(self.count(), self.numa.is_some()).map_err(|error| {
                    let ranks = ranks.unwrap_or(1);
                    Failure::plain(
                        format!("cannot start {ranks} ranks: {error}"),
                        "ask for fewer",
                    )
                })
            }
        }
    }

    /// Ranks of this program.
    pub(super) fn count(&self) -> usize {
        self.ranks.map_or(1, usize::from)
    }
}

/// One share of a model.
#[derive(clap::Args)]
pub(super) struct ShareArgs {
    /// Divide the model among so many ranks: the share of one of them is shown
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u16).range(1..=1024))]
    ranks: u16,
    /// Which of them, from 0 on
    #[arg(long, value_name = "N", default_value = "0")]
    rank: u16,
}

impl ShareArgs {
    /// Which share is meant; `None` for all of the model.
    pub(super) fn shard(&self) -> Option<Shard> {
        let (ranks, rank) = (self.ranks.into(), self.rank.into());
        (ranks > 1 || rank > 0).then_some(Shard { ranks, rank })
    }
}

/// Runs the program: as it is, as the first of the ranks that mpirun has started, or as one that
/// follows it and has no command of its own.
#[cfg(feature = "mpi")]
pub(super) fn with_others(program: impl FnOnce() -> ExitCode) -> ExitCode {
    use sharpi_compile::ranks::{Mpi, follow};
    if !started_by_mpi() {
        return program();
    }
    let mpi = match Mpi::begin() {
        Ok(mpi) => mpi,
        Err(error) => return Failure::plain(error, "try another MPI library").report(),
    };
    let transport = mpi.transport();
    if transport.rank() > 0 {
        return match follow(&transport) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    let led = Ranks::lead(transport);
    drop(LED.set(led.clone()));
    let code = program();
    led.end();
    code
}

#[cfg(not(feature = "mpi"))]
pub(super) fn with_others(program: impl FnOnce() -> ExitCode) -> ExitCode {
    match started_by_mpi() {
        false => program(),
        true => Failure::plain(
            "mpirun has started this program, which is built without MPI",
            "build it with --features mpi",
        )
        .report(),
    }
}

/// Whether mpirun has started others with this one.
fn started_by_mpi() -> bool {
    let told = COUNTS.iter().find_map(env::var_os);
    told.is_some_and(|told| told != "1")
}
