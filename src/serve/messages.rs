//! Anthropic's `/v1/messages` and `/v1/messages/count_tokens`.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sharpi_chat::Json as ChatJson;
use sharpi_chat::answer::{AnswerParser, Piece};
use sharpi_chat::template::Message;
use utoipa::ToSchema;

use super::app::App;
use super::chat::new_id;
use super::error::ApiError;
use super::generation::{Gone, Sink, gone, or_gone, settle, stream};
use super::guided::chat_form;
use super::params::Params;
use super::served::{Served, Step};
use super::tokens::{Turns, text_of_parts};
use crate::engine::{End, StopReason};

/// A conversation to be answered, in Anthropic's form.
#[derive(Deserialize, ToSchema)]
#[schema(as = MessageRequest)]
pub(super) struct Asked {
    #[schema(value_type = Vec<Object>)]
    messages: Vec<Value>,
    /// Text, or a list of blocks of text.
    #[serde(default)]
    system: Option<Value>,
    #[serde(default)]
    #[schema(value_type = Vec<Object>)]
    tools: Vec<Value>,
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    tool_choice: Option<Value>,
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    thinking: Option<Value>,
    #[serde(flatten)]
    params: Params,
}

type Body = Result<Json<Asked>, JsonRejection>;

pub(super) async fn messages(State(app): State<App>, body: Body) -> Result<Response, ApiError> {
    answer(app, body).await.map_err(ApiError::for_anthropic)
}

pub(super) async fn count_tokens(
    State(app): State<App>,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    let count = || {
        let Json(asked) = body?;
        Ok(asked.turns()?.prompt(&app)?.ids.len())
    };
    let count = count().map_err(ApiError::for_anthropic)?;
    Ok(Json(json!({"input_tokens": count})))
}

async fn answer(app: App, body: Body) -> Result<Response, ApiError> {
    let Json(asked) = body?;
    let turns = asked.turns()?;
    let prompt = turns.prompt(&app)?;
    let format = turns.format(&app, &prompt)?;
    let (count, params) = (prompt.ids.len(), asked.params);
    let form = chat_form(&app, &turns, &params, (&format, &prompt))?;
    let held = app.guides.hold(form).await?;
    let parser = AnswerParser::new(format);
    let ids = prompt.ids.clone();
    let request = params.request(&app, ids, 0)?.printed(app.marks.to_vec());
    let mut answer = Served::submit(&app, &params, request, &held)?;
    let head = json!({
        "id": new_id("msg_"),
        "type": "message",
        "role": "assistant",
        "model": app.options.alias,
        "content": [],
        "stop_reason": null,
        "stop_sequence": null,
        "usage": {"input_tokens": count, "output_tokens": 0},
    });
    if params.stream {
        return Ok(stream(app.options.timeout, |sink| async move {
            let written = write(app, sink, (head, params), parser, answer).await;
            or_gone(written).map_err(ApiError::for_anthropic)
        }));
    }
    let mut blocks = Blocks::default();
    let end = collect(&app, &mut answer, parser, &mut blocks).await?;
    let mut body = head;
    body["content"] = blocks.all.iter().map(Block::whole).collect();
    body["stop_reason"] = blocks.stop_reason(&end).into();
    body["stop_sequence"] = params.stopped_by(end.reason).into();
    body["usage"] = usage(&end);
    answer.add_receipt(&mut body);
    Ok(Json(body).into_response())
}

async fn collect(
    app: &App,
    answer: &mut Served,
    mut parser: AnswerParser,
    blocks: &mut Blocks,
) -> Result<End, ApiError> {
    loop {
        match answer.next().await.ok_or_else(gone)? {
            Step::Token(_, text) => {
                for piece in parser.push(&text) {
                    blocks.add(piece);
                }
            }
            Step::End(end) => {
                let end = settle(app, end)?;
                for piece in parser.push(&end.text).into_iter().chain(parser.finish()) {
                    blocks.add(piece);
                }
                return Ok(end);
            }
        }
    }
}

fn usage(end: &End) -> Value {
    json!({
        "input_tokens": end.stats.prompt_tokens - end.stats.remembered_tokens,
        "cache_read_input_tokens": end.stats.remembered_tokens,
        "cache_creation_input_tokens": 0,
        "output_tokens": end.stats.generated_tokens,
    })
}

/// A part of a message.
enum Block {
    Thinking(String),
    Text(String),
    Tool {
        id: String,
        name: String,
        arguments: String,
    },
}

/// What a piece does to a message.
enum Change {
    Begin(Value),
    Delta(Value),
}

#[derive(Default)]
struct Blocks {
    all: Vec<Block>,
}

