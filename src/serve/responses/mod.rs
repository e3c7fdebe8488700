//! OpenAI's `/v1/responses`. Nothing is kept from one request to the next.

mod output;
mod request;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use sharpi_chat::answer::{AnswerParser, Piece};

use super::app::{App, now};
use super::chat::{self, new_id};
use super::error::ApiError;
use super::generation::{Gone, Sink, finish_reason, gone, or_gone, settle, stream};
use super::logprobs::logprob;
use super::params::Params;
use super::served::{Served, Step};
use crate::engine::{End, Token};
use output::{Event, Output};
pub(super) use request::Asked;

pub(super) async fn responses(
    State(app): State<App>,
    body: Result<Json<Asked>, JsonRejection>,
) -> Result<Response, ApiError> {
    let Json(asked) = body?;
    let chat = asked.as_chat()?;
    let (format, mut answers) = chat::begin(&app, &chat).await?;
    let answer = answers.pop().filter(|_| answers.is_empty());
    let answer = answer.ok_or_else(|| ApiError::invalid("`n` is not supported here"))?;
    let params = chat.params;
    let writer = Writer {
        head: head(&app, &asked),
        making: Making {
            parser: AnswerParser::new(format),
            output: Output::default(),
            logprobs: Vec::new(),
            reasoning_tokens: 0,
            silent_tokens: 0,
        },
        app,
        params,
        sequence: 0,
    };
    if writer.params.stream {
        let timeout = writer.app.options.timeout;
        return Ok(stream(timeout, |sink| async move {
            or_gone(writer.write(sink, answer).await)
        }));
    }
    Ok(Json(writer.whole(answer).await?).into_response())
}

/// The response before anything is in it: what was asked for, and what holds where nothing was said.
fn head(app: &App, asked: &Asked) -> Value {
    let given = |name: &str| asked.rest.get(name).filter(|value| !value.is_null());
    let or = |name: &str, value: Value| given(name).cloned().unwrap_or(value);
    let sampler = &app.options.sampler;
    let reasoning = asked.reasoning.as_ref();
    let mut text = asked.text.clone().unwrap_or_default();
    text.entry("format")
        .or_insert_with(|| json!({"type": "text"}));
    let tools = asked.tools.iter().map(|tool| {
        let mut tool = tool.clone();
        for name in ["parameters", "strict"] {
            if tool.get(name).is_none() {
                tool[name] = Value::Null;
            }
        }
        tool
    });
    json!({
        "id": new_id("resp_"),
        "object": "response",
        "created_at": now(),
        "completed_at": null,
        "status": "in_progress",
        "background": false,
        "error": null,
        "incomplete_details": null,
        "instructions": asked.instructions,
        "max_output_tokens": asked.max_output_tokens,
        "metadata": or("metadata", json!({})),
        "model": app.options.alias,
        "output": [],
        "parallel_tool_calls": or("parallel_tool_calls", true.into()),
        "previous_response_id": null,
        "reasoning": {
            "effort": reasoning.and_then(|r| r.effort.clone()),
            "summary": reasoning.and_then(|r| r.summary.clone()),
        },
        "store": false,
        "temperature": or("temperature", sampler.temp.into()),
        "text": text,
        "tool_choice": asked.tool_choice.clone().unwrap_or_else(|| "auto".into()),
        "tools": tools.collect::<Vec<_>>(),
        "top_logprobs": asked.top_logprobs.unwrap_or(0),
        "top_p": or("top_p", sampler.top_p.into()),
        "truncation": "disabled",
        "usage": null,
    })
}

/// Makes a response of an answer.
struct Writer {
    app: App,
    params: Params,
    head: Value,
    making: Making,
    /// Events told so far.
    sequence: u64,
}

/// What has come of an answer.
struct Making {
    parser: AnswerParser,
    output: Output,
    /// Of tokens whose text has not come.
    logprobs: Vec<Value>,
    /// Tokens that gave reasoning.
    reasoning_tokens: usize,
    /// Tokens that have given nothing yet.
    silent_tokens: usize,
}

impl Making {
    fn push(&mut self, token: &Token, text: &str, app: &App, params: &Params) -> Vec<Event> {
        if let Some(top) = params.top() {
            self.logprobs.push(logprob(app, token, top));
        }
        self.silent_tokens += 1;
        let pieces = self.parser.push(text);
        self.take(pieces)
    }

