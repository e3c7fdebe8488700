//! `completions`: scripts for shells.

use std::io::Write;

use clap_complete::{Shell, generate};

use super::failure::Failure;
use super::help;

#[derive(clap::Args)]
pub(super) struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    pub(super) fn run(&self, out: &mut impl Write) -> Result<(), Failure> {
        let mut script = Vec::new();
        generate(self.shell, &mut help::command(), help::NAME, &mut script);
        Ok(out.write_all(&script)?)
    }
}
