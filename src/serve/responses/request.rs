//! OpenAI's newer form of a request, as the older one that templates read.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use crate::serve::chat;
use crate::serve::error::ApiError;
use crate::serve::tokens::text_of_parts;

/// A request to `/v1/responses`.
#[derive(Deserialize, ToSchema)]
#[schema(as = ResponseRequest)]
pub(in crate::serve) struct Asked {
    /// Text, or a list of items.
    input: Value,
    #[serde(default)]
    pub(super) instructions: Option<String>,
    #[serde(default)]
    #[schema(value_type = Vec<Object>)]
    pub(super) tools: Vec<Value>,
    #[serde(default)]
    pub(super) tool_choice: Option<Value>,
    #[serde(default)]
    pub(super) reasoning: Option<Reasoning>,
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub(super) text: Option<Map<String, Value>>,
    #[serde(default)]
    pub(super) max_output_tokens: Option<i64>,
    #[serde(default)]
    pub(super) top_logprobs: Option<usize>,
    #[serde(default)]
    include: Option<Vec<String>>,
    #[serde(flatten)]
    #[schema(ignore)]
    pub(super) rest: Map<String, Value>,
}

/// How much is to be thought.
#[derive(Deserialize, Default, ToSchema)]
pub(in crate::serve) struct Reasoning {
    #[serde(default)]
    pub(super) effort: Option<String>,
    #[serde(default)]
    pub(super) summary: Option<String>,
}

/// What needs that answers are kept, with what to do instead.
const KEPT: &[(&str, &str)] = &[
    (
        "previous_response_id",
        "send the whole conversation as `input`",
    ),
    ("conversation", "send the whole conversation as `input`"),
    ("prompt", "send its text as `instructions`"),
    ("background", "wait for the answer, or stream it"),
];

impl Asked {
    /// The same request to `/v1/chat/completions`.
    pub(super) fn as_chat(&self) -> Result<chat::Asked, ApiError> {
        for (name, instead) in KEPT {
            if !matches!(
                self.rest.get(*name),
                None | Some(Value::Null | Value::Bool(false))
            ) {
                return Err(ApiError::invalid(format!(
                    "`{name}` is not supported, for answers are not kept: {instead}"
                )));
            }
        }
        let mut body = self.rest.clone();
        body.insert("messages".into(), self.messages()?.into());
        let tools: Result<Vec<Value>, _> = self.tools.iter().enumerate().map(tool).collect();
        body.insert("tools".into(), tools?.into());
        if let Some(choice) = &self.tool_choice {
            body.insert("tool_choice".into(), tool_choice(choice));
        }
        let effort = self.reasoning.as_ref().and_then(|r| r.effort.clone());
        body.insert("reasoning_effort".into(), effort.into());
        body.insert("max_tokens".into(), self.max_output_tokens.into());
        if let Some(format) = self.text.as_ref().and_then(|text| text.get("format")) {
            body.insert("response_format".into(), response_format(format));
        }
        if self.wants_logprobs() {
            body.insert("logprobs".into(), true.into());
            body.insert("top_logprobs".into(), self.top_logprobs.into());
        }
        serde_json::from_value(body.into()).map_err(ApiError::invalid)
    }

    fn wants_logprobs(&self) -> bool {
        let mut include = self.include.iter().flatten();
        include.any(|name| name == "message.output_text.logprobs")
            || self.top_logprobs.is_some_and(|n| n > 0)
    }

    fn messages(&self) -> Result<Vec<Value>, ApiError> {
        let mut messages = Messages::default();
        if let Some(instructions) = &self.instructions {
            messages.system(instructions.clone());
        }
        match &self.input {
            Value::String(text) => {
                let message = json!({"role": "user", "content": text});
                messages.all.push(message);
            }
            Value::Array(items) => {
                for (i, item) in items.iter().enumerate() {
                    messages.add(item).map_err(|error| error.at("input", i))?;
                }
            }
            _ => {
                return Err(ApiError::invalid(
                    "`input` is neither text nor a list of items",
                ));
            }
        }
        Ok(messages.all)
    }
}

/// Messages in the making.
#[derive(Default)]
struct Messages {
    all: Vec<Value>,
}

impl Messages {
    /// What stands before the conversation is one message, which is all that most templates know.
    fn system(&mut self, text: String) {
        match self.all.last_mut() {
            Some(last) if last["role"] == "system" => {
                let before = last["content"].as_str().unwrap_or_default();
                last["content"] = format!("{before}\n\n{text}").into();
            }
            _ => self.all.push(json!({"role": "system", "content": text})),
        }
    }

    /// The message of the model that is being put together.
    fn assistant(&mut self) -> &mut Value {
        let goes_on = matches!(self.all.last(), Some(last) if last["role"] == "assistant");
        if !goes_on {
            self.all.push(json!({"role": "assistant", "content": null}));
        }
        let last = self.all.len() - 1;
        &mut self.all[last]
    }

    /// Appends to a text of the model's message.
    fn append(&mut self, field: &str, text: &str) {
        let message = self.assistant();
        let before = message[field].as_str().unwrap_or_default();
        message[field] = format!("{before}{text}").into();
    }

