//! `/tokenize`, `/detokenize` and `/apply-template`, and prompts from conversations.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use serde::Deserialize;
use serde_json::{Value, json};
use sharpi_chat::answer::{AnswerFormat, ToolForm};
use sharpi_chat::{Json as ChatJson, template::Message};

use super::app::App;
use super::error::ApiError;
use crate::conversation::{self, ChatPrompt};

type Body<T> = Result<Json<T>, JsonRejection>;

#[derive(Deserialize)]
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
        .chain(tokenizer.encode(&asked.content, asked.parse_special))
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

#[derive(Deserialize)]
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
#[derive(Deserialize, Clone)]
pub(super) struct Turns {
    pub(super) messages: Vec<Message>,
    #[serde(default)]
    pub(super) tools: Vec<ChatJson>,
    #[serde(default)]
    pub(super) tool_choice: Option<Value>,
    #[serde(default)]
    pub(super) parallel_tool_calls: Option<bool>,
    #[serde(default = "yes")]
    pub(super) add_generation_prompt: bool,
    #[serde(default)]
    pub(super) chat_template_kwargs: Option<ChatJson>,
    #[serde(default)]
    pub(super) reasoning_effort: Option<String>,
    #[serde(default)]
    pub(super) reasoning_format: Option<String>,
}

impl Turns {
    /// The conversation as the model's template writes it.
    pub(super) fn prompt(&self, app: &App) -> Result<ChatPrompt, ApiError> {
        if self.messages.is_empty() {
            return Err(ApiError::invalid(
                "`messages` is empty, expected at least one",
            ));
        }
        let turns = conversation::Turns {
            messages: self.messages.clone(),
            tools: match self.offers_tools() {
                true => self.tools.clone(),
                false => Vec::new(),
            },
            add_generation_prompt: self.add_generation_prompt,
            variables: self.variables()?,
        };
        Ok(app.template.prompt(&app.tokenizer, turns)?)
    }

    /// The form of the answer to this prompt of the conversation.
    pub(super) fn format(&self, app: &App, prompt: &ChatPrompt) -> AnswerFormat {
        let format = app.template.format_after(prompt);
        let mut format = format.with_schemas(&self.tools);
        if self.reasoning_format.as_deref() == Some("none") {
            format = format.with_reasoning(false);
        }
        match self.offers_tools() {
            true => format,
            false => format.with_tools(ToolForm::None),
        }
    }

    /// Whether the model may call tools.
    pub(super) fn offers_tools(&self) -> bool {
        !self.tools.is_empty() && self.tool_choice.as_ref().is_none_or(|c| c != "none")
    }

    fn variables(&self) -> Result<Vec<(String, ChatJson)>, ApiError> {
        let mut variables = match &self.chat_template_kwargs {
            None | Some(ChatJson::Null) => Vec::new(),
            Some(ChatJson::Object(fields)) => {
                let fields = fields.iter();
                fields
                    .map(|(key, value)| (key.clone(), value.clone()))
                    .collect()
            }
            Some(_) => return Err(ApiError::invalid("`chat_template_kwargs` is no object")),
        };
        if self.reasoning_effort.as_deref() == Some("none") {
            variables.push(conversation::thinking(false));
        }
        Ok(variables)
    }
}

pub(super) async fn apply_template(
    State(app): State<App>,
    body: Body<Turns>,
) -> Result<Json<Value>, ApiError> {
    let Json(turns) = body?;
    Ok(Json(json!({"prompt": turns.prompt(&app)?.text})))
}
