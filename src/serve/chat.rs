//! `/v1/chat/completions`.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use sharpi_chat::answer::{AnswerFormat, AnswerParser, Piece};
use tokio::task::JoinSet;
use utoipa::ToSchema;

use super::app::{App, now};
use super::error::ApiError;
use super::generation::{Gone, Sink, finish_reason, gone, or_gone, settle, stream, timings, usage};
use super::guided::chat_form;
use super::logprobs::logprob;
use super::params::Params;
use super::served::{Served, Step};
use super::tokens::Turns;
use crate::engine::{RequestStats, StopReason, Token};

/// A conversation to be answered.
#[derive(Deserialize, ToSchema)]
#[schema(as = ChatRequest)]
pub(super) struct Asked {
    #[serde(flatten)]
    pub(super) turns: Turns,
    #[serde(flatten)]
    pub(super) params: Params,
}

/// What all messages of a response have in common.
#[derive(Clone)]
struct Frame {
    id: String,
    created: u64,
    model: String,
}

/// A choice in the making.
#[derive(Default)]
struct Choice {
    content: String,
    reasoning: String,
    calls: Vec<Call>,
    logprobs: Vec<Value>,
    end: Option<(StopReason, RequestStats)>,
    /// What was asked for besides: the receipt.
    more: Value,
}

#[derive(Default)]
struct Call {
    id: String,
    name: String,
    arguments: String,
}

pub(super) async fn completions(
    State(app): State<App>,
    body: Result<Json<Asked>, JsonRejection>,
) -> Result<Response, ApiError> {
    let Json(asked) = body?;
    let (format, answers) = begin(&app, &asked).await?;
    let params = asked.params;
    let frame = Frame {
        id: new_id("chatcmpl-"),
        created: now(),
        model: app.options.alias.clone(),
    };
    if params.stream {
        return Ok(stream(app.options.timeout, |sink| {
            write(app, sink, frame, (params, format), answers)
        }));
    }
    let mut choices = Vec::new();
    for mut answer in answers {
        choices.push(whole(&app, &mut answer, format.clone(), &params).await?);
    }
    Ok(Json(frame.whole(&choices, params.top().is_some())).into_response())
}

/// Answers to all choices of a conversation, and the form that they have.
pub(super) async fn begin(
    app: &App,
    asked: &Asked,
) -> Result<(AnswerFormat, Vec<Served>), ApiError> {
    let Asked { turns, params } = asked;
    let prompt = turns.prompt(app)?;
    let format = turns.format(app, &prompt)?;
    let form = chat_form(app, turns, params, (&format, &prompt))?;
    let held = app.guides.hold(form).await?;
    let mut answers = Vec::new();
    for i in 0..params.choices()? {
        let request = params.request(app, prompt.ids.clone(), i)?;
        let request = request.printed(app.marks.to_vec());
        answers.push(Served::submit(app, params, request, &held)?);
    }
    Ok((format, answers))
}

/// A name that no other has.
pub(super) fn new_id(prefix: &str) -> String {
    let (high, low): (u64, u64) = (rand::random(), rand::random());
    format!("{prefix}{high:016x}{low:016x}")
}

async fn whole(
    app: &App,
    answer: &mut Served,
    format: AnswerFormat,
    params: &Params,
) -> Result<Choice, ApiError> {
    let mut parser = AnswerParser::new(format);
    let mut choice = Choice::default();
    loop {
        match answer.next().await.ok_or_else(gone)? {
            Step::Token(token, text) => {
                choice.note(app, &token, params);
                parser
                    .push(&text)
                    .into_iter()
                    .for_each(|piece| choice.add(piece));
            }
            Step::End(end) => {
                let end = settle(app, end)?;
                let rest = parser.push(&end.text);
                let rest = rest.into_iter().chain(parser.finish());
                rest.for_each(|piece| choice.add(piece));
                choice.end = Some((end.reason, end.stats));
                answer.add_receipt(&mut choice.more);
                return Ok(choice);
            }
        }
    }
}

