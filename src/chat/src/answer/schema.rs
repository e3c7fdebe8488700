//! Which parameters of which tools are text.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Json;

/// What a parameter takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// Strings: a value is text as it stands.
    Text,
    /// Strings, or `null`.
    TextOrNull,
    /// Anything else, or nobody knows.
    Json,
}

/// The kinds of parameters, by tool and name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Parameters(BTreeMap<String, BTreeMap<String, Kind>>);

impl Parameters {
    /// Of tools as OpenAI's API has them, with or without `{"function": …}` around.
    pub(super) fn of(tools: &[Json]) -> Parameters {
        Parameters(tools.iter().filter_map(tool).collect())
    }

    pub(super) fn kind(&self, tool: &str, parameter: &str) -> Kind {
        let kind = self.0.get(tool).and_then(|kinds| kinds.get(parameter));
        kind.copied().unwrap_or(Kind::Json)
    }
}

fn tool(tool: &Json) -> Option<(String, BTreeMap<String, Kind>)> {
    let tool = tool.get("function").unwrap_or(tool);
    let name = tool.get("name")?.as_str()?;
    let schema = tool
        .get("parameters")
        .and_then(|schema| schema.get("properties"));
    let properties = match schema {
        Some(Json::Object(properties)) => &properties[..],
        _ => &[],
    };
    let kinds = properties
        .iter()
        .map(|(name, schema)| (name.clone(), kind(schema)));
    Some((name.to_owned(), kinds.collect()))
}

/// What a schema accepts, as far as its types and values say it.
fn kind(schema: &Json) -> Kind {
    let kinds: Vec<Option<&str>> = match schema.get("type") {
        Some(Json::Array(types)) => types.iter().map(Json::as_str).collect(),
        Some(ty) => vec![ty.as_str()],
        None => without_type(schema),
    };
    let text = kinds.contains(&Some("string"));
    let null = kinds.contains(&Some("null"));
    match kinds.len() {
        1 if text => Kind::Text,
        2 if text && null => Kind::TextOrNull,
        _ => Kind::Json,
    }
}

fn without_type(schema: &Json) -> Vec<Option<&str>> {
    if let Some(choices) = schema
        .get("anyOf")
        .or(schema.get("oneOf"))
        .and_then(Json::as_array)
    {
        let types = choices.iter().map(|choice| choice.get("type")?.as_str());
        return types.collect();
    }
    let values = match (schema.get("enum"), schema.get("const")) {
        (Some(Json::Array(values)), _) => &values[..],
        (_, Some(value)) => std::slice::from_ref(value),
        _ => &[],
    };
    match !values.is_empty() && values.iter().all(|value| value.as_str().is_some()) {
        true => vec![Some("string")],
        false => vec![None],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_say_what_is_text() {
        let cases = [
            (r#"{"type": "string"}"#, Kind::Text),
            (r#"{"type": ["string", "null"]}"#, Kind::TextOrNull),
            (
                r#"{"anyOf": [{"type": "string"}, {"type": "null"}]}"#,
                Kind::TextOrNull,
            ),
            (r#"{"enum": ["a", "b"]}"#, Kind::Text),
            (r#"{"const": "a"}"#, Kind::Text),
            (r#"{"enum": ["a", 1]}"#, Kind::Json),
            (r#"{"type": ["string", "integer"]}"#, Kind::Json),
            (r#"{"type": "object"}"#, Kind::Json),
            (r#"{}"#, Kind::Json),
            (r#"7"#, Kind::Json),
        ];
        for (schema, expected) in cases {
            assert_eq!(kind(&schema.parse().unwrap()), expected, "{schema}");
        }
    }
}
