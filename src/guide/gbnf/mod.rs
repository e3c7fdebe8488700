//! llama.cpp's notation of grammars, turned into Lark's.

mod lark;
mod parse;
#[cfg(test)]
mod tests;

use super::error::GuideError;

/// A grammar in Lark's notation that accepts the same texts.
pub(super) fn to_lark(text: &str) -> Result<String, GuideError> {
    let rules = parse::rules(text).map_err(GuideError::Invalid)?;
    lark::write(&rules).map_err(GuideError::Invalid)
}

/// A rule.
#[derive(Debug)]
struct Rule {
    name: String,
    /// Where it is defined.
    line: usize,
    choices: Vec<Vec<Item>>,
}

/// What stands in a rule, and how often.
#[derive(Debug)]
struct Item {
    kind: Kind,
    least: u32,
    most: Option<u32>,
}

#[derive(Debug)]
enum Kind {
    Literal(String),
    /// A character of these ranges, or of no such.
    Class(bool, Vec<(char, char)>),
    Any,
    Rule(String),
    Group(Vec<Vec<Item>>),
    /// A token, as Lark writes it too.
    Token(String),
}