impl Block {
    fn whole(&self) -> Value {
        match self {
            Block::Thinking(text) => json!({"type": "thinking", "thinking": text, "signature": ""}),
            Block::Text(text) => json!({"type": "text", "text": text}),
            Block::Tool {
                id,
                name,
                arguments,
            } => {
                let input: Value = serde_json::from_str(arguments).unwrap_or_else(|_| json!({}));
                json!({"type": "tool_use", "id": id, "name": name, "input": input})
            }
        }
    }
}

impl Blocks {
    /// Takes a piece in; what a client that follows has to hear.
    fn add(&mut self, piece: Piece) -> Vec<Change> {
        let mut changes = Vec::new();
        match piece {
            Piece::Reasoning(text) => {
                if !matches!(self.all.last(), Some(Block::Thinking(_))) {
                    self.all.push(Block::Thinking(String::new()));
                    let block = json!({"type": "thinking", "thinking": "", "signature": ""});
                    changes.push(Change::Begin(block));
                }
                if let Some(Block::Thinking(all)) = self.all.last_mut() {
                    all.push_str(&text);
                }
                changes.push(Change::Delta(
                    json!({"type": "thinking_delta", "thinking": text}),
                ));
            }
            Piece::Content(text) => {
                if !matches!(self.all.last(), Some(Block::Text(_))) {
                    self.all.push(Block::Text(String::new()));
                    changes.push(Change::Begin(json!({"type": "text", "text": ""})));
                }
                if let Some(Block::Text(all)) = self.all.last_mut() {
                    all.push_str(&text);
                }
                changes.push(Change::Delta(json!({"type": "text_delta", "text": text})));
            }
            Piece::ToolCallBegin { name, .. } => {
                let id = new_id("toolu_");
                let block = json!({"type": "tool_use", "id": id, "name": name, "input": {}});
                changes.push(Change::Begin(block));
                let arguments = String::new();
                self.all.push(Block::Tool {
                    id,
                    name,
                    arguments,
                });
            }
            Piece::ToolCallArguments { delta, .. } => {
                if let Some(Block::Tool { arguments, .. }) = self.all.last_mut() {
                    arguments.push_str(&delta);
                }
                let delta = json!({"type": "input_json_delta", "partial_json": delta});
                changes.push(Change::Delta(delta));
            }
            _ => {}
        }
        changes
    }

    fn stop_reason(&self, end: &End) -> &'static str {
        let called = self
            .all
            .iter()
            .any(|block| matches!(block, Block::Tool { .. }));
        match end.reason {
            StopReason::EndOfText(_) if called => "tool_use",
            StopReason::EndOfText(_) => "end_turn",
            StopReason::StopString(_) => "stop_sequence",
            _ => "max_tokens",
        }
    }
}

async fn write(
    app: App,
    sink: Sink,
    (head, params): (Value, Params),
    mut parser: AnswerParser,
    mut answer: Served,
) -> Result<(), Result<Gone, ApiError>> {
    let start = json!({"type": "message_start", "message": head});
    sink.named("message_start", &start).await?;
    let mut blocks = Blocks::default();
    loop {
        match answer.next().await.ok_or_else(|| Err(gone()))? {
            Step::Token(_, text) => tell(&sink, &mut blocks, parser.push(&text)).await?,
            Step::End(end) => {
                let end = settle(&app, end).map_err(Err)?;
                let mut rest = parser.push(&end.text);
                rest.extend(parser.finish());
                tell(&sink, &mut blocks, rest).await?;
                stop_block(&sink, blocks.all.len()).await?;
                let mut delta = json!({
                    "type": "message_delta",
                    "delta": {
                        "stop_reason": blocks.stop_reason(&end),
                        "stop_sequence": params.stopped_by(end.reason),
                    },
                    "usage": usage(&end),
                });
                answer.add_receipt(&mut delta);
                sink.named("message_delta", &delta).await?;
                let stop = json!({"type": "message_stop"});
                sink.named("message_stop", &stop).await?;
                return Ok(());
            }
        }
    }
}

async fn tell(sink: &Sink, blocks: &mut Blocks, pieces: Vec<Piece>) -> Result<(), Gone> {
    for piece in pieces {
        let before = blocks.all.len();
        for change in blocks.add(piece) {
            let index = blocks.all.len() - 1;
            match change {
                Change::Begin(block) => {
                    stop_block(sink, before).await?;
                    let start = json!({
                        "type": "content_block_start",
                        "index": index,
                        "content_block": block,
                    });
                    sink.named("content_block_start", &start).await?;
                }
                Change::Delta(delta) => {
                    let delta = json!({
                        "type": "content_block_delta",
                        "index": index,
                        "delta": delta,
                    });
                    sink.named("content_block_delta", &delta).await?;
                }
            }
        }
    }
    Ok(())
}

