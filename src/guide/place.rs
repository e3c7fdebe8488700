//! Where a schema is wrong.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::grammar::Grammar;
use super::guide::matcher_of;
use super::vocabulary::GuideVocabulary;

/// Most parts of a schema that are tried, and how long; the place is told as far as it is known then.
const MOST_TRIED: usize = 64;
const MOST_TIME: Duration = Duration::from_millis(500);

/// A pointer to the smallest part of a wrong schema that is wrong by itself.
pub(super) fn of(vocabulary: &GuideVocabulary, grammar: &Grammar) -> Option<String> {
    let (root, lenient) = match grammar {
        Grammar::JsonSchema { schema, lenient } => (schema, *lenient),
        Grammar::BehindBreaks(inner) => return of(vocabulary, inner),
        Grammar::AnyOf(choices) => return choices.iter().find_map(|one| of(vocabulary, one)),
        _ => return None,
    };
    let (mut tries, clock) = (MOST_TRIED, Instant::now());
    let mut is_wrong = |part: &Value| {
        tries = tries.saturating_sub(1);
        if tries == 0 || clock.elapsed() > MOST_TIME {
            return false;
        }
        let schema = with_definitions(part, root);
        let part = Grammar::JsonSchema { schema, lenient };
        let lowered = part.lower(vocabulary);
        lowered.is_ok_and(|part| matcher_of(vocabulary, part).is_err())
    };
    let mut place = (String::from("#"), root);
    while let Some((step, part)) = parts(place.1).into_iter().find(|(_, part)| is_wrong(part)) {
        place = (format!("{}/{step}", place.0), part);
    }
    Some(place.0)
}

/// The schemas within a schema, with the steps of a JSON pointer that lead to them.
fn parts(schema: &Value) -> Vec<(String, &Value)> {
    let mut parts = Vec::new();
    let Some(fields) = schema.as_object() else {
        return parts;
    };
    for (key, value) in fields {
        match (key.as_str(), value) {
            ("properties" | "patternProperties" | "$defs" | "definitions", Value::Object(all)) => {
                let step = |name: &str| name.replace('~', "~0").replace('/', "~1");
                parts.extend(all.iter().map(|(n, s)| (format!("{key}/{}", step(n)), s)));
            }
            ("anyOf" | "oneOf" | "allOf" | "prefixItems", Value::Array(all)) => {
                parts.extend(
                    all.iter()
                        .enumerate()
                        .map(|(i, s)| (format!("{key}/{i}"), s)),
                );
            }
            ("items" | "additionalProperties" | "additionalItems", Value::Object(_)) => {
                parts.push((key.clone(), value));
            }
            _ => {}
        }
    }
    parts
}

/// A part of a schema that still finds what it refers to.
pub(super) fn with_definitions(part: &Value, root: &Value) -> Value {
    let mut part = part.clone();
    if let Some(fields) = part.as_object_mut() {
        for key in ["$defs", "definitions", "$schema"] {
            if let (false, Some(value)) = (fields.contains_key(key), root.get(key)) {
                fields.insert(key.into(), value.clone());
            }
        }
    }
    part
}
