//! An answer on its way to the screen: what the model thinks stands apart from what it says.

use std::io::Write;

use sharpi_chat::{AnswerFormat, AnswerParser, Piece};

use super::failure::Failure;
use super::screen::Stdout;

/// What a model said, and what it thought before.
#[derive(Clone, Default, Debug, PartialEq)]
pub(super) struct Said {
    pub(super) content: String,
    pub(super) reasoning: String,
}

/// Prints an answer as it comes. Thoughts are dimmed, or stand between `<think>` and `</think>`
/// where nothing can be dimmed.
pub(super) struct AnswerPrinter<'a> {
    out: &'a mut Stdout,
    parser: AnswerParser,
    said: Said,
    thinking: bool,
}

impl<'a> AnswerPrinter<'a> {
    pub(super) fn new(out: &'a mut Stdout, format: AnswerFormat) -> AnswerPrinter<'a> {
        AnswerPrinter {
            out,
            parser: AnswerParser::new(format),
            said: Said::default(),
            thinking: false,
        }
    }

    /// More of the answer's text.
    pub(super) fn push(&mut self, text: &str) -> Result<(), Failure> {
        let pieces = self.parser.push(text);
        self.print(pieces)
    }

    /// The answer has ended, within a thought perhaps. The line is left open.
    pub(super) fn finish(mut self) -> Result<Said, Failure> {
        let pieces = self.parser.finish();
        self.print(pieces)?;
        if self.thinking {
            self.end_thought("\n</think>")?;
        }
        self.out.flush()?;
        Ok(self.said)
    }

    fn print(&mut self, pieces: Vec<Piece>) -> Result<(), Failure> {
        for piece in pieces {
            match piece {
                Piece::Reasoning(text) => self.think(&text)?,
                Piece::Content(text) => self.say(&text)?,
                // No tools are offered, so whatever looks like a call is content.
                _ => {}
            }
        }
        Ok(self.out.flush()?)
    }

    fn think(&mut self, text: &str) -> Result<(), Failure> {
        if !self.thinking {
            self.thinking = true;
            match self.out.dims() {
                true => self.out.dim(true)?,
                false => self.out.write_all(b"<think>\n")?,
            }
        }
        self.said.reasoning.push_str(text);
        Ok(self.out.write_all(text.as_bytes())?)
    }

    fn say(&mut self, text: &str) -> Result<(), Failure> {
        if self.thinking {
            self.end_thought("\n</think>\n\n")?;
            if self.out.dims() {
                self.out.write_all(b"\n\n")?;
            }
        }
        self.said.content.push_str(text);
        Ok(self.out.write_all(text.as_bytes())?)
    }

    fn end_thought(&mut self, mark: &str) -> Result<(), Failure> {
        self.thinking = false;
        match self.out.dims() {
            true => Ok(self.out.dim(false)?),
            false => Ok(self.out.write_all(mark.as_bytes())?),
        }
    }
}
