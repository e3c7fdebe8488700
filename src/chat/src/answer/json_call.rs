//! Calls as JSON: `<tool_call>\n{"name": …, "arguments": {…}}\n</tool_call>`.

use super::marks::{Start, starts};
use crate::Json;

/// The mark that a call begins with, and its counterpart.
pub(super) const OPEN: &str = "<tool_call>";
pub(super) const CLOSE: &str = "</tool_call>";

/// Reads a call from behind [`OPEN`], a bit at a time. A call is nothing before it is
/// whole, so its text is kept.
#[derive(Debug, Default)]
pub(super) struct JsonCall {
    /// How much of the text has been looked at.
    read: usize,
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// Where the object ends.
    end: Option<usize>,
}

/// A call that was read: its name, its arguments, and how much text it took.
pub(super) type Call = (String, String, usize);

impl JsonCall {
    /// Whether `text` is a call. `text` has to be what it was before, and more. At the
    /// end of an answer a call may go without [`CLOSE`].
    pub(super) fn read(&mut self, text: &str, ended: bool) -> Start<Call> {
        if self.end.is_none() {
            match self.find_end(text) {
                Start::Is(end) => self.end = Some(end),
                Start::IsNot => return Start::IsNot,
                Start::MayBe => return Start::MayBe.at_end(ended),
            }
        }
        let end = self.end.unwrap_or(text.len());
        let behind = text[end..].trim_start();
        let taken = match starts(behind, CLOSE) {
            Start::Is(rest) => text.len() - rest.len(),
            Start::MayBe if behind.is_empty() && ended => text.len(),
            Start::MayBe => return Start::MayBe.at_end(ended),
            Start::IsNot => return Start::IsNot,
        };
        match call(&text[..end]) {
            Some((name, arguments)) => Start::Is((name, arguments, taken)),
            None => Start::IsNot,
        }
    }

    /// Where the object ends that `text` begins with, white space aside.
    fn find_end(&mut self, text: &str) -> Start<usize> {
        for (at, byte) in text.bytes().enumerate().skip(self.read) {
            self.read = at + 1;
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.in_string => self.escaped = true,
                b'"' if self.depth > 0 => self.in_string = !self.in_string,
                _ if self.in_string => {}
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' if self.depth == 1 => return Start::Is(at + 1),
                b'}' | b']' if self.depth > 1 => self.depth -= 1,
                _ if self.depth > 0 || byte.is_ascii_whitespace() => {}
                _ => return Start::IsNot,
            }
        }
        Start::MayBe
    }
}

/// Name and arguments. Arguments may be missing, or an object within a string.
fn call(text: &str) -> Option<(String, String)> {
    let call: Json = text.parse().ok()?;
    let name = call.get("name")?.as_str()?.to_owned();
    let arguments = match call.get("arguments") {
        None | Some(Json::Null) => Json::Object(Vec::new()),
        Some(Json::String(text)) => text.parse().ok()?,
        Some(arguments) => arguments.clone(),
    };
    match arguments {
        Json::Object(_) => Some((name, arguments.to_string())),
        _ => None,
    }
}
