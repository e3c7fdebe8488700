//! What is said on stderr beside the result, and how much of it.

use std::fmt::Display;
use std::io::Write;
use std::sync::atomic::{AtomicU8, Ordering};

use super::argv::Idle;
use super::failure::harmless;
use super::screen;

/// How much is said.
#[derive(clap::Args, Clone, Copy)]
pub(super) struct Loudness {
    /// Say more on stderr: what options do nothing here, how long each pass took
    #[arg(
        short,
        long,
        global = true,
        conflicts_with = "quiet",
        help_heading = "Messages"
    )]
    verbose: bool,
    /// Say nothing on stderr but warnings and errors
    #[arg(short, long, global = true)]
    quiet: bool,
}

const QUIET: u8 = 0;
const NORMAL: u8 = 1;
const VERBOSE: u8 = 2;

static LEVEL: AtomicU8 = AtomicU8::new(NORMAL);

impl Loudness {
    /// Makes it hold for the whole program.
    pub(super) fn set(self) {
        let level = match (self.quiet, self.verbose) {
            (true, _) => QUIET,
            (_, true) => VERBOSE,
            _ => NORMAL,
        };
        LEVEL.store(level, Ordering::Relaxed);
    }
}

/// Something that whoever gave the command should know.
pub(super) fn warn(line: impl Display) {
    say(&format_args!("warning: {}", harmless(line)));
}

/// Something that can be left out with `--quiet`.
pub(super) fn tell(line: impl Display) {
    if LEVEL.load(Ordering::Relaxed) >= NORMAL {
        say(&line);
    }
}

/// Something by the way, that can be left out with `--quiet`.
pub(super) fn aside(line: impl Display) {
    if LEVEL.load(Ordering::Relaxed) >= NORMAL {
        let mut notes = screen::notes();
        let told = notes.dim(true);
        let told = told.and_then(|()| write!(notes, "{line}"));
        let told = told.and_then(|()| notes.dim(false));
        // It does not matter enough to fail for want of a stderr.
        let _ = told.and_then(|()| writeln!(notes));
    }
}

/// Something that is told with `--verbose`.
pub(super) fn detail(line: impl Display) {
    if is_verbose() {
        say(&line);
    }
}

/// Whether details are told.
pub(super) fn is_verbose() -> bool {
    LEVEL.load(Ordering::Relaxed) >= VERBOSE
}

/// Options of llama.cpp that do nothing here.
pub(super) fn idle(options: &[Idle]) {
    for option in options {
        match option.matters {
            true => warn(&option.text),
            false => detail(&option.text),
        }
    }
}

/// Warns of those options that were given: they have no effect `without` something.
pub(super) fn idle_without(options: &[(&str, bool)], without: &str) {
    let given = options.iter().filter(|(_, given)| *given);
    let given: Vec<&str> = given.map(|(name, _)| *name).collect();
    let does = if given.len() == 1 { "does" } else { "do" };
    if !given.is_empty() {
        warn(format_args!(
            "{} {does} nothing {without}",
            given.join(", ")
        ));
    }
}

fn say(line: &dyn Display) {
    // None of this matters enough to fail for want of a stderr.
    let _ = writeln!(screen::notes(), "{line}");
}
