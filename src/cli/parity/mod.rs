//! `parity`: the model against what the reference did with it, and how that is captured.

mod capture;
mod compare;
mod record;
mod table;

use std::io::Write;

use clap::Subcommand;

use super::failure::Failure;

#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct Parity {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    compare: compare::Compare,
}

#[derive(Subcommand)]
enum Command {
    /// Write what a running llama-server makes of prompts, as a golden file
    Capture(capture::Capture),
}

impl Parity {
    pub(super) fn run(&self, out: &mut impl Write) -> Result<(), Failure> {
        match &self.command {
            Some(Command::Capture(args)) => args.run(out),
            None => self.compare.run(out),
        }
    }
}
