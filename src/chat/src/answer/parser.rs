//! Takes an answer apart.

use super::function_call::{self, FunctionCall, Step};
use super::json_call::{JsonCall, OPEN};
use super::marks::{Start, find, starts};
use super::{AnswerFormat, Piece, ToolForm};

const THINK: &str = "<think>";
const END_THINK: &str = "</think>";

/// Takes one answer apart, as its text comes.
#[derive(Debug)]
pub struct AnswerParser {
    format: AnswerFormat,
    state: State,
    /// What has come and is not passed on.
    held: String,
    ended: bool,
    /// The calls so far.
    calls: usize,
    pieces: Vec<Piece>,
}

/// Who the text belongs to that is neither mark nor call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Voice {
    Reasoning,
    Content,
}

#[derive(Debug)]
enum State {
    /// Nothing has come but white space; is there `<think>`?
    Start,
    Speech(Voice),
    /// `held` begins with line breaks and [`OPEN`], and may be a call.
    MayBeCall(Voice, JsonCall),
    InCall(FunctionCall),
    /// Behind a call: white space here is between calls, if another one comes.
    BehindCall,
}

impl AnswerParser {
    /// A parser for an answer of this form.
    pub fn new(format: AnswerFormat) -> AnswerParser {
        let state = match format.reasoning {
            true => State::Start,
            false => State::Speech(Voice::Content),
        };
        AnswerParser {
            format,
            state,
            held: String::new(),
            ended: false,
            calls: 0,
            pieces: Vec::new(),
        }
    }

    /// Takes more of the answer; what is certain by now.
    pub fn push(&mut self, text: &str) -> Vec<Piece> {
        self.held.push_str(text);
        self.run()
    }

    /// The answer has ended; all that was held back. After it the parser has nothing
    /// more to say.
    pub fn finish(&mut self) -> Vec<Piece> {
        self.ended = true;
        let mut pieces = self.run();
        if let State::InCall(call) = &mut self.state {
            let rest = call.rest();
            self.arguments(rest);
            pieces.append(&mut self.pieces);
        }
        pieces
    }

    fn run(&mut self) -> Vec<Piece> {
        while self.step() {}
        std::mem::take(&mut self.pieces)
    }

    /// Uses some of `held` or changes the state; false if that takes more text.
    fn step(&mut self) -> bool {
        if self.held.is_empty() {
            return false;
        }
        match &mut self.state {
            State::Start => self.start(),
            State::Speech(voice) => {
                let voice = *voice;
                self.speech(voice)
            }
            State::MayBeCall(voice, _) => {
                let voice = *voice;
                self.may_be_call(voice)
            }
            State::InCall(_) => self.in_call(),
            State::BehindCall => self.behind_call(),
        }
    }

    fn start(&mut self) -> bool {
        let text = self.held.trim_start();
        let rest = match starts(text, THINK) {
            Start::Is(rest) => Some(rest),
            Start::MayBe if !self.ended => return false,
            _ => None,
        };
        let voice = match rest {
            None if !self.format.starts_in_reasoning => Voice::Content,
            _ => Voice::Reasoning,
        };
        if let Some(rest) = rest {
            let Some(rest) = without_breaks(rest, 1, self.ended) else {
                return false;
            };
            self.held.drain(..self.held.len() - rest.len());
        }
        self.state = State::Speech(voice);
        true
    }

    /// Passes text on up to the next mark.
    fn speech(&mut self, voice: Voice) -> bool {
        let marks: &[&str] = match (voice, self.format.tools) {
            (Voice::Reasoning, ToolForm::None) => &[END_THINK],
            (Voice::Reasoning, _) => &[END_THINK, OPEN],
            (Voice::Content, ToolForm::None) => &[],
            (Voice::Content, _) => &[OPEN],
        };
        let found = find(&self.held, marks);
        let certain = found.map_or(self.held.len(), |(at, _)| at);
        // Line breaks before a mark belong to it.
        let spoken = match marks.is_empty() {
            true => certain,
            false => self.held[..certain].trim_end_matches('\n').len(),
        };
        match found {
            Some((at, Some(which))) if marks[which] == END_THINK => {
                let behind = &self.held[at + END_THINK.len()..];
                let Some(rest) = without_breaks(behind, 2, self.ended) else {
                    return self.say_some(voice, spoken);
                };
                let end = self.held.len() - rest.len();
                let spoken = self.held[..at].strip_suffix('\n').map_or(at, str::len);
                self.say(voice, spoken);
                self.held.drain(..end - spoken);
                self.state = State::Speech(Voice::Content);
                true
            }
            Some((_, Some(_))) => {
                self.say(voice, spoken);
                self.state = State::MayBeCall(voice, JsonCall::default());
                true
            }
            _ if self.ended => self.say_some(voice, self.held.len()),
            _ => self.say_some(voice, spoken),
        }
    }

