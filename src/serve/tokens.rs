//! `/tokenize`, `/detokenize` and `/apply-template`, and prompts from conversations.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use serde::Deserialize;
use serde_json::{Value, json};
use sharpi_chat::answer::{AnswerFormat, ToolForm};
use sharpi_chat::{Json as ChatJson, template::Message};
use tokio::runtime::{Handle, RuntimeFlavor};
use utoipa::ToSchema;

use super::app::App;
use super::error::ApiError;
use super::openapi::ChatMessage;
use super::reasoning;
use crate::conversation::{self, ChatPrompt, ReasoningFormat};

/// Most messages of a conversation: each gives the template some milliseconds.
const MOST_MESSAGES: usize = 4096;
/// Most tools of a conversation.
const MOST_TOOLS: usize = 1024;
/// Most variables of a template.
const MOST_VARIABLES: usize = 256;

type Body<T> = Result<Json<T>, JsonRejection>;

/// A text to be made into ids.
#[derive(Deserialize, ToSchema)]
pub(super) struct Tokenize {
    content: String,
    #[serde(default)]
    add_special: bool,
    #[serde(default = "yes")]
    parse_special: bool,
    #[serde(default)]
    with_pieces: bool,
}

fn yes() -> bool {
    true
}

pub(super) async fn tokenize(
    State(app): State<App>,
    body: Body<Tokenize>,
) -> Result<Json<Value>, ApiError> {
    let Json(asked) = body?;
    let tokenizer = &app.tokenizer;
    let bos = tokenizer
        .bos()
        .filter(|_| asked.add_special && tokenizer.adds_bos());
    let ids: Vec<u32> = bos
        .into_iter()
        .chain(heavy(|| {
            tokenizer.encode(&asked.content, asked.parse_special)
        }))
        .collect();
    let tokens: Vec<Value> = ids
        .iter()
        .map(|id| token(&app, *id, asked.with_pieces))
        .collect();
    Ok(Json(json!({"tokens": tokens})))
}

/// An id, or an id with its text: bytes where it is no text.
fn token(app: &App, id: u32, piece: bool) -> Value {
    if !piece {
        return id.into();
    }
    let bytes = app.tokenizer.token_bytes(id).unwrap_or_default();
    let piece = match std::str::from_utf8(bytes) {
        Ok(text) => json!(text),
        Err(_) => json!(bytes),
    };
    json!({"id": id, "piece": piece})
}

/// Ids to be made into a text.
#[derive(Deserialize, ToSchema)]
pub(super) struct Detokenize {
    tokens: Vec<u32>,
}

pub(super) async fn detokenize(
    State(app): State<App>,
    body: Body<Detokenize>,
) -> Result<Json<Value>, ApiError> {
    let Json(asked) = body?;
    Ok(Json(
        json!({"content": app.tokenizer.decode(&asked.tokens, true)}),
    ))
}

/// What a template needs of a request.
#[derive(Deserialize, Clone, ToSchema)]
#[schema(as = Conversation)]
pub(super) struct Turns {
    #[schema(value_type = Vec<ChatMessage>)]
    pub(super) messages: Vec<Message>,
    #[serde(default)]
    #[schema(value_type = Vec<Object>)]
    pub(super) tools: Vec<ChatJson>,
    #[serde(default)]
    pub(super) tool_choice: Option<Value>,
    #[serde(default)]
    pub(super) parallel_tool_calls: Option<bool>,
    #[serde(default = "yes")]
    pub(super) add_generation_prompt: bool,
    /// Variables of the template.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub(super) chat_template_kwargs: Option<ChatJson>,
    #[serde(default)]
    pub(super) reasoning_effort: Option<String>,
    #[serde(default)]
    pub(super) reasoning_format: Option<String>,
    #[serde(default)]
    pub(super) thinking_budget_tokens: Option<i64>,
}