impl Choice {
    fn add(&mut self, piece: Piece) {
        match piece {
            Piece::Reasoning(text) => self.reasoning.push_str(&text),
            Piece::Content(text) => self.content.push_str(&text),
            Piece::ToolCallBegin { name, .. } => self.calls.push(Call {
                id: new_id("call_"),
                name,
                arguments: String::new(),
            }),
            Piece::ToolCallArguments { delta, .. } => {
                if let Some(call) = self.calls.last_mut() {
                    call.arguments.push_str(&delta);
                }
            }
            _ => {}
        }
    }

    fn note(&mut self, app: &App, token: &Token, params: &Params) {
        if let Some(top) = params.top() {
            self.logprobs.push(logprob(app, token, top));
        }
    }

    fn finish_reason(&self) -> &'static str {
        let reason = self
            .end
            .as_ref()
            .map_or("length", |(reason, _)| finish_reason(*reason));
        match (reason, self.calls.is_empty()) {
            ("stop", false) => "tool_calls",
            (reason, _) => reason,
        }
    }
}

impl Frame {
    fn chunk(&self, choices: Value) -> Value {
        json!({
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": self.model,
            "system_fingerprint": fingerprint(),
            "choices": choices,
        })
    }

    fn delta(&self, index: usize, delta: Value, logprobs: Option<Vec<Value>>) -> Value {
        let logprobs = logprobs.map(|content| json!({"content": content}));
        self.chunk(json!([{
            "index": index,
            "delta": delta,
            "logprobs": logprobs,
            "finish_reason": null,
        }]))
    }

    fn whole(&self, choices: &[Choice], logprobs: bool) -> Value {
        let told = choices.iter().enumerate().map(|(index, choice)| {
            let mut message = json!({"role": "assistant", "content": choice.content});
            if !choice.reasoning.is_empty() {
                message["reasoning_content"] = choice.reasoning.clone().into();
            }
            if !choice.calls.is_empty() {
                let calls = choice.calls.iter().map(|call| {
                    json!({
                        "id": call.id,
                        "type": "function",
                        "function": {"name": call.name, "arguments": call.arguments},
                    })
                });
                message["tool_calls"] = calls.collect();
                if choice.content.is_empty() {
                    message["content"] = Value::Null;
                }
            }
            let mut told = json!({
                "index": index,
                "message": message,
                "logprobs": logprobs.then(|| json!({"content": choice.logprobs})),
                "finish_reason": choice.finish_reason(),
            });
            add(&mut told, &choice.more);
            told
        });
        let ends: Vec<&RequestStats> = choices
            .iter()
            .filter_map(|c| Some(&c.end.as_ref()?.1))
            .collect();
        json!({
            "id": self.id,
            "object": "chat.completion",
            "created": self.created,
            "model": self.model,
            "system_fingerprint": fingerprint(),
            "choices": told.collect::<Vec<_>>(),
            "usage": total(&ends, ends.len()),
            "timings": ends.first().map(|stats| timings(stats)),
        })
    }
}

/// Adds the fields of one object to another.
fn add(to: &mut Value, fields: &Value) {
    for (name, value) in fields.as_object().into_iter().flatten() {
        to[name] = value.clone();
    }
}

/// What answers depend on besides the model.
pub(super) fn fingerprint() -> &'static str {
    concat!("sharpi-compile-", env!("CARGO_PKG_VERSION"))
}

/// The usage of all choices together. Each prompt has `choices` of them, and counts once.
pub(super) fn total(ends: &[&RequestStats], choices: usize) -> Value {
    let made = ends.iter().map(|stats| stats.generated_tokens).sum();
    let prompts = || ends.iter().step_by(choices.max(1));
    let prompt = prompts().map(|stats| stats.prompt_tokens).sum();
    let cached = prompts().map(|stats| stats.remembered_tokens).sum();
    usage(prompt, cached, made)
}

