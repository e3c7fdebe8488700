//! The command line: one module per subcommand. Only here does anything print or exit.
//!
//! Exit codes: 0 all went well, 1 it failed, 2 the command line is wrong, 3 a comparison failed,
//! 4 the model is of a kind that is not supported.

mod argv;
mod bench;
mod ceilings;
mod context_arg;
mod cost;
mod detokenize;
mod draft_vocab;
mod dump_graph;
mod exec_args;
mod failure;
mod hwbench;
mod ids;
mod inspect;
mod interrupt;
mod lower_args;
mod memory;
mod model_arg;
mod module_file;
mod parity;
mod pass_args;
mod passes;
mod perplexity;
mod profile;
mod progress;
mod prompt;
mod range;
mod record;
mod reduce;
mod run;
mod sampling;
mod spec;
mod synth;
mod table;
mod timings;
mod tokenize;
mod trace;
mod units;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use failure::Failure;

/// Compiles and runs Qwen3.5 and Qwen3.6 GGUF models on the CPU.
#[derive(Parser)]
#[command(name = "sharpi-compile", version, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes: 0 ok, 1 failure, 2 wrong usage, 3 a comparison failed, 4 unsupported model.
`-ctk TYPE` and `-ctv TYPE` stand for `--cache-type-k TYPE` and `--cache-type-v TYPE`.";

#[derive(Subcommand)]
enum Command {
    /// Continue a text
    Run(run::Run),
    /// Measure the speed of models
    Bench(bench::Bench),
    /// Show where the time of a prompt and of a text goes
    Profile(profile::Profile),
    /// Show the graphs a model is compiled into
    DumpGraph(dump_graph::DumpGraph),
    /// Show what is in a model file and whether it can be run
    Inspect(inspect::Inspect),
    /// Compare the model with captures of the reference
    Parity(parity::Parity),
    /// Measure how well the model predicts a text, and how far it is from llama.cpp on it
    Perplexity(perplexity::PerplexityArgs),
    /// Show the token ids of a text, special tokens recognised
    Tokenize(tokenize::Tokenize),
    /// Show the text of token ids, special tokens included
    Detokenize(detokenize::Detokenize),
    /// Write a model of a real shape with made-up weights, to measure speed with
    Synth(synth::SynthArgs),
    /// Work out what ops cost, and the speed that this machine allows
    Cost(cost::CostArgs),
    /// Work out the memory that a context takes, and the largest that fits
    Memory(memory::Memory),
    /// Measure how fast this machine reads memory and multiplies
    Hwbench(hwbench::Hwbench),
    /// List the passes of the compiler in the order they run
    Passes(passes::Passes),
    /// Find the smallest graph with which a command still fails
    Reduce(reduce::Reduce),
}

/// Runs the program.
pub(crate) fn main() -> ExitCode {
    let args = argv::with_long_names(std::env::args_os());
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Nothing can be said if neither stream takes text.
            let _ = error.print();
            return ExitCode::from(error.exit_code() as u8);
        }
    };
    match cli.command.run(&mut io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

impl Command {
    fn run(&self, out: &mut impl Write) -> Result<(), Failure> {
        match self {
            Command::Run(args) => args.run(out),
            Command::Bench(args) => args.run(out),
            Command::Profile(args) => args.run(out),
            Command::DumpGraph(args) => args.run(out),
            Command::Inspect(args) => args.run(out),
            Command::Parity(args) => args.run(out),
            Command::Perplexity(args) => args.run(out),
            Command::Tokenize(args) => args.run(out),
            Command::Detokenize(args) => args.run(out),
            Command::Synth(args) => args.run(out),
            Command::Cost(args) => args.run(out),
            Command::Memory(args) => args.run(out),
            Command::Hwbench(args) => args.run(out),
            Command::Passes(args) => args.run(out),
            Command::Reduce(args) => args.run(out),
        }?;
        Ok(out.flush()?)
    }
}

/// Writes a value as JSON on one line.
fn write_json_line(out: &mut impl Write, value: &impl serde::Serialize) -> Result<(), Failure> {
    serde_json::to_writer(&mut *out, value).map_err(io::Error::from)?;
    Ok(writeln!(out)?)
}

/// Writes a value as JSON for people to read too.
fn write_json(out: &mut impl Write, value: &impl serde::Serialize) -> Result<(), Failure> {
    serde_json::to_writer_pretty(&mut *out, value).map_err(io::Error::from)?;
    Ok(writeln!(out)?)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_free_of_contradictions() {
        super::Cli::command().debug_assert();
    }
}