    fn take(&mut self, pieces: Vec<Piece>) -> Vec<Event> {
        if let Some(first) = pieces.first() {
            if matches!(first, Piece::Reasoning(_)) {
                self.reasoning_tokens += self.silent_tokens;
            }
            self.silent_tokens = 0;
        }
        let pieces = pieces.into_iter();
        let events = pieces.map(|piece| {
            let logprobs = std::mem::take(&mut self.logprobs);
            self.output.add(piece, logprobs)
        });
        events.flatten().collect()
    }

    fn end(&mut self, text: &str) -> Vec<Event> {
        let mut rest = self.parser.push(text);
        rest.extend(self.parser.finish());
        let events = self.take(rest);
        self.output.note(std::mem::take(&mut self.logprobs));
        events
    }
}

impl Writer {
    async fn whole(mut self, mut answer: Served) -> Result<Value, ApiError> {
        loop {
            match answer.next().await.ok_or_else(gone)? {
                Step::Token(token, text) => {
                    self.making.push(&token, &text, &self.app, &self.params);
                }
                Step::End(end) => {
                    let end = settle(&self.app, end)?;
                    self.making.end(&end.text);
                    let mut told = self.told(&end).1;
                    answer.add_receipt(&mut told);
                    return Ok(told);
                }
            }
        }
    }

    /// The whole response, and the event that tells of it.
    fn told(&self, end: &End) -> (&'static str, Value) {
        let stats = &end.stats;
        let (name, status) = match finish_reason(end.reason) {
            "stop" => ("response.completed", "completed"),
            _ => ("response.incomplete", "incomplete"),
        };
        let mut told = self.head.clone();
        told["status"] = status.into();
        match status {
            "completed" => told["completed_at"] = now().into(),
            _ => told["incomplete_details"] = json!({"reason": "max_output_tokens"}),
        }
        told["output"] = self.making.output.told(status);
        told["usage"] = json!({
            "input_tokens": stats.prompt_tokens,
            "input_tokens_details": {
                "cached_tokens": stats.remembered_tokens,
                "cache_write_tokens": 0,
            },
            "output_tokens": stats.generated_tokens,
            "output_tokens_details": {"reasoning_tokens": self.making.reasoning_tokens},
            "total_tokens": stats.prompt_tokens + stats.generated_tokens,
        });
        (name, told)
    }

    async fn write(mut self, sink: Sink, answer: Served) -> Result<(), Result<Gone, ApiError>> {
        match self.follow(&sink, answer).await {
            Err(Err(error)) => {
                let mut failed = self.head.clone();
                failed["status"] = "failed".into();
                failed["error"] = json!({"code": "server_error", "message": error.message()});
                let event = ("response.failed", json!({"response": failed}));
                self.tell(&sink, vec![event]).await?;
                Ok(())
            }
            other => other,
        }
    }

    async fn follow(
        &mut self,
        sink: &Sink,
        mut answer: Served,
    ) -> Result<(), Result<Gone, ApiError>> {
        let begun = ["response.created", "response.in_progress"];
        let begun = begun.map(|name| (name, json!({"response": self.head})));
        self.tell(sink, begun.into()).await?;
        loop {
            match answer.next().await.ok_or_else(|| Err(gone()))? {
                Step::Token(token, text) => {
                    let events = self.making.push(&token, &text, &self.app, &self.params);
                    self.tell(sink, events).await?;
                }
                Step::End(end) => {
                    let end = settle(&self.app, end).map_err(Err)?;
                    let mut events = self.making.end(&end.text);
                    let (name, mut told) = self.told(&end);
                    answer.add_receipt(&mut told);
                    let status = told["status"].as_str().unwrap_or_default();
                    events.extend(self.making.output.close(status));
                    events.push((name, json!({"response": told})));
                    self.tell(sink, events).await?;
                    return Ok(());
                }
            }
        }
    }

    async fn tell(&mut self, sink: &Sink, events: Vec<Event>) -> Result<(), Gone> {
        for (name, mut event) in events {
            event["type"] = name.into();
            event["sequence_number"] = self.sequence.into();
            self.sequence += 1;
            sink.named(name, &event).await?;
        }
        Ok(())
    }
}
