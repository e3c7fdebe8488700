//! How large a grammar may be, and how much work it may be.

use llguidance::api::ParserLimits;
use serde_json::Value;

use super::error::GuideError;

/// Most bytes of a regular expression: alternatives that are alive at the same time all cost time at
/// each token.
const MOST_REGEX: usize = 4 << 10;
/// Most bytes of a grammar.
pub(super) const MOST_TEXT: usize = 32 << 10;
/// Most values of a schema, keys not counted.
const MOST_VALUES: usize = 20_000;
/// Most bytes of a schema's texts.
const MOST_SCHEMA: usize = 1 << 20;
/// Most alternatives in one place: pairs of them are compared.
const MOST_ALTERNATIVES: usize = 500;
/// Most patterns of properties: each pair is proven to be disjoint.
const MOST_PATTERNS: usize = 24;
/// Stack of the thread that compiles. Parsers of grammars recurse, and a grammar of [`MOST_TEXT`]
/// bytes may be nothing but brackets.
pub(super) const STACK: usize = 256 << 20;

/// The parser's own limits: about 20 ms a token and 100 MB. A step that goes beyond them fails; with a
/// grammar of the largest size that takes up to a second.
pub(super) fn parser() -> ParserLimits {
    ParserLimits {
        max_lexer_states: 50_000,
        verbose_errors: false,
        ..ParserLimits::default()
    }
}

pub(super) fn check_text(what: &'static str, text: &str) -> Result<(), GuideError> {
    at_most(what, text.len(), "bytes", MOST_TEXT)
}

pub(super) fn check_regex(regex: &str) -> Result<(), GuideError> {
    at_most("the regular expression", regex.len(), "bytes", MOST_REGEX)
}

fn at_most(
    what: &'static str,
    found: usize,
    unit: &'static str,
    most: usize,
) -> Result<(), GuideError> {
    match found > most {
        true => Err(GuideError::TooLarge {
            what,
            found,
            unit,
            most,
        }),
        false => Ok(()),
    }
}

/// Checks a schema, whose depth is bounded by how it was read.
pub(super) fn check_schema(schema: &Value) -> Result<(), GuideError> {
    let (mut values, mut bytes, mut patterns) = (0, 0, 0);
    let mut waiting = vec![schema];
    while let Some(value) = waiting.pop() {
        values += 1;
        match value {
            Value::String(text) => bytes += text.len(),
            Value::Array(elements) => waiting.extend(elements),
            Value::Object(fields) => {
                for (key, value) in fields {
                    bytes += key.len();
                    let alternatives = value.as_array().map_or(0, Vec::len);
                    if ["anyOf", "oneOf", "allOf"].contains(&key.as_str()) {
                        let what = "a list of alternatives in the schema";
                        at_most(what, alternatives, "schemas", MOST_ALTERNATIVES)?;
                    }
                    if let ("pattern", Some(pattern)) = (key.as_str(), value.as_str()) {
                        check_regex(pattern)?;
                    }
                    if key == "patternProperties" {
                        patterns += value.as_object().map_or(0, |all| all.len());
                    }
                    waiting.push(value);
                }
            }
            _ => {}
        }
    }
    at_most("the schema", values, "values", MOST_VALUES)?;
    at_most("the schema", bytes, "bytes", MOST_SCHEMA)?;
    let what = "`patternProperties` of the schema";
    at_most(what, patterns, "patterns", MOST_PATTERNS)
}