/// Streams all choices, one after the other's pieces as they come.
async fn write(
    app: App,
    sink: Sink,
    frame: Frame,
    (params, format): (Params, AnswerFormat),
    answers: Vec<Served>,
) -> Result<(), ApiError> {
    // Dropped with this, they end too.
    let mut choices = JoinSet::new();
    for (index, answer) in answers.into_iter().enumerate() {
        let format = format.clone();
        let writer = Writer {
            app: app.clone(),
            sink: sink.clone(),
            frame: frame.clone(),
            params: params.clone(),
            index,
        };
        choices.spawn(async move { writer.write(answer, format).await });
    }
    let mut ends = Vec::new();
    while let Some(choice) = choices.join_next().await {
        match choice {
            Ok(Ok(stats)) => ends.push(stats),
            Ok(Err(Ok(Gone))) => return Ok(()),
            Ok(Err(Err(error))) => return Err(error),
            Err(_) => return Err(ApiError::panicked()),
        }
    }
    let close = async {
        if params.stream_options.include_usage {
            let mut last = frame.chunk(json!([]));
            let ends: Vec<&RequestStats> = ends.iter().collect();
            last["usage"] = total(&ends, ends.len());
            last["timings"] = ends.first().map(|stats| timings(stats)).into();
            sink.send(&last).await?;
        }
        sink.done().await?;
        Ok(())
    };
    or_gone(close.await)
}

/// Streams one choice.
struct Writer {
    app: App,
    sink: Sink,
    frame: Frame,
    params: Params,
    index: usize,
}

impl Writer {
    async fn write(
        &self,
        mut answer: Served,
        format: AnswerFormat,
    ) -> Result<RequestStats, Result<Gone, ApiError>> {
        let mut parser = AnswerParser::new(format);
        let first = json!({"role": "assistant", "content": null});
        self.sink
            .send(&self.frame.delta(self.index, first, None))
            .await?;
        let mut choice = Choice::default();
        loop {
            match answer.next().await.ok_or_else(|| Err(gone()))? {
                Step::Token(token, text) => {
                    choice.note(&self.app, &token, &self.params);
                    self.tell(parser.push(&text), &mut choice).await?;
                }
                Step::End(end) => {
                    let end = settle(&self.app, end).map_err(Err)?;
                    let mut rest = parser.push(&end.text);
                    rest.extend(parser.finish());
                    self.tell(rest, &mut choice).await?;
                    choice.end = Some((end.reason, end.stats.clone()));
                    answer.add_receipt(&mut choice.more);
                    self.close(&choice).await?;
                    return Ok(end.stats);
                }
            }
        }
    }

    async fn tell(&self, pieces: Vec<Piece>, choice: &mut Choice) -> Result<(), Gone> {
        for piece in pieces {
            choice.add(piece.clone());
            if let Some(delta) = delta(&piece, choice) {
                let logprobs = self
                    .params
                    .top()
                    .map(|_| std::mem::take(&mut choice.logprobs));
                self.sink
                    .send(&self.frame.delta(self.index, delta, logprobs))
                    .await?;
            }
        }
        Ok(())
    }

    async fn close(&self, choice: &Choice) -> Result<(), Gone> {
        // Of tokens that gave no text in the end: what was held back was part of a mark.
        let logprobs = (!choice.logprobs.is_empty()).then(|| json!({"content": choice.logprobs}));
        let mut last = self.frame.chunk(json!([{
            "index": self.index,
            "delta": {},
            "logprobs": logprobs,
            "finish_reason": choice.finish_reason(),
        }]));
        add(&mut last["choices"][0], &choice.more);
        if let Some((_, stats)) = &choice.end {
            last["timings"] = timings(stats);
        }
        self.sink.send(&last).await
    }
}

/// A piece as OpenAI's clients read it.
fn delta(piece: &Piece, choice: &Choice) -> Option<Value> {
    let index = choice.calls.len().saturating_sub(1);
    match piece {
        Piece::Reasoning(text) => Some(json!({"reasoning_content": text})),
        Piece::Content(text) => Some(json!({"content": text})),
        Piece::ToolCallBegin { name, .. } => Some(json!({"tool_calls": [{
            "index": index,
            "id": choice.calls.last().map(|call| call.id.clone()),
            "type": "function",
            "function": {"name": name, "arguments": ""},
        }]})),
        Piece::ToolCallArguments { delta, .. } => Some(json!({"tool_calls": [{
            "index": index,
            "function": {"arguments": delta},
        }]})),
        _ => None,
    }
}
