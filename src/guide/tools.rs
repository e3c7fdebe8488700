//! Calls of tools, in the form in which a model writes them and [`AnswerParser`] reads them.
//!
//! [`AnswerParser`]: sharpi_chat::answer::AnswerParser

use std::fmt::Write;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sharpi_chat::Json;
use sharpi_chat::answer::{AnswerFormat, ToolForm};

use super::error::GuideError;
use super::grammar::with_options;
use super::limits;
use super::place::with_definitions;
use super::tool_text::{ANY_TEXT, text_word};
use super::vocabulary::GuideVocabulary;

/// The longest name that is read.
const MOST_NAME: usize = 256;

/// Calls of tools, one or several.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolCalls {
    /// How calls are written, with the tools' schemas.
    pub format: AnswerFormat,
    /// The tools, as OpenAI's API has them.
    pub tools: Vec<Json>,
    /// Whether more calls may follow the first.
    pub parallel: bool,
    /// Whether `<tool_call>` stands before already.
    pub opened: bool,
    /// Whether the schemas of tools that are not `strict` are left out of account.
    pub loose: bool,
}

/// A tool.
struct Tool {
    name: String,
    /// The schema of its arguments.
    schema: Value,
    strict: bool,
}

impl ToolCalls {
    /// The same, with the schemas of tools that are not `strict` left out of account; `None` if that
    /// changes nothing.
    pub(super) fn looser(&self) -> Option<ToolCalls> {
        let mut tools = self.tools.iter();
        let some = tools.any(|tool| Tool::of(tool).is_ok_and(|tool| !tool.strict));
        (some && !self.loose).then(|| ToolCalls {
            loose: true,
            ..self.clone()
        })
    }

    /// The grammar in Lark's notation.
    pub(super) fn to_lark(&self, vocabulary: &GuideVocabulary) -> Result<String, GuideError> {
        let open = vocabulary.lark_mark("<tool_call>");
        let close = vocabulary.lark_mark("</tool_call>");
        let first = match self.opened {
            true => "call".into(),
            false => format!("/\\n{{0,2}}/ {open} call"),
        };
        let more = match self.parallel {
            true => format!(" (\"\\n\" {open} call)*"),
            false => String::new(),
        };
        let mut lark = format!("start: {first}{more}\n");
        let tools: Result<Vec<Tool>, GuideError> = self.tools.iter().map(Tool::of).collect();
        let tools = tools?;
        if tools.is_empty() {
            return Err(GuideError::Invalid("there is no tool to call".into()));
        }
        let names: Vec<String> = (0..tools.len()).map(|i| format!("f{i}")).collect();
        put(&mut lark, format_args!("call: {}", names.join(" | ")));
        put(&mut lark, format_args!("ANY: {ANY_TEXT}"));
        put(&mut lark, format_args!("NAME: /[^<>\\n]{{1,{MOST_NAME}}}/"));
        for (i, tool) in tools.iter().enumerate() {
            limits::check_schema(&tool.schema)?;
            match self.format.tools {
                ToolForm::Qwen35 => self.write_function(&mut lark, i, tool, &close)?,
                ToolForm::Qwen3 => self.write_json(&mut lark, i, tool, &close),
                _ => {
                    let message = "the model's template has no form for calls of tools";
                    return Err(GuideError::Invalid(message.into()));
                }
            }
        }
        Ok(lark)
    }

    /// Whether a tool's schema is left out of account.
    fn is_loose(&self, tool: &Tool) -> bool {
        self.loose && !tool.strict
    }

    fn write_json(&self, lark: &mut String, i: usize, tool: &Tool, close: &str) {
        let name = Value::from(tool.name.as_str());
        let head = quoted(&format!("\n{{\"name\": {name}, \"arguments\": "));
        let arguments = match self.is_loose(tool) {
            true => json!({"type": "object"}),
            false => tool.part(&tool.schema),
        };
        let body = format_args!("f{i}: {head} %json {arguments} \"}}\\n\" {close}");
        put(lark, body);
    }