/// Ends the last of so many blocks.
async fn stop_block(sink: &Sink, blocks: usize) -> Result<(), Gone> {
    match blocks.checked_sub(1) {
        None => Ok(()),
        Some(index) => {
            let stop = json!({"type": "content_block_stop", "index": index});
            sink.named("content_block_stop", &stop).await
        }
    }
}

impl Asked {
    /// The conversation in OpenAI's form, which templates read.
    fn turns(&self) -> Result<Turns, ApiError> {
        let mut messages = Vec::new();
        if let Some(system) = &self.system {
            messages.push(json!({"role": "system", "content": text_of_parts(system)?}));
        }
        for message in &self.messages {
            push_message(&mut messages, message)?;
        }
        let tools = self.tools.iter().map(|tool| {
            json!({"type": "function", "function": {
                "name": tool.get("name"),
                "description": tool.get("description"),
                "parameters": tool.get("input_schema"),
            }})
        });
        let choice = self.tool_choice.as_ref();
        let field = |name: &str| choice.and_then(|choice| choice.get(name));
        let tool_choice = match field("type").and_then(Value::as_str) {
            None if choice.is_none_or(Value::is_null) => "auto".into(),
            Some("auto") => "auto".into(),
            Some("none") => "none".into(),
            Some("any") => "required".into(),
            Some("tool") => json!({"type": "function", "function": {"name": field("name")}}),
            _ => {
                return Err(ApiError::invalid(
                    "`tool_choice.type` is neither auto nor any nor tool nor none",
                ));
            }
        };
        let one = field("disable_parallel_tool_use") == Some(&Value::Bool(true));
        let thinks = self.thinking.as_ref().and_then(|t| t.get("type")?.as_str());
        let thinking_budget = self
            .thinking
            .as_ref()
            .and_then(|t| t.get("budget_tokens")?.as_i64());
        let parse = |value: Value| -> Result<ChatJson, ApiError> {
            serde_json::from_value(value).map_err(ApiError::invalid)
        };
        let tools: Result<Vec<ChatJson>, ApiError> = tools.map(parse).collect();
        let messages: Result<Vec<Message>, _> =
            messages.into_iter().map(serde_json::from_value).collect();
        Ok(Turns {
            messages: messages.map_err(ApiError::invalid)?,
            tools: tools?,
            tool_choice: Some(tool_choice),
            parallel_tool_calls: Some(!one),
            add_generation_prompt: true,
            chat_template_kwargs: None,
            reasoning_effort: (thinks == Some("disabled")).then(|| "none".into()),
            reasoning_format: None,
            thinking_budget_tokens: thinking_budget,
        })
    }
}

/// A message in OpenAI's form: results of tools become messages of their own.
fn push_message(messages: &mut Vec<Value>, message: &Value) -> Result<(), ApiError> {
    let role = message.get("role").and_then(Value::as_str);
    let role = role.filter(|role| ["user", "assistant"].contains(role));
    let role = role.ok_or_else(|| ApiError::invalid("`role` is neither user nor assistant"))?;
    let content = message.get("content").unwrap_or(&Value::Null);
    let Value::Array(blocks) = content else {
        messages.push(json!({"role": role, "content": text_of_parts(content)?}));
        return Ok(());
    };
    let (mut text, mut thinking, mut calls) = (Vec::new(), String::new(), Vec::new());
    for block in blocks {
        let field = |name: &str| block.get(name).cloned().unwrap_or(Value::Null);
        match block.get("type").and_then(Value::as_str) {
            Some("text") => text.push(field("text")),
            Some("thinking") => thinking.push_str(field("thinking").as_str().unwrap_or_default()),
            Some("redacted_thinking") => {}
            Some("tool_use") => calls.push(json!({
                "id": field("id"),
                "type": "function",
                "function": {"name": field("name"), "arguments": field("input")},
            })),
            Some("tool_result") => messages.push(json!({
                "role": "tool",
                "tool_call_id": field("tool_use_id"),
                "content": match field("content") {
                    Value::Null => String::new(),
                    content => text_of_parts(&content)?,
                },
            })),
            other => {
                let other = other.unwrap_or("none").to_string();
                return Err(ApiError::invalid(format!(
                    "a block of type {other} is not supported: text, thinking, tool_use and \
                     tool_result are"
                )));
            }
        }
    }
    if text.is_empty() && thinking.is_empty() && calls.is_empty() {
        return Ok(());
    }
    let texts: Vec<&str> = text.iter().filter_map(Value::as_str).collect();
    let mut told = Map::new();
    told.insert("role".into(), role.into());
    told.insert("content".into(), texts.join("\n").into());
    if !thinking.is_empty() {
        told.insert("reasoning_content".into(), thinking.into());
    }
    if !calls.is_empty() {
        told.insert("tool_calls".into(), calls.into());
    }
    messages.push(told.into());
    Ok(())
}