    fn may_be_call(&mut self, voice: Voice) -> bool {
        let breaks = self.held.len() - self.held.trim_start_matches('\n').len();
        let open = breaks + OPEN.len();
        let text = &self.held[open..];
        let State::MayBeCall(_, json) = &mut self.state else {
            return false;
        };
        let is_not = match self.format.tools {
            ToolForm::Qwen35 => match function_call::head(text).at_end(self.ended) {
                Start::Is((name, rest)) => {
                    let used = self.held.len() - rest.len();
                    self.begin(name.clone(), used);
                    self.state = State::InCall(FunctionCall::new(name));
                    return true;
                }
                start => start == Start::IsNot,
            },
            _ => match json.read(text, self.ended) {
                Start::Is((name, arguments, used)) => {
                    self.begin(name, open + used);
                    self.arguments(arguments);
                    self.end();
                    self.state = State::BehindCall;
                    return true;
                }
                start => start == Start::IsNot,
            },
        };
        if is_not {
            self.say(voice, open);
            self.state = State::Speech(voice);
        }
        is_not
    }

    fn in_call(&mut self) -> bool {
        let State::InCall(call) = &mut self.state else {
            return false;
        };
        match call.step(&self.format.parameters, &self.held, self.ended) {
            Step::Wait => return false,
            Step::Arguments(arguments, used) => {
                self.held.drain(..used);
                self.arguments(arguments);
            }
            Step::Complete(arguments, used) => {
                self.held.drain(..used);
                self.arguments(arguments);
                self.end();
            }
            Step::Over(used) => {
                self.held.drain(..used);
                self.state = State::BehindCall;
            }
        }
        true
    }

    fn behind_call(&mut self) -> bool {
        let text = self.held.trim_start();
        if text.is_empty() && self.ended {
            self.held.clear();
            return false;
        }
        match starts(text, OPEN).at_end(self.ended) {
            Start::MayBe => return false,
            Start::Is(_) => {
                self.held.drain(..self.held.len() - text.len());
            }
            Start::IsNot => {}
        }
        self.state = State::Speech(Voice::Content);
        true
    }

    /// Passes on the first `len` bytes of what is held.
    fn say(&mut self, voice: Voice, len: usize) {
        let text: String = self.held.drain(..len).collect();
        match (self.pieces.last_mut(), voice) {
            _ if text.is_empty() => {}
            (Some(Piece::Reasoning(more)), Voice::Reasoning)
            | (Some(Piece::Content(more)), Voice::Content) => more.push_str(&text),
            (_, Voice::Reasoning) => self.pieces.push(Piece::Reasoning(text)),
            (_, Voice::Content) => self.pieces.push(Piece::Content(text)),
        }
    }

    /// As [`say`](Self::say); whether that was anything.
    fn say_some(&mut self, voice: Voice, len: usize) -> bool {
        self.say(voice, len);
        len > 0
    }

    /// A call begins, whose name ends `used` bytes from here.
    fn begin(&mut self, name: String, used: usize) {
        self.held.drain(..used);
        let index = self.calls;
        self.calls += 1;
        self.pieces.push(Piece::ToolCallBegin { index, name });
    }

    fn arguments(&mut self, delta: String) {
        let index = self.calls - 1;
        match self.pieces.last_mut() {
            _ if delta.is_empty() => {}
            Some(Piece::ToolCallArguments { delta: more, .. }) => more.push_str(&delta),
            _ => self.pieces.push(Piece::ToolCallArguments { index, delta }),
        }
    }

    fn end(&mut self) {
        let index = self.calls - 1;
        self.pieces.push(Piece::ToolCallEnd { index });
    }
}

/// The text behind up to `most` line breaks; `None` if there may come more of them.
fn without_breaks(text: &str, most: usize, ended: bool) -> Option<&str> {
    let mut text = text;
    for _ in 0..most {
        match starts(text, "\n").at_end(ended) {
            Start::Is(rest) => text = rest,
            Start::IsNot => break,
            Start::MayBe => return None,
        }
    }
    Some(text)
}
