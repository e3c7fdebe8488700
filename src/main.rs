//! The command line of `sharpi-compile`.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
