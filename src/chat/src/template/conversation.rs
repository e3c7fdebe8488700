//! What a template is given.

use serde::Deserialize;

use crate::Json;

/// A conversation, and how the template is to show it.
///
/// All text in it is untrusted, but the tokens and the roles that every template
/// knows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Conversation {
    /// The messages, the oldest first.
    pub messages: Vec<Message>,
    /// The tools that the model may call, as the client gave them; the template has
    /// no `tools` if there are none.
    pub tools: Vec<Json>,
    /// Whether the prompt ends where the model's answer begins.
    pub add_generation_prompt: bool,
    /// Further variables of the template, such as `enable_thinking`
    /// (`chat_template_kwargs`). They cannot replace the ones above.
    pub variables: Vec<(String, Json)>,
    /// The text of the token that begins a text, if the model has one. Trusted.
    pub bos_token: Option<String>,
    /// The text of the token that ends one. Trusted.
    pub eos_token: Option<String>,
    /// What the template takes for now, in seconds since 1970, in UTC.
    pub unix_time: i64,
}

/// One message.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Message {
    /// Who speaks: `system`, `user`, `assistant`, `tool`, …
    pub role: String,
    /// What is said; none where a message is only calls of tools.
    #[serde(default)]
    pub content: Option<Content>,
    /// What the model thought before it spoke.
    #[serde(default)]
    pub reasoning_content: Option<String>,
    /// The tools that the model called.
    #[serde(default)]
    pub tool_calls: Vec<ToolCall>,
    /// The name of who speaks, or of the tool that answers.
    #[serde(default)]
    pub name: Option<String>,
    /// The call that a tool answers.
    #[serde(default)]
    pub tool_call_id: Option<String>,
}

impl Message {
    /// A message of text alone.
    pub fn text(role: &str, content: &str) -> Message {
        Message {
            role: role.to_owned(),
            content: Some(Content::Text(content.to_owned())),
            ..Message::default()
        }
    }
}

/// The content of a message.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Content {
    /// Text.
    Text(String),
    /// Parts, such as `{"type": "text", "text": …}`.
    Parts(Vec<Json>),
}

impl Content {
    /// The texts of parts put together, a line break between two; `None` if there is
    /// a part that is no text.
    pub(super) fn joined(&self) -> Option<String> {
        let parts = match self {
            Content::Text(text) => return Some(text.clone()),
            Content::Parts(parts) => parts,
        };
        let texts: Option<Vec<&str>> = parts.iter().map(text_of).collect();
        texts.map(|texts| texts.join("\n"))
    }
}

fn text_of(part: &Json) -> Option<&str> {
    match part.get("type").and_then(Json::as_str) {
        Some("text") => part.get("text")?.as_str(),
        _ => None,
    }
}

/// A call of a tool, which reads as OpenAI's API writes it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ToolCall {
    /// What the client calls it.
    #[serde(default)]
    pub id: Option<String>,
    /// What is called.
    pub function: FunctionCall,
}

/// Which function a call names, and with what.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct FunctionCall {
    /// Its name.
    pub name: String,
    /// Its arguments: an object, or a string that has one as JSON, which is taken
    /// for that object. Any other string stays one.
    pub arguments: Json,
}

impl Conversation {
    /// About how many bytes of text there are.
    pub(super) fn bytes(&self) -> usize {
        let messages: usize = self.messages.iter().map(Message::bytes).sum();
        let tools: usize = self.tools.iter().map(bytes).sum();
        let variables = self.variables.iter();
        messages
            + tools
            + variables
                .map(|(key, value)| key.len() + bytes(value))
                .sum::<usize>()
    }
}

impl Message {
    fn bytes(&self) -> usize {
        let content = match &self.content {
            None => 0,
            Some(Content::Text(text)) => text.len(),
            Some(Content::Parts(parts)) => parts.iter().map(bytes).sum(),
        };
        let others = [&self.reasoning_content, &self.name, &self.tool_call_id];
        let others = others.into_iter().flatten().map(String::len);
        let calls = self.tool_calls.iter().map(|call| &call.function);
        let calls = calls.map(|call| call.name.len() + bytes(&call.arguments));
        content + self.role.len() + others.sum::<usize>() + calls.sum::<usize>()
    }
}

fn bytes(value: &Json) -> usize {
    match value {
        Json::String(text) => text.len(),
        Json::Array(elements) => 8 + elements.iter().map(bytes).sum::<usize>(),
        Json::Object(fields) => {
            let fields = fields.iter().map(|(key, value)| key.len() + bytes(value));
            8 + fields.sum::<usize>()
        }
        _ => 8,
    }
}