impl Turns {
    /// The conversation as the model's template writes it.
    pub(super) fn prompt(&self, app: &App) -> Result<ChatPrompt, ApiError> {
        if self.messages.is_empty() {
            return Err(ApiError::invalid(
                "`messages` is empty, expected at least one",
            ));
        }
        at_most("messages", self.messages.len(), MOST_MESSAGES)?;
        at_most("tools", self.tools.len(), MOST_TOOLS)?;
        let variables = self.variables(app)?;
        at_most("chat_template_kwargs", variables.len(), MOST_VARIABLES)?;
        let turns = conversation::Turns {
            messages: self.messages_for(app.template.source()),
            tools: match self.offers_tools() {
                true => self.tools.clone(),
                false => Vec::new(),
            },
            add_generation_prompt: self.add_generation_prompt,
            variables,
        };
        Ok(heavy(|| app.template.prompt(&app.tokenizer, turns))?)
    }

    /// The form of the answer to this prompt of the conversation.
    pub(super) fn format(&self, app: &App, prompt: &ChatPrompt) -> Result<AnswerFormat, ApiError> {
        let format = app.template.format_after(prompt);
        let mut format = format.with_schemas(&self.tools);
        if reasoning::format(app, self)? == ReasoningFormat::None {
            format = format.with_reasoning(false);
        }
        Ok(match self.offers_tools() {
            true => format,
            false => format.with_tools(ToolForm::None),
        })
    }

    /// Whether the model may call tools.
    pub(super) fn offers_tools(&self) -> bool {
        !self.tools.is_empty() && self.tool_choice.as_ref().is_none_or(|c| c != "none")
    }

    /// The messages in roles that the template knows: what OpenAI calls a developer is a system to
    /// most.
    fn messages_for(&self, template: &str) -> Vec<Message> {
        let mut messages = self.messages.clone();
        if !template.contains("developer") {
            for message in messages.iter_mut().filter(|m| m.role == "developer") {
                message.role = "system".into();
            }
        }
        messages
    }

    /// What the server gives the template, what the client does, and what follows from other fields.
    fn variables(&self, app: &App) -> Result<Vec<(String, ChatJson)>, ApiError> {
        let mut variables = app.options.template_variables.clone();
        match &self.chat_template_kwargs {
            None | Some(ChatJson::Null) => {}
            Some(ChatJson::Object(fields)) => {
                variables.retain(|(key, _)| fields.iter().all(|(other, _)| other != key));
                variables.extend(fields.iter().cloned());
            }
            Some(_) => return Err(ApiError::invalid("`chat_template_kwargs` is no object")),
        }
        let effort = reasoning::effort(self)?;
        if let Some(effort) = effort.filter(|effort| *effort != "none") {
            variables.push(("reasoning_effort".into(), effort.into()));
        }
        if effort == Some("none") || reasoning::budget(app, self) == Some(0) {
            variables.push(conversation::thinking(false));
        }
        Ok(variables)
    }
}

fn at_most(field: &str, count: usize, most: usize) -> Result<(), ApiError> {
    match count > most {
        true => Err(ApiError::invalid(format!(
            "`{field}` has {count} elements, at most {most} are taken"
        ))),
        false => Ok(()),
    }
}

/// Does what may take long without keeping the others of this thread waiting, where that can be.
pub(super) fn heavy<T>(work: impl FnOnce() -> T) -> T {
    let runtime = Handle::try_current();
    match runtime.map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

/// Text, or the texts of parts behind one another, each on a line of its own.
pub(super) fn text_of_parts(content: &Value) -> Result<String, ApiError> {
    let parts = match content {
        Value::String(text) => return Ok(text.clone()),
        Value::Array(parts) => parts,
        _ => {
            return Err(ApiError::invalid(
                "content is neither text nor a list of parts",
            ));
        }
    };
    let texts = parts.iter().map(|part| match part.get("text") {
        Some(Value::String(text)) => Ok(text.as_str()),
        _ => {
            let kind = part.get("type").and_then(Value::as_str).unwrap_or("none");
            Err(ApiError::invalid(format!(
                "a part of type {kind} is not supported: text alone is"
            )))
        }
    });
    Ok(texts.collect::<Result<Vec<_>, _>>()?.join("\n"))
}

pub(super) async fn apply_template(
    State(app): State<App>,
    body: Body<Turns>,
) -> Result<Json<Value>, ApiError> {
    let Json(turns) = body?;
    Ok(Json(json!({"prompt": turns.prompt(&app)?.text})))
}
