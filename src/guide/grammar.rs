//! What a text is held to.

use llguidance::api::{GrammarWithLexer, TopLevelGrammar};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::error::GuideError;
use super::tools::ToolCalls;
use super::vocabulary::GuideVocabulary;
use super::{gbnf, limits};

/// What a text is held to.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Grammar {
    /// JSON that a schema accepts. Properties come in the schema's order.
    JsonSchema {
        /// The schema.
        schema: Value,
        /// Whether keywords that cannot be enforced are passed over; otherwise they are an error.
        lenient: bool,
    },
    /// A text that a regular expression matches from its beginning to its end, in the syntax of
    /// Rust's `regex`.
    Regex(String),
    /// A grammar in Lark's notation, as llguidance reads it.
    Lark(String),
    /// A grammar in llama.cpp's notation.
    Gbnf(String),
    /// Calls of tools.
    Tools(ToolCalls),
    /// One of several.
    AnyOf(Vec<Grammar>),
    /// Up to two line breaks, then another grammar.
    BehindBreaks(Box<Grammar>),
}

impl Grammar {
    /// JSON of a schema; a keyword that cannot be enforced is an error.
    pub fn json_schema(schema: Value) -> Grammar {
        Grammar::JsonSchema {
            schema,
            lenient: false,
        }
    }

    /// Any JSON object.
    pub fn json_object() -> Grammar {
        Grammar::json_schema(json!({"type": "object"}))
    }

    /// A grammar as llama.cpp takes it: in its own notation, or in Lark's if it begins with
    /// `%llguidance`.
    pub fn from_text(text: impl Into<String>) -> Grammar {
        let text = text.into();
        match text.trim_start().starts_with("%llguidance") {
            true => Grammar::Lark(text),
            false => Grammar::Gbnf(text),
        }
    }

    /// The parser's form of it.
    pub(super) fn lower(
        &self,
        vocabulary: &GuideVocabulary,
    ) -> Result<TopLevelGrammar, GuideError> {
        let (grammar, breaks) = match self {
            Grammar::BehindBreaks(inner) => (&**inner, "/\\n{0,2}/ "),
            other => (other, ""),
        };
        let choices = match grammar {
            Grammar::AnyOf(choices) => &choices[..],
            one => std::slice::from_ref(one),
        };
        if let ([one], "") = (choices, breaks) {
            return Ok(TopLevelGrammar::from_grammar(one.lower_one(vocabulary)?));
        }
        let names: Vec<String> = (0..choices.len()).map(|i| format!("choice{i}")).collect();
        let starts: Vec<String> = names
            .iter()
            .map(|name| format!("{breaks}@{name}"))
            .collect();
        let start = format!("start: {}", starts.join(" | "));
        let mut grammars = vec![GrammarWithLexer::from_lark(start)];
        for (name, choice) in names.into_iter().zip(choices) {
            let mut grammar = choice.lower_one(vocabulary)?;
            grammar.name = Some(name);
            grammars.push(grammar);
        }
        Ok(TopLevelGrammar {
            grammars,
            max_tokens: None,
        })
    }

    fn lower_one(&self, vocabulary: &GuideVocabulary) -> Result<GrammarWithLexer, GuideError> {
        match self {
            Grammar::JsonSchema { schema, lenient } => {
                limits::check_schema(schema)?;
                let schema = with_options(schema, *lenient);
                Ok(GrammarWithLexer::from_json_schema(schema))
            }
            Grammar::Regex(regex) => {
                limits::check_regex(regex)?;
                Ok(GrammarWithLexer::from_regex(regex))
            }
            Grammar::Lark(lark) => {
                limits::check_text("the grammar", lark)?;
                // It would let the bytes that stand for control tokens be text.
                if lark.contains("allow_invalid_utf8") {
                    let message =
                        "the grammar asks for `allow_invalid_utf8`, which is not supported";
                    return Err(GuideError::Invalid(message.into()));
                }
                Ok(GrammarWithLexer::from_lark(lark.clone()))
            }
            Grammar::Gbnf(text) => {
                limits::check_text("the grammar", text)?;
                Ok(GrammarWithLexer::from_lark(gbnf::to_lark(text)?))
            }
            Grammar::Tools(calls) => Ok(GrammarWithLexer::from_lark(calls.to_lark(vocabulary)?)),
            Grammar::AnyOf(_) | Grammar::BehindBreaks(_) => Err(GuideError::Invalid(
                "a choice of grammars stands within another".into(),
            )),
        }
    }

    /// What to call it in a message.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Grammar::JsonSchema { .. } => "the JSON schema",
            Grammar::Regex(_) => "the regular expression",
            Grammar::Lark(_) | Grammar::Gbnf(_) => "the grammar",
            Grammar::Tools(_) => "the schema of a tool",
            Grammar::AnyOf(_) => "one of the grammars",
            Grammar::BehindBreaks(inner) => inner.kind(),
        }
    }

    /// What holds where this cannot be compiled, if it need not hold as it is.
    pub(super) fn looser(&self) -> Option<Grammar> {
        match self {
            Grammar::Tools(calls) => calls.looser().map(Grammar::Tools),
            Grammar::BehindBreaks(inner) => {
                let inner = inner.looser()?;
                Some(Grammar::BehindBreaks(Box::new(inner)))
            }
            Grammar::AnyOf(choices) => {
                let looser = choices.iter().map(Grammar::looser);
                let some = looser.clone().any(|looser| looser.is_some());
                let choices = looser
                    .zip(choices)
                    .map(|(new, old)| new.unwrap_or(old.clone()));
                some.then(|| Grammar::AnyOf(choices.collect()))
            }
            _ => None,
        }
    }
}

/// White space between the parts of JSON: one space, or a line break and what indents the next line. A
/// model could go on with more of it for ever.
const WHITE_SPACE: &str = r" |\r?\n[ \t]{0,20}";

/// A schema with the options of the parser: those that it brings, and whether keywords that cannot be
/// enforced are passed over.
pub(super) fn with_options(schema: &Value, lenient: bool) -> Value {
    let mut schema = match schema {
        Value::Bool(true) => json!({}),
        other => other.clone(),
    };
    if let Some(fields) = schema.as_object_mut() {
        let options = fields.entry("x-guidance").or_insert_with(|| json!({}));
        if let Some(options) = options.as_object_mut() {
            if lenient {
                options.insert("lenient".into(), true.into());
            }
            let own = ["whitespace_pattern", "whitespace_flexible"];
            if !own.iter().any(|key| options.contains_key(*key)) {
                options.insert("whitespace_pattern".into(), WHITE_SPACE.into());
            }
        }
    }
    schema
}
