//! `man`: manual pages.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Command;
use clap_mangen::Man;
use sharpi_ir::plain::PlainPath;

use super::failure::Failure;
use super::help;

#[derive(clap::Args)]
pub(super) struct ManArgs {
    /// The command [default: the program]
    #[arg(value_name = "COMMAND", conflicts_with = "output")]
    command: Option<String>,
    /// Write a page for the program and for each command into this folder
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
}

impl ManArgs {
    pub(super) fn run(&self, out: &mut impl Write) -> Result<(), Failure> {
        let mut root = help::command();
        root.build();
        match &self.output {
            Some(folder) => write_all(&root, folder).map_err(|error| {
                Failure::plain(
                    format!("cannot write pages into {}: {error}", PlainPath(folder)),
                    "name a folder that can be written to with -o",
                )
            }),
            None => Ok(page(self.chosen(&root)?).render(out)?),
        }
    }

    fn chosen<'a>(&self, root: &'a Command) -> Result<&'a Command, Failure> {
        let Some(name) = &self.command else {
            return Ok(root);
        };
        root.find_subcommand(name).ok_or_else(|| {
            Failure::usage(
                format!("there is no command `{name}`"),
                "`sharpi-compile --help` lists the commands",
            )
        })
    }
}

/// `sharpi-compile.1`, and `sharpi-compile-run.1` and its like.
fn write_all(root: &Command, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let commands = root.get_subcommands().filter(|c| c.get_name() != "help");
    for command in [root].into_iter().chain(commands) {
        let page = page(command);
        let mut roff = Vec::new();
        page.render(&mut roff)?;
        fs::write(folder.join(page.get_filename()), roff)?;
    }
    Ok(())
}

fn page(command: &Command) -> Man {
    // `sharpi-compile-run`: built commands know it.
    Man::new(command.clone())
}
