//! The conversation: messages are answered, commands carried out.

use std::io::Write;
use std::sync::Arc;

use sharpi_compile::generate::StopReason;
use sharpi_compile::tokenizer::Tokenizer;
use sharpi_ir::plain::PlainPath;

use super::answerer::Answerer;
use super::command::{self, Command, Line};
use super::input::{Entry, Input};
use super::params::Params;
use super::transcript::{Transcript, Turn};
use super::{prompt_view, saved};
use crate::cli::conversation_args::Manner;
use crate::cli::failure::Failure;
use crate::cli::interrupt::Breaks;
use crate::cli::notice;
use crate::cli::screen::Stdout;

/// A conversation under way.
pub(super) struct Talk {
    pub(super) tokenizer: Arc<Tokenizer>,
    pub(super) manner: Manner,
    pub(super) transcript: Transcript,
    pub(super) params: Params,
    /// Without it prompts are shown in place of answers.
    pub(super) answerer: Option<Answerer>,
    pub(super) breaks: Breaks,
}

/// Whether to go on.
#[derive(PartialEq)]
enum Flow {
    On,
    Leave,
    /// Ctrl-C has ended an answer.
    Stopped,
}

impl Talk {
    /// Talks until the input ends. Somebody who sits there hears of what fails, and goes on; a script
    /// ends there.
    pub(super) fn hold(&mut self, input: &mut Input, out: &mut Stdout) -> Result<(), Failure> {
        loop {
            let flow = match input.next()? {
                Entry::End => return Ok(()),
                Entry::Interrupted => {
                    notice::tell("Ctrl-D or /exit leaves");
                    continue;
                }
                Entry::Message(text) => self.say(&text, out),
                Entry::Line(text) => self.line(&text, out),
            };
            match flow {
                Ok(Flow::On) => {}
                Ok(Flow::Leave) => return Ok(()),
                Ok(Flow::Stopped) if input.is_attended() => {}
                Ok(Flow::Stopped) => return Err(Failure::Interrupted),
                Err(Failure::BrokenPipe) => return Err(Failure::BrokenPipe),
                Err(failure) if input.is_attended() => {
                    failure.report();
                }
                Err(failure) => return Err(input.placed(failure)),
            }
        }
    }

    fn line(&mut self, text: &str, out: &mut Stdout) -> Result<Flow, Failure> {
        match Line::read(text)? {
            Line::Nothing => Ok(Flow::On),
            Line::Message(text) => self.say(text, out),
            Line::Command(command) => {
                let flow = self.command(command, out)?;
                out.flush()?;
                Ok(flow)
            }
        }
    }

    fn command(&mut self, command: Command, out: &mut Stdout) -> Result<Flow, Failure> {
        match command {
            Command::Help => writeln!(out, "{}", command::help())?,
            Command::Clear => {
                self.transcript.turns.clear();
                notice::tell("cleared");
            }
            Command::Regen => return self.regen(out),
            Command::System(None) => match &self.transcript.system {
                Some(text) => writeln!(out, "{text}")?,
                None => notice::tell("the model is told nothing before the conversation"),
            },
            Command::System(Some(text)) => {
                self.transcript.system = (text != "\"\"").then(|| text.into());
            }
            Command::Params(Some((name, Some(value)))) => self.params.set(name, value)?,
            Command::Params(named) => {
                let shown = self.params.shown(named.map(|(name, _)| name))?;
                writeln!(out, "{shown}")?;
            }
            Command::Save(file) => {
                let path = saved::write(file, &self.transcript, &self.params)?;
                let turns = self.transcript.turns.len();
                notice::tell(format_args!("{} has {}", PlainPath(&path), answers(turns)));
            }
            Command::Load(file) => {
                (self.transcript, self.params) = saved::read(file)?;
                let turns = self.transcript.turns.len();
                notice::tell(format_args!("a conversation with {}", answers(turns)));
            }
            Command::Stats => self.stats(out)?,
            Command::Exit => return Ok(Flow::Leave),
        }
        Ok(Flow::On)
    }

    /// Answers a message. One whose answer has not begun is taken back.
    fn say(&mut self, text: &str, out: &mut Stdout) -> Result<Flow, Failure> {
        let messages = self.transcript.before(text);
        let prompt = self
            .manner
            .prompt(&self.tokenizer, messages, self.params.think())?;
        let Some(answerer) = &mut self.answerer else {
            writeln!(
                out,
                "{}",
                prompt_view::shown(&self.tokenizer, &prompt.0.ids)
            )?;
            out.flush()?;
            return Ok(Flow::On);
        };
        let answered = answerer.answer(prompt, &self.params, &self.breaks, out)?;
        let stopped = answered.reason == StopReason::Cancelled;
        if stopped && !answered.begun {
            notice::aside("stopped before the answer began: the message is taken back");
            return Ok(Flow::Stopped);
        }
        match answered.figures {
            Some(figures) => notice::aside(format_args!("{figures}{}", why(answered.reason))),
            None => notice::aside("stopped by Ctrl-C"),
        }
        self.transcript.turns.push(Turn {
            user: text.into(),
            answer: answered.said,
        });
        Ok(if stopped { Flow::Stopped } else { Flow::On })
    }

    /// Answers the last message again; what it had stays if that fails.
    fn regen(&mut self, out: &mut Stdout) -> Result<Flow, Failure> {
        let Some(last) = self.transcript.turns.pop() else {
            return Err(Failure::usage(
                "there is no answer to give again",
                "say something first",
            ));
        };
        let before = self.transcript.turns.len();
        let flow = self.say(&last.user, out);
        if self.transcript.turns.len() == before {
            self.transcript.turns.push(last);
        }
        flow
    }

    fn stats(&self, out: &mut Stdout) -> Result<(), Failure> {
        let Some(answerer) = &self.answerer else {
            return Err(Failure::usage(
                "nothing is answered with --show-prompt",
                "leave --show-prompt away",
            ));
        };
        writeln!(out, "{}", answerer.total.table())?;
        let (used, context) = (answerer.last_tokens, answerer.context());
        writeln!(
            out,
            "context     {used} of {context} tokens after the last answer"
        )?;
        if let Some(seed) = answerer.last_seed {
            writeln!(out, "seed        {seed} of the last answer")?;
        }
        Ok(())
    }
}

fn answers(turns: usize) -> String {
    match turns {
        1 => "1 message and its answer".into(),
        n => format!("{n} messages and their answers"),
    }
}

/// Why an answer ended, where that is not its own doing.
fn why(reason: StopReason) -> &'static str {
    match reason {
        StopReason::Length => "; cut off by -n (/params n_predict)",
        StopReason::Context => "; cut off, the context is full: /clear, or a larger -c",
        StopReason::Cancelled => "; stopped by Ctrl-C",
        _ => "",
    }
}
