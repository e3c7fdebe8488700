//! `/tokenize`, `/detokenize` and `/apply-template`, and prompts from conversations.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use serde::Deserialize;
use serde_json::{Value, json};
use sharpi_chat::template::Conversation;
use sharpi_chat::{Json as ChatJson, template::Message};

use super::app::{App, now};
use super::error::ApiError;

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

/// A prompt as text and as ids.
pub(super) struct Prompt {
    pub(super) text: String,
    pub(super) ids: Vec<u32>,
}

impl Turns {
    /// The conversation as the model's template writes it.
    pub(super) fn prompt(&self, app: &App) -> Result<Prompt, ApiError> {
        if self.messages.is_empty() {
            return Err(ApiError::invalid(
                "`messages` is empty, expected at least one",
            ));
        }
        let tokenizer = &app.tokenizer;
        let text_of =
            |id: Option<u32>| id.and_then(|id| tokenizer.token_text(id)).map(String::from);
        let prompt = app.template.template.render(&Conversation {
            messages: self.messages.clone(),
            tools: match self.offers_tools() {
                true => self.tools.clone(),
                false => Vec::new(),
            },
            add_generation_prompt: self.add_generation_prompt,
            variables: self.variables()?,
            bos_token: text_of(tokenizer.bos()),
            eos_token: text_of(tokenizer.eos()),
            unix_time: now() as i64,
        })?;
        let parts = prompt.segments.iter().map(|s| (s.text.as_str(), s.trusted));
        let mut ids = tokenizer.encode_parts(&parts.collect::<Vec<_>>());
        if let Some(bos) = tokenizer.bos().filter(|_| tokenizer.adds_bos())
            && ids.first() != Some(&bos)
        {
            ids.insert(0, bos);
        }
        Ok(Prompt {
            text: prompt.text(),
            ids,
        })
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
            variables.push(("enable_thinking".into(), ChatJson::Bool(false)));
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
