//! The line editor, and the file with what was typed before.

use std::fs;
use std::path::PathBuf;

use etcetera::BaseStrategy;
use rustyline::completion::{Completer, FilenameCompleter, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Cmd, Config, Context, Helper, KeyCode, KeyEvent, Modifiers};
use sharpi_ir::plain::PlainPath;

use super::input::Entry;
use super::{command, multiline};
use crate::cli::failure::Failure;
use crate::cli::notice;

/// Most lines of the file.
const REMEMBERED: usize = 1000;

/// Reads lines from a terminal.
pub(super) struct Editor {
    editor: rustyline::Editor<Lines, FileHistory>,
    history: Option<PathBuf>,
}

impl Editor {
    /// With `history` what is typed is kept in a file of the user's.
    pub(super) fn new(history: bool) -> Result<Editor, Failure> {
        let config = Config::builder().max_history_size(REMEMBERED);
        let config = config.map_err(failed)?.build();
        let mut editor = rustyline::Editor::with_config(config).map_err(failed)?;
        editor.set_helper(Some(Lines {
            files: FilenameCompleter::new(),
        }));
        editor.bind_sequence(KeyEvent(KeyCode::Enter, Modifiers::ALT), Cmd::Newline);
        let history = history.then(file).flatten();
        if let Some(path) = &history
            && path.exists()
            && let Err(error) = editor.load_history(path)
        {
            notice::warn(format_args!("{}: {error}", PlainPath(path)));
        }
        Ok(Editor { editor, history })
    }

    pub(super) fn next(&mut self) -> Result<Entry, Failure> {
        match self.editor.readline("> ") {
            Ok(typed) => {
                self.remember(&typed);
                Ok(Entry::Line(multiline::meant(&typed)))
            }
            Err(ReadlineError::Interrupted | ReadlineError::Signal(_)) => Ok(Entry::Interrupted),
            Err(ReadlineError::Eof) => Ok(Entry::End),
            Err(error) => Err(failed(error)),
        }
    }

    /// Keeps a line, at once: the program may be ended in any way.
    fn remember(&mut self, typed: &str) {
        let added =
            !typed.trim().is_empty() && self.editor.add_history_entry(typed).is_ok_and(|new| new);
        let Some(path) = self.history.as_ref().filter(|_| added) else {
            return;
        };
        let folder = path.parent().map_or(Ok(()), fs::create_dir_all);
        let written = folder.map_err(ReadlineError::from);
        let written = written.and_then(|()| self.editor.append_history(path));
        if let Err(error) = written {
            notice::warn(format_args!("{}: {error}", PlainPath(path)));
            self.history = None;
        }
    }
}

/// Where lines are kept.
fn file() -> Option<PathBuf> {
    let strategy = etcetera::choose_base_strategy().ok()?;
    let folder = strategy.state_dir().unwrap_or_else(|| strategy.data_dir());
    Some(folder.join("sharpi-compile").join("chat-history"))
}

fn failed(error: ReadlineError) -> Failure {
    Failure::plain(
        format!("cannot read from the terminal: {error}"),
        "-p TEXT says one message, and lines of the standard input are messages too",
    )
}

/// What the editor knows of lines: when they end, and how commands go on.
struct Lines {
    files: FilenameCompleter,
}

impl Validator for Lines {
    fn validate(&self, context: &mut ValidationContext) -> rustyline::Result<ValidationResult> {
        Ok(match multiline::is_complete(context.input()) {
            true => ValidationResult::Valid(None),
            false => ValidationResult::Incomplete,
        })
    }
}

impl Completer for Lines {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        place: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let before = &line[..place];
        if ["/save ", "/load "]
            .iter()
            .any(|name| before.starts_with(name))
        {
            return self.files.complete_path(line, place);
        }
        let names = command::names().filter(|name| !before.is_empty() && name.starts_with(before));
        let pairs = names.map(|name| Pair {
            display: name.into(),
            replacement: name.into(),
        });
        Ok((0, pairs.collect()))
    }
}

impl Hinter for Lines {
    type Hint = String;
}

impl Highlighter for Lines {}

impl Helper for Lines {}
