//! Parts of requests whose own types are elsewhere.
#![expect(dead_code, reason = "they are told, not made")]

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// A message of a conversation.
#[derive(Serialize, ToSchema)]
pub(in crate::serve) struct ChatMessage {
    /// `system`, `user`, `assistant`, `tool`, or what else the template knows.
    role: String,
    content: Option<MessageContent>,
    reasoning_content: Option<String>,
    #[schema(required = false)]
    tool_calls: Vec<MessageCall>,
    name: Option<String>,
    tool_call_id: Option<String>,
}

/// Text, or parts of which each has some.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum MessageContent {
    Text(String),
    Parts(Vec<TextPart>),
}

#[derive(Serialize, ToSchema)]
struct TextPart {
    r#type: String,
    text: String,
}

/// A call of a tool.
#[derive(Serialize, ToSchema)]
struct MessageCall {
    id: Option<String>,
    function: MessageFunction,
}

#[derive(Serialize, ToSchema)]
struct MessageFunction {
    name: String,
    /// A JSON object, or one as text.
    arguments: Value,
}