    fn add(&mut self, item: &Value) -> Result<(), ApiError> {
        let text = |name: &str| match item.get(name) {
            Some(Value::String(text)) => Ok(text.clone()),
            _ => Err(ApiError::invalid(format!("`{name}` is no text"))),
        };
        let content = |name: &str| text_of_parts(item.get(name).unwrap_or(&Value::Null));
        match item.get("type").and_then(Value::as_str) {
            None | Some("message") => match text("role")?.as_str() {
                "system" | "developer" => self.system(content("content")?),
                "assistant" => self.append("content", &content("content")?),
                "user" => {
                    let message = json!({"role": "user", "content": content("content")?});
                    self.all.push(message);
                }
                other => {
                    return Err(ApiError::invalid(format!(
                        "`role` is {other}, expected user, assistant, system or developer"
                    )));
                }
            },
            // What was thought for others' eyes alone is not known here.
            Some("reasoning") if item.get("content").is_none_or(Value::is_null) => {}
            Some("reasoning") => self.append("reasoning_content", &content("content")?),
            Some("function_call") => {
                let call = json!({
                    "id": text("call_id")?,
                    "type": "function",
                    "function": {"name": text("name")?, "arguments": text("arguments")?},
                });
                let message = self.assistant();
                match message["tool_calls"].as_array_mut() {
                    Some(calls) => calls.push(call),
                    None => message["tool_calls"] = json!([call]),
                }
            }
            Some("function_call_output") => self.all.push(json!({
                "role": "tool",
                "tool_call_id": text("call_id")?,
                "content": content("output")?,
            })),
            Some(other) => {
                return Err(ApiError::invalid(format!(
                    "an item of type {other} is not supported: message, reasoning, \
                     function_call and function_call_output are"
                )));
            }
        }
        Ok(())
    }
}

/// A tool with its function in a field of its own.
fn tool((i, tool): (usize, &Value)) -> Result<Value, ApiError> {
    let kind = tool.get("type").and_then(Value::as_str);
    if kind != Some("function") {
        let kind = kind.unwrap_or("none");
        let error = format!("a tool of type {kind} is not supported: function is");
        return Err(ApiError::invalid(error).at("tools", i));
    }
    let names = ["name", "description", "parameters", "strict"];
    let fields = names.iter().filter_map(|name| {
        let value = tool.get(*name).filter(|value| !value.is_null())?;
        Some((name.to_string(), value.clone()))
    });
    let function: Map<String, Value> = fields.collect();
    match function.get("name") {
        Some(Value::String(_)) => Ok(json!({"type": "function", "function": function})),
        _ => Err(ApiError::invalid("`name` is no text").at("tools", i)),
    }
}

fn tool_choice(choice: &Value) -> Value {
    match (choice.get("type"), choice.get("name")) {
        (Some(kind), Some(name)) => json!({"type": kind, "function": {"name": name}}),
        _ => choice.clone(),
    }
}

/// A form of answers with its schema in a field of its own.
fn response_format(format: &Value) -> Value {
    if format.get("type").is_none_or(|kind| kind != "json_schema") {
        return format.clone();
    }
    let mut schema = format.as_object().cloned().unwrap_or_default();
    schema.remove("type");
    json!({"type": "json_schema", "json_schema": schema})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(input: Value) -> Result<Vec<Value>, String> {
        let asked = json!({"input": input, "instructions": "Be brief."});
        let asked: Asked = serde_json::from_value(asked).unwrap();
        asked.messages().map_err(|error| format!("{error:?}"))
    }

    #[test]
    fn items_of_one_answer_are_one_message() {
        let told = messages(json!([
            {"role": "developer", "content": [{"type": "input_text", "text": "In verse."}]},
            {"role": "user", "content": "How warm is it?"},
            {"type": "reasoning", "summary": [], "content": [
                {"type": "reasoning_text", "text": "Ask."}]},
            {"type": "message", "role": "assistant", "content": [
                {"type": "output_text", "text": "Let me see.", "annotations": []}]},
            {"type": "function_call", "call_id": "1", "name": "warmth", "arguments": "{}"},
            {"type": "function_call", "call_id": "2", "name": "wind", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "1", "output": "20"},
            {"type": "function_call_output", "call_id": "2", "output": [
                {"type": "input_text", "text": "none"}]},
        ]));
        let call = |id: &str, name: &str| {
            json!({"id": id, "type": "function",
                "function": {"name": name, "arguments": "{}"}})
        };
        let expected = json!([
            {"role": "system", "content": "Be brief.\n\nIn verse."},
            {"role": "user", "content": "How warm is it?"},
            {"role": "assistant", "content": "Let me see.", "reasoning_content": "Ask.",
                "tool_calls": [call("1", "warmth"), call("2", "wind")]},
            {"role": "tool", "tool_call_id": "1", "content": "20"},
            {"role": "tool", "tool_call_id": "2", "content": "none"},
        ]);
        assert_eq!(Value::Array(told.unwrap()), expected);
    }

    #[test]
    fn what_is_not_known_is_refused_with_its_place() {
        let error = messages(json!([
            {"role": "user", "content": "hi"},
            {"role": "user", "content": [{"type": "input_image", "image_url": "x"}]},
        ]));
        let error = error.unwrap_err();
        assert!(
            error.contains("input[1]") && error.contains("input_image"),
            "{error}"
        );
        assert!(messages(json!([{"type": "item_reference", "id": "x"}])).is_err());
        assert!(messages(json!(7)).is_err());
    }
}
