//! Values of parameters that are text as it stands: they end at `</parameter>`.

use llguidance::regex_to_lark;
use serde_json::Value;

use super::tools::quoted;

/// What ends a value.
const END: &str = "\n</parameter>\n";

/// Any text, and its end.
pub(super) const ANY_TEXT: &str = r#"(/(?s:.*)/ & ~/(?s:.*<\/parameter>.*)/) "\n</parameter>\n""#;

/// A word in Lark's notation: a text that the schema of a string accepts, and its end. `format` is
/// taken as a remark.
pub(super) fn text_word(schema: &Value) -> Result<String, String> {
    Ok(format!("({}) {}", texts(schema)?, quoted(END)))
}

fn texts(schema: &Value) -> Result<String, String> {
    let choices = schema.get("anyOf").or(schema.get("oneOf"));
    if let Some(choices) = choices.and_then(Value::as_array) {
        let choices: Result<Vec<String>, String> = choices.iter().map(texts).collect();
        return Ok(choices?.join(" | "));
    }
    let only = schema.get("const").map(std::slice::from_ref);
    let values = schema.get("enum").and_then(Value::as_array);
    if let Some(values) = only.or(values.map(Vec::as_slice)) {
        let values: Result<Vec<String>, String> = values.iter().map(literal).collect();
        return Ok(values?.join(" | "));
    }
    if schema.get("type").is_some_and(|ty| ty == "null") {
        return Ok("\"null\"".into());
    }
    let length = |key: &str| schema.get(key).and_then(Value::as_u64);
    let (least, most) = (length("minLength").unwrap_or(0), length("maxLength"));
    let most = most.map_or(String::new(), |most| most.to_string());
    let mut word = match (least, most.is_empty()) {
        (0, true) => "/(?s:.*)/".into(),
        _ => format!("/(?s:.{{{least},{most}}})/"),
    };
    if let Some(pattern) = schema.get("pattern").and_then(Value::as_str) {
        word.push_str(&format!(" & /{}/", whole(pattern)));
    }
    Ok(format!(r"({word} & ~/(?s:.*<\/parameter>.*)/)"))
}

/// A regular expression for whole texts in which a pattern is found.
fn whole(pattern: &str) -> String {
    let (from_start, pattern) = match pattern.strip_prefix('^') {
        Some(rest) => (true, rest),
        None => (false, pattern),
    };
    let (to_end, pattern) = match pattern.strip_suffix('$') {
        Some(rest) if !rest.ends_with('\\') => (true, rest),
        _ => (false, pattern),
    };
    let any = |anchored: bool| if anchored { "" } else { "(?s:.*)" };
    let pattern = regex_to_lark(pattern, "dw");
    format!("{}(?:{pattern}){}", any(from_start), any(to_end))
}

fn literal(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) if text.contains("</parameter>") => {
            Err(format!("{text:?} cannot be written in a call"))
        }
        Value::String(text) => Ok(quoted(text)),
        other => Ok(quoted(&other.to_string())),
    }
}
