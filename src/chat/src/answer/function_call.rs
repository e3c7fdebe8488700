//! Calls parameter by parameter, which are passed on while they are written:
//! `<function=NAME>\n<parameter=P>\nVALUE\n</parameter>\n</function>\n</tool_call>`.

use super::json_call::CLOSE;
use super::marks::{Start, find, starts};
use super::schema::{Kind, Parameters};
use crate::Json;

const FUNCTION: &str = "<function=";
const END_FUNCTION: &str = "</function>";
const PARAMETER: &str = "<parameter=";
const END_PARAMETER: &str = "</parameter>";

/// The longest name. Text without an end is none.
const MAX_NAME: usize = 256;

/// The name of a function at the beginning of `text`, and the text behind.
pub(super) fn head(text: &str) -> Start<(String, &str)> {
    tag(text.trim_start(), FUNCTION)
}

/// A call whose name is known.
#[derive(Debug)]
pub(super) struct FunctionCall {
    name: String,
    stage: Stage,
    /// The parameters before this one.
    parameters: usize,
}

#[derive(Debug)]
enum Stage {
    /// Before a parameter, or the end.
    Between,
    /// Within a value, which is passed on as it comes.
    Text,
    /// Within a value that is looked at as a whole.
    Value(Kind, String),
    /// Behind `</function>`.
    Done,
}

/// What became of some text of a call.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// More of the arguments, maybe nothing, and how much text was used.
    Arguments(String, usize),
    /// As before, and the call is complete.
    Complete(String, usize),
    /// Nothing of a call comes behind the text used.
    Over(usize),
    /// More text is needed.
    Wait,
}

impl FunctionCall {
    pub(super) fn new(name: String) -> FunctionCall {
        FunctionCall {
            name,
            stage: Stage::Between,
            parameters: 0,
        }
    }

    /// Takes the next step on `text`, which begins where the last one ended.
    pub(super) fn step(&mut self, parameters: &Parameters, text: &str, ended: bool) -> Step {
        match &self.stage {
            Stage::Between => self.between(parameters, text, ended),
            Stage::Text | Stage::Value(..) => self.value(text, ended),
            Stage::Done => match starts(text.trim_start(), CLOSE).at_end(ended) {
                Start::Is(rest) => Step::Over(text.len() - rest.len()),
                Start::IsNot => Step::Over(0),
                Start::MayBe => Step::Wait,
            },
        }
    }

    /// What is left of the arguments when the answer ends: a value without an end, as
    /// it came.
    pub(super) fn rest(&mut self) -> String {
        match &mut self.stage {
            Stage::Value(Kind::Json, whole) => std::mem::take(whole),
            Stage::Value(_, whole) if !whole.is_empty() => {
                format!("\"{}", escaped(&std::mem::take(whole)))
            }
            _ => String::new(),
        }
    }

    fn between(&mut self, parameters: &Parameters, text: &str, ended: bool) -> Step {
        let here = text.trim_start();
        if let Start::Is(rest) = starts(here, END_FUNCTION) {
            self.stage = Stage::Done;
            let end = if self.parameters == 0 { "{}" } else { "}" };
            return Step::Complete(end.into(), text.len() - rest.len());
        }
        let (name, rest) = match tag(here, PARAMETER) {
            Start::Is(found) => found,
            _ if starts(here, END_FUNCTION) == Start::MayBe && !ended => return Step::Wait,
            Start::MayBe if !ended => return Step::Wait,
            _ => return Step::Over(0),
        };
        // Whether a line break belongs to the mark is to be seen.
        let rest = match starts(rest, "\n").at_end(ended) {
            Start::Is(rest) => rest,
            Start::IsNot => rest,
            Start::MayBe => return Step::Wait,
        };
        let kind = parameters.kind(&self.name, &name);
        let mut arguments = String::from(if self.parameters == 0 { "{" } else { ", " });
        arguments.push_str(&Json::String(name).to_string());
        arguments.push_str(": ");
        self.parameters += 1;
        self.stage = match kind {
            Kind::Text => {
                arguments.push('"');
                Stage::Text
            }
            kind => Stage::Value(kind, String::new()),
        };
        Step::Arguments(arguments, text.len() - rest.len())
    }

    fn value(&mut self, text: &str, ended: bool) -> Step {
        let (value, end) = value_end(text, ended);
        if value == 0 && end.is_none() {
            return Step::Wait;
        }
        let value = &text[..value];
        let mut arguments = String::new();
        match &mut self.stage {
            Stage::Value(kind, whole) => {
                whole.push_str(value);
                if end.is_some() {
                    arguments = as_json(*kind, whole);
                }
            }
            _ => {
                arguments = escaped(value);
                arguments.push_str(if end.is_some() { "\"" } else { "" });
            }
        }
        if end.is_some() {
            self.stage = Stage::Between;
        }
        Step::Arguments(arguments, end.unwrap_or(value.len()))
    }
}

/// A mark with a name in it, such as `<function=NAME>`.
fn tag<'t>(text: &'t str, mark: &str) -> Start<(String, &'t str)> {
    let rest = match starts(text, mark) {
        Start::Is(rest) => rest,
        Start::MayBe => return Start::MayBe,
        Start::IsNot => return Start::IsNot,
    };
    match rest.find(['>', '<', '\n']) {
        Some(end) if rest[end..].starts_with('>') && (1..=MAX_NAME).contains(&end) => {
            Start::Is((rest[..end].to_owned(), &rest[end + 1..]))
        }
        None if rest.len() <= MAX_NAME => Start::MayBe,
        _ => Start::IsNot,
    }
}

/// How much of `text` is certainly of the value, and where the text behind it begins if
/// the value ends here.
///
/// A value ends at `</parameter>` only where another parameter or the end of the function
/// follows, or the answer ends, for a value may have that mark in it.
fn value_end(text: &str, ended: bool) -> (usize, Option<usize>) {
    let mut from = 0;
    while let Some((at, which)) = find(&text[from..], &[END_PARAMETER]) {
        let at = from + at;
        let start = text[..at].strip_suffix('\n').map_or(at, str::len);
        if which.is_none() {
            return if ended {
                (text.len(), None)
            } else {
                (start, None)
            };
        }
        let end = at + END_PARAMETER.len();
        let behind = text[end..].trim_start();
        let follows = [PARAMETER, END_FUNCTION].map(|mark| starts(behind, mark));
        if follows.iter().any(|start| matches!(start, Start::Is(_))) {
            return (start, Some(end));
        }
        if follows.contains(&Start::MayBe) {
            return (start, ended.then_some(end));
        }
        from = end;
    }
    let held = usize::from(text.ends_with('\n') && !ended);
    (text.len() - held, None)
}

/// A whole value as JSON.
fn as_json(kind: Kind, text: &str) -> String {
    let is_json = match kind {
        Kind::Text => false,
        Kind::TextOrNull => text == "null",
        Kind::Json => text.parse::<Json>().is_ok(),
    };
    match is_json {
        true => text.trim().to_owned(),
        false => Json::from(text).to_string(),
    }
}

/// Text as it stands within the quotes of a JSON string.
fn escaped(text: &str) -> String {
    let quoted = Json::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}
