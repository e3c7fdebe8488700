//! `reduce`: the smallest graph with which a command still fails.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use sharpi_ir::Module;
use sharpi_ir::plain::PlainPath;
use sharpi_ir::reduce::{Verdict, reduce};
use sharpi_ir::text::print;

use super::failure::Failure;
use super::interrupt;
use super::module_file;
use super::progress::Progress;

/// How often a running command is looked at.
const POLL: Duration = Duration::from_millis(2);

#[derive(clap::Args)]
pub(super) struct Reduce {
    /// Graphs in the textual form, with which the command fails
    #[arg(value_name = "FILE.sir")]
    file: PathBuf,
    /// File for the smallest found so far [default: FILE.reduced.sir]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The command fails if it ends with this code [default: any other than 0, or a signal]
    #[arg(long, value_name = "N")]
    exit_code: Option<i32>,
    /// End a command that takes longer; it has not failed then
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = clap::value_parser!(u32).range(1..))]
    timeout: u32,
    /// What to run; {} in it stands for the file, which else is its last word
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// What a command did.
#[derive(PartialEq)]
enum Ending {
    /// Ended by itself, with this code unless by a signal.
    Ended(Option<i32>),
    TimedOut,
    Cancelled,
}

impl Reduce {
    pub(super) fn run(&self, out: &mut impl Write) -> Result<(), Failure> {
        let module = module_file::read(&self.file)?;
        let output = match &self.output {
            Some(path) => path.clone(),
            None => self.file.with_extension("reduced.sir"),
        };
        let cancel = interrupt::flag()?;
        let folder = tempfile::tempdir()?;
        let candidate = folder.path().join("candidate.sir");
        self.check_fails(&print(&module), &candidate, &cancel)?;
        save(&output, &print(&module))?;
        let progress = Progress::counter("reducing");
        let mut problem = None;
        let mut runs = 0u64;
        let reduced = reduce(&module, &mut |smaller, text| {
            let attempt = self.attempt(text, &candidate, &cancel).and_then(|ending| {
                if self.is_failure(&ending) {
                    save(&output, text)?;
                    progress.says(told(smaller));
                }
                Ok(ending)
            });
            runs += 1;
            progress.step();
            match attempt {
                Ok(Ending::Cancelled) => Verdict::Stop,
                Ok(ending) if self.is_failure(&ending) => Verdict::Fails,
                Ok(_) => Verdict::Passes,
                Err(failure) => {
                    problem = Some(failure);
                    Verdict::Stop
                }
            }
        });
        drop(progress);
        if let Some(failure) = problem {
            return Err(failure);
        }
        let (before, after) = (told(&module), told(&reduced));
        let end = match cancel.load(Ordering::Relaxed) {
            true => ", stopped",
            false => "",
        };
        let path = PlainPath(&output);
        Ok(writeln!(
            out,
            "{after}, of {before}; {runs} runs{end}; in {path}"
        )?)
    }

    fn check_fails(
        &self,
        text: &str,
        candidate: &Path,
        cancel: &AtomicBool,
    ) -> Result<(), Failure> {
        let ending = self.attempt(text, candidate, cancel)?;
        if self.is_failure(&ending) {
            return Ok(());
        }
        let what = match ending {
            Ending::Ended(Some(code)) => format!("ends with code {code}"),
            Ending::Ended(None) => "is ended by a signal".into(),
            Ending::TimedOut => format!("takes more than {} seconds", self.timeout),
            Ending::Cancelled => "was interrupted".into(),
        };
        Err(Failure::plain(
            format!(
                "with the whole of {} the command {what}",
                PlainPath(&self.file)
            ),
            "give a command that fails, the code of its failure with --exit-code N, or more time \
             with --timeout SECONDS",
        ))
    }

    fn is_failure(&self, ending: &Ending) -> bool {
        match (ending, self.exit_code) {
            (Ending::Ended(code), Some(wanted)) => *code == Some(wanted),
            (Ending::Ended(code), None) => *code != Some(0),
            (Ending::TimedOut | Ending::Cancelled, _) => false,
        }
    }

    /// Runs the command on a module.
    fn attempt(
        &self,
        text: &str,
        candidate: &Path,
        cancel: &AtomicBool,
    ) -> Result<Ending, Failure> {
        save(candidate, text)?;
        let mut words = words(&self.command, candidate).into_iter();
        let program = words.next().unwrap_or_default();
        let child = Command::new(&program)
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let child = child.map_err(|error| {
            let program = program.to_string_lossy();
            let message = format!("cannot run {program}: {error}");
            Failure::plain(message, "name a program that can be run behind `--`")
        })?;
        Ok(self.wait(child, cancel)?)
    }

    fn wait(&self, mut child: Child, cancel: &AtomicBool) -> io::Result<Ending> {
        let deadline = Instant::now() + Duration::from_secs(self.timeout.into());
        loop {
            let ended = child.try_wait()?;
            // A terminal tells the command of Ctrl-C too: how it ends then means nothing.
            let interrupted = cancel.load(Ordering::Relaxed);
            let ending = match ended {
                Some(_) if interrupted => return Ok(Ending::Cancelled),
                Some(status) => return Ok(Ending::Ended(status.code())),
                None if interrupted => Ending::Cancelled,
                None if Instant::now() > deadline => Ending::TimedOut,
                None => {
                    thread::sleep(POLL);
                    continue;
                }
            };
            child.kill()?;
            child.wait()?;
            return Ok(ending);
        }
    }
}

/// The command for a file.
fn words(command: &[OsString], file: &Path) -> Vec<OsString> {
    let holds_place = |word: &OsString| word.to_string_lossy().contains("{}");
    if !command.iter().any(holds_place) {
        let file = file.as_os_str().to_os_string();
        return command.iter().cloned().chain([file]).collect();
    }
    let word = |word: &OsString| match holds_place(word) {
        true => word
            .to_string_lossy()
            .replace("{}", &file.to_string_lossy())
            .into(),
        false => word.clone(),
    };
    command.iter().map(word).collect()
}

/// `12 ops and 3 weights`.
fn told(module: &Module) -> String {
    let ops: usize = module.graphs.values().map(|graph| graph.op_count()).sum();
    let weights = module.symbols.weights().len();
    let some = |count: usize, what: &str| {
        let plural = if count == 1 { "" } else { "s" };
        format!("{count} {what}{plural}")
    };
    format!("{} and {}", some(ops, "op"), some(weights, "weight"))
}

/// Replaces a file as a whole, so that it is a module at any time.
fn save(path: &Path, text: &str) -> Result<(), Failure> {
    let new = path.with_extension("new");
    let saved = fs::write(&new, text).and_then(|()| fs::rename(&new, path));
    saved.map_err(|error| {
        let message = format!("cannot write {}: {error}", PlainPath(path));
        Failure::plain(message, "choose a file that can be written to with -o")
    })
}
