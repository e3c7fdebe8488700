//! Where messages and commands come from.

use std::io::{self, BufRead, IsTerminal, StdinLock};

use super::editor::Editor;
use super::multiline;
use crate::cli::failure::Failure;

/// What comes next.
pub(super) enum Entry {
    /// A message, or a command.
    Line(String),
    /// A message, whatever it looks like.
    Message(String),
    /// Ctrl-C where nothing was under way.
    Interrupted,
    End,
}

/// A source of messages.
pub(super) enum Input {
    /// One message, until it is taken.
    One(Option<String>),
    /// Somebody at a terminal.
    Editor(Box<Editor>),
    /// The standard input, line by line.
    Lines(Lines),
}

/// Lines of the standard input.
pub(super) struct Lines {
    stdin: StdinLock<'static>,
    /// Of the last line that was read, from 1.
    number: usize,
    /// Of the first line of the text that was given last.
    first: usize,
}

impl Input {
    /// `message` alone, if there is one.
    pub(super) fn new(message: Option<String>, history: bool) -> Result<Input, Failure> {
        if message.is_some() {
            return Ok(Input::One(message));
        }
        if io::stdin().is_terminal() && io::stdout().is_terminal() {
            return Ok(Input::Editor(Box::new(Editor::new(history)?)));
        }
        Ok(Input::Lines(Lines {
            stdin: io::stdin().lock(),
            number: 0,
            first: 0,
        }))
    }

    /// Whether somebody sits there who can be asked again.
    pub(super) fn is_attended(&self) -> bool {
        matches!(self, Input::Editor(_))
    }

    pub(super) fn next(&mut self) -> Result<Entry, Failure> {
        match self {
            Input::One(message) => Ok(message.take().map_or(Entry::End, Entry::Message)),
            Input::Editor(editor) => editor.next(),
            Input::Lines(lines) => lines.next(),
        }
    }

    /// A failure with the line that it is about.
    pub(super) fn placed(&self, failure: Failure) -> Failure {
        match self {
            Input::Lines(lines) => failure.at(format_args!("line {}", lines.first)),
            _ => failure,
        }
    }
}

impl Lines {
    fn next(&mut self) -> Result<Entry, Failure> {
        let mut typed = String::new();
        self.first = self.number + 1;
        while self.read(&mut typed)? {
            if multiline::is_complete(&typed) {
                return Ok(Entry::Line(multiline::meant(&typed)));
            }
            typed.push('\n');
        }
        if multiline::is_open_block(&typed) {
            return Err(Failure::plain(
                format!("line {}: the block has no end", self.first),
                "end it with \"\"\"",
            ));
        }
        Ok(match typed.is_empty() {
            true => Entry::End,
            false => Entry::Line(multiline::meant(typed.trim_end_matches('\n'))),
        })
    }

    /// Adds the next line without its end; `false` behind the last one.
    fn read(&mut self, to: &mut String) -> Result<bool, Failure> {
        let mut bytes = Vec::new();
        let read = self.stdin.read_until(b'\n', &mut bytes);
        let number = self.number + 1;
        let fault = |what: String| {
            Failure::plain(
                format!("the standard input, line {number}: {what}"),
                "it takes messages as lines of text in UTF-8",
            )
        };
        if read.map_err(|error| fault(error.to_string()))? == 0 {
            return Ok(false);
        }
        self.number = number;
        let line = String::from_utf8(bytes);
        let line = line.map_err(|_| fault("the text is not in UTF-8".into()))?;
        let line = line.strip_suffix('\n').unwrap_or(&line);
        to.push_str(line.strip_suffix('\r').unwrap_or(line));
        Ok(true)
    }
}