    /// A function with its parameters in the order of the schema.
    fn write_function(
        &self,
        lark: &mut String,
        i: usize,
        tool: &Tool,
        close: &str,
    ) -> Result<(), GuideError> {
        let head = quoted(&format!("\n<function={}>\n", tool.name));
        let mut body = format!("f{i}: {head}");
        let parameters = match self.is_loose(tool) {
            true => None,
            false => tool.parameters()?,
        };
        let any = " (\"<parameter=\" NAME \">\\n\" ANY)*";
        let Some((parameters, more)) = parameters else {
            put(lark, format_args!("{body}{any} \"</function>\\n\" {close}"));
            return Ok(());
        };
        for (j, (name, schema, required)) in parameters.into_iter().enumerate() {
            let optional = if required { "" } else { "?" };
            body.push_str(&format!(" p{i}x{j}{optional}"));
            let head = quoted(&format!("<parameter={name}>\n"));
            let annotations = ["title", "description", "default", "examples"];
            let is_any = schema.as_object().is_none_or(|fields| {
                let mut keys = fields.keys();
                keys.all(|key| annotations.contains(&key.as_str()))
            });
            if is_any && schema != Value::Bool(false) {
                put(lark, format_args!("p{i}x{j}: {head} ANY"));
            } else if self.format.takes_text(&tool.name, &name) {
                let word = text_word(&schema).map_err(|fault| tool.fault(&name, &fault))?;
                put(lark, format_args!("p{i}x{j}: {head} V{i}X{j}"));
                put(lark, format_args!("V{i}X{j}: {word}"));
            } else {
                let value = tool.part(&schema);
                let end = quoted("\n</parameter>\n");
                put(lark, format_args!("p{i}x{j}: {head} %json {value} {end}"));
            }
        }
        if more {
            body.push_str(any);
        }
        put(lark, format_args!("{body} \"</function>\\n\" {close}"));
        Ok(())
    }
}

/// Parameters with their schemas and whether they are required, and whether others may come.
type Parameters = (Vec<(String, Value, bool)>, bool);

impl Tool {
    fn of(tool: &Json) -> Result<Tool, GuideError> {
        let tool = serde_json::to_value(tool).unwrap_or_default();
        let tool = tool.get("function").unwrap_or(&tool);
        let name = tool.get("name").and_then(Value::as_str).unwrap_or_default();
        if !is_name(name) {
            let message = format!(
                "a tool cannot be called {name:?}: a name has 1 to {MOST_NAME} bytes, and neither angle brackets nor line breaks"
            );
            return Err(GuideError::Invalid(message));
        }
        let schema = tool.get("parameters").filter(|schema| !schema.is_null());
        let nothing = || json!({"type": "object", "properties": {}, "additionalProperties": false});
        Ok(Tool {
            name: name.into(),
            schema: schema.cloned().unwrap_or_else(nothing),
            strict: tool.get("strict") == Some(&Value::Bool(true)),
        })
    }

    /// A part of the schema that stands for itself.
    fn part(&self, part: &Value) -> Value {
        let part = with_definitions(part, &self.schema);
        with_options(&part, !self.strict)
    }

    fn fault(&self, parameter: &str, fault: &str) -> GuideError {
        GuideError::Invalid(format!(
            "parameter `{parameter}` of tool `{}`: {fault}",
            self.name
        ))
    }

    /// The parameters; `None` if the schema does not list them.
    fn parameters(&self) -> Result<Option<Parameters>, GuideError> {
        let schema = &self.schema;
        let combined = [
            "anyOf",
            "oneOf",
            "allOf",
            "$ref",
            "not",
            "if",
            "patternProperties",
        ];
        if let Some(key) = combined.iter().find(|key| schema.get(**key).is_some()) {
            return match self.strict {
                true => Err(GuideError::Invalid(format!(
                    "tool `{}`: `{key}` is not supported for all parameters together",
                    self.name
                ))),
                false => Ok(None),
            };
        }
        let none = serde_json::Map::new();
        let properties = schema
            .get("properties")
            .and_then(Value::as_object)
            .unwrap_or(&none);
        let required = schema.get("required").and_then(Value::as_array);
        let is_required =
            |name: &str| required.is_some_and(|all| all.iter().any(|other| other == name));
        let parameters = properties.iter().map(|(name, schema)| match is_name(name) {
            true => Ok((name.clone(), schema.clone(), is_required(name))),
            false => Err(self.fault(name, "the name cannot be written in a call")),
        });
        let more = schema.get("additionalProperties");
        let more = more.is_some_and(|more| more.is_object() || more == &Value::Bool(true));
        Ok(Some((parameters.collect::<Result<_, _>>()?, more)))
    }
}

fn is_name(name: &str) -> bool {
    (1..=MOST_NAME).contains(&name.len()) && !name.contains(['<', '>', '\n'])
}

fn put(lark: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing into a string cannot fail.
    let _ = writeln!(lark, "{line}");
}

/// A literal in Lark's notation.
pub(super) fn quoted(text: &str) -> String {
    Value::from(text).to_string().replace('\x7f', "\\u007f")
}
