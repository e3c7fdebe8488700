//! The command line: one module per subcommand. Only here does anything print or exit.
//!
//! Exit codes: 0 all went well, 1 it failed, 2 the command line is wrong, 3 a comparison failed,
//! 4 the model is of a kind that is not supported, 130 Ctrl-C ended a run.

mod answer;
mod argv;
mod bench;
mod ceilings;
mod chat;
mod completions;
mod context_arg;
mod conversation_args;
mod cost;
mod described;
mod detokenize;
mod draft_vocab;
mod dump_graph;
mod engine_args;
mod escapes;
mod exec_args;
mod failure;
mod file_sampling;
mod grammar;
mod help;
mod hwbench;
mod ids;
mod inspect;
mod interrupt;
mod lower_args;
mod machines;
mod man;
mod memory;
mod model_arg;
mod module_file;
mod notice;
mod parity;
mod pass_args;
mod passes;
mod perplexity;
mod profile;
mod progress;
mod prompt;
mod prompt_cache;
mod range;
mod record;
mod reduce;
mod remember_args;
mod replay;
mod run;
mod sampling;
mod screen;
mod serve;
mod shape;
mod spec;
mod started;
mod synth;
mod table;
mod template_arg;
mod text_file;
mod timings;
mod tokenize;
mod trace;
mod units;
mod version;
mod viewer;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{FromArgMatches, Parser, Subcommand};
use sharpi_ir::plain::{Plain, is_harmful};

use failure::Failure;
use notice::Loudness;
use screen::Stdout;

/// Compiles and runs Qwen3.5 and Qwen3.6 GGUF models on the CPU
#[derive(Parser)]
#[command(name = "sharpi-compile")]
struct Cli {
    #[command(flatten)]
    loudness: Loudness,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
#[expect(clippy::large_enum_variant, reason = "there is one of it")]
enum Command {
    /// Continue a text
    Run(run::RunArgs),
    /// Talk to a model in the terminal
    Chat(chat::ChatArgs),
    /// Serve the model over HTTP, for clients of llama-server, OpenAI or Anthropic
    Serve(serve::ServeArgs),
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
    /// Make an answer again from its receipt, and say whether every bit is the same
    Replay(replay::ReplayArgs),
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
    /// Print a script that completes commands and options in a shell
    Completions(completions::Completions),
    /// Print the manual page, or write those of all commands
    Man(man::ManArgs),
}

/// Runs the program.
pub(crate) fn main() -> ExitCode {
    machines::with_others(program)
}

fn program() -> ExitCode {
    let mut command = help::command();
    command.build();
    let line = match argv::translate(std::env::args_os(), &command) {
        Ok(line) => line,
        Err(failure) => return failure.report(),
    };
    let matches = command.try_get_matches_from_mut(&line.args);
    let cli = match matches.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => {
            tell_usage(&error, &line.args, &mut command);
            return ExitCode::from(error.exit_code() as u8);
        }
    };
    cli.loudness.set();
    notice::idle(&line.idle);
    let result = match &cli.command {
        Command::Run(args) => args.run(&mut screen::writing()),
        Command::Chat(args) => args.run(&mut screen::writing()),
        Command::Detokenize(args) => args.run(&mut screen::writing()),
        command => command.run(&mut screen::findings()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// Says what is wrong with the command line, or the help that was asked for. Words of the command
/// line may be names of files that somebody else has chosen.
fn tell_usage(error: &clap::Error, words: &[OsString], command: &mut clap::Command) {
    let shown = words.iter().map(|word| word.to_string_lossy());
    // The same words, harmless, are as wrong.
    let again = match shown.clone().any(|word| word.chars().any(is_harmful)) {
        true => command.try_get_matches_from_mut(shown.map(|word| Plain(&word).to_string())),
        false => return print_usage(error),
    };
    match again {
        Err(error) => print_usage(&error),
        Ok(_) => drop(writeln!(screen::notes(), "error: {}", error.kind())),
    }
}

fn print_usage(error: &clap::Error) {
    // Nothing can be said if neither stream takes text.
    let _ = error.print();
}

impl Command {
    fn run(&self, out: &mut Stdout) -> Result<(), Failure> {
        match self {
            Command::Run(args) => args.run(out),
            Command::Chat(args) => args.run(out),
            Command::Serve(args) => args.run(out),
            Command::Bench(args) => args.run(out),
            Command::Profile(args) => args.run(out),
            Command::DumpGraph(args) => args.run(out),
            Command::Inspect(args) => args.run(out),
            Command::Parity(args) => args.run(out),
            Command::Replay(args) => args.run(out),
            Command::Perplexity(args) => args.run(out),
            Command::Tokenize(args) => args.run(out),
            Command::Detokenize(args) => args.run(out),
            Command::Synth(args) => args.run(out),
            Command::Cost(args) => args.run(out),
            Command::Memory(args) => args.run(out),
            Command::Hwbench(args) => args.run(out),
            Command::Passes(args) => args.run(out),
            Command::Reduce(args) => args.run(out),
            Command::Completions(args) => args.run(out),
            Command::Man(args) => args.run(out),
        }?;
        Ok(out.flush()?)
    }
}

/// Writes a value as JSON on one line.
fn write_json_line(out: &mut impl Write, value: &impl serde::Serialize) -> Result<(), Failure> {
    serde_json::to_writer(screen::json(&mut *out), value).map_err(io::Error::from)?;
    Ok(writeln!(out)?)
}

/// Writes a value as JSON for people to read too.
fn write_json(out: &mut impl Write, value: &impl serde::Serialize) -> Result<(), Failure> {
    serde_json::to_writer_pretty(screen::json(&mut *out), value).map_err(io::Error::from)?;
    Ok(writeln!(out)?)
}
