//! `/v1/completions`, and llama-server's own `/completion`: a prompt that is continued as it stands.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::app::{App, now};
use super::chat::{fingerprint, new_id, total};
use super::error::ApiError;
use super::generation::{Gone, Sink, finish_reason, gone, or_gone, settle, stream, timings};
use super::logprobs::{logprob, logprobs};
use super::params::Params;
use super::served::{Served, Step};
use super::tokens::heavy;
use crate::engine::{End, RequestStats, StopReason, Token};

/// Most prompts of one request.
const MOST_PROMPTS: usize = 64;

/// A prompt to be continued.
#[derive(Deserialize, ToSchema)]
#[schema(as = CompletionRequest)]
pub(super) struct Asked {
    /// Text, token ids, a list of both, or a list of several of these.
    prompt: Value,
    #[serde(flatten)]
    params: Params,
}

/// Text, ids, a mixture of both, or several of these.
fn prompts(app: &App, prompt: &Value) -> Result<Vec<Vec<u32>>, ApiError> {
    let is_id = |value: &Value| value.is_u64();
    match prompt {
        Value::Array(parts) if parts.iter().any(is_id) => Ok(vec![ids(app, parts)?]),
        Value::Array(parts) if !parts.is_empty() => {
            let each = parts.iter().map(|part| prompts(app, part));
            Ok(each
                .collect::<Result<Vec<_>, _>>()?
                .into_iter()
                .flatten()
                .collect())
        }
        text @ Value::String(_) => Ok(vec![ids(app, std::slice::from_ref(text))?]),
        _ => Err(ApiError::invalid(
            "`prompt` is neither text nor a list of token ids, nor a list of those",
        )),
    }
}

/// The ids of text and ids behind one another.
fn ids(app: &App, parts: &[Value]) -> Result<Vec<u32>, ApiError> {
    let tokenizer = &app.tokenizer;
    let text_first = matches!(parts.first(), Some(Value::String(_)));
    let bos = tokenizer
        .bos()
        .filter(|_| text_first && tokenizer.adds_bos());
    let mut ids: Vec<u32> = bos.into_iter().collect();
    for part in parts {
        match part {
            Value::String(text) => ids.extend(tokenizer.encode(text, true)),
            Value::Number(n) => {
                let id = n.as_u64().and_then(|n| u32::try_from(n).ok());
                ids.push(id.ok_or_else(|| ApiError::invalid(format!("{n} is no token id")))?);
            }
            _ => {
                return Err(ApiError::invalid(
                    "`prompt` mixes in what is neither text nor an id",
                ));
            }
        }
    }
    Ok(ids)
}

/// Answers to all choices of all prompts.
async fn submit(app: &App, asked: &Asked) -> Result<Vec<Served>, ApiError> {
    let held = app.guides.hold(asked.params.form()?).await?;
    let mut answers = Vec::new();
    let prompts = heavy(|| prompts(app, &asked.prompt))?;
    if prompts.len() > MOST_PROMPTS {
        let count = prompts.len();
        return Err(ApiError::invalid(format!(
            "`prompt` has {count} prompts, at most {MOST_PROMPTS} are taken"
        )));
    }
    for prompt in prompts {
        for i in 0..asked.params.choices()? {
            let request = asked.params.request(app, prompt.clone(), i)?;
            answers.push(Served::submit(app, &asked.params, request, &held)?);
        }
    }
    Ok(answers)
}

/// A text with all that is told of it.
struct Whole {
    text: String,
    tokens: Vec<Token>,
    end: End,
}

async fn whole(app: &App, answer: &mut Served) -> Result<Whole, ApiError> {
    let (mut text, mut tokens) = (String::new(), Vec::new());
    loop {
        match answer.next().await.ok_or_else(gone)? {
            Step::Token(token, piece) => {
                text.push_str(&piece);
                tokens.push(token);
            }
            Step::End(end) => {
                let end = settle(app, end)?;
                text.push_str(&end.text);
                return Ok(Whole { text, tokens, end });
            }
        }
    }
}

pub(super) async fn openai(
    State(app): State<App>,
    body: Result<Json<Asked>, JsonRejection>,
) -> Result<Response, ApiError> {
    let Json(asked) = body?;
    let answers = submit(&app, &asked).await?;
    let head = json!({
        "id": new_id("cmpl-"),
        "object": "text_completion",
        "created": now(),
        "model": app.options.alias,
        "system_fingerprint": fingerprint(),
    });
    let params = asked.params;
    if params.stream {
        return Ok(stream(app.options.timeout, |sink| {
            write_openai(app, sink, head, params, answers)
        }));
    }
    let (mut choices, mut ends) = (Vec::new(), Vec::new());
    for (index, mut answer) in answers.into_iter().enumerate() {
        let Whole { text, tokens, end } = whole(&app, &mut answer).await?;
        let logprobs = params.top().map(|top| logprobs(&app, &tokens, top, &mut 0));
        let mut choice = json!({
            "index": index,
            "text": text,
            "logprobs": logprobs,
            "finish_reason": finish_reason(end.reason),
        });
        answer.add_receipt(&mut choice);
        choices.push(choice);
        ends.push(end.stats);
    }
    let ends: Vec<&RequestStats> = ends.iter().collect();
    let mut body = head;
    body["choices"] = choices.into();
    body["usage"] = total(&ends, params.choices()?);
    body["timings"] = ends.first().map(|stats| timings(stats)).into();
    Ok(Json(body).into_response())
}

async fn write_openai(
    app: App,
    sink: Sink,
    head: Value,
    params: Params,
    answers: Vec<Served>,
) -> Result<(), ApiError> {
    let write = async {
        let mut ends = Vec::new();
        for (index, mut answer) in answers.into_iter().enumerate() {
            let mut offset = 0;
            loop {
                let step = answer.next().await.ok_or_else(|| Err(gone()))?;
                let (text, told, end) = match step {
                    Step::Token(token, text) => {
                        let told = params
                            .top()
                            .map(|top| logprobs(&app, &[token], top, &mut offset));
                        (text, told, None)
                    }
                    Step::End(end) => {
                        let end = settle(&app, end).map_err(Err)?;
                        (end.text.clone(), None, Some(end))
                    }
                };
                let mut chunk = head.clone();
                chunk["choices"] = json!([{
                    "index": index,
                    "text": text,
                    "logprobs": told,
                    "finish_reason": end.as_ref().map(|end| finish_reason(end.reason)),
                }]);
                answer.add_receipt(&mut chunk["choices"][0]);
                sink.send(&chunk).await?;
                if let Some(end) = end {
                    ends.push(end.stats);
                    break;
                }
            }
        }
        if params.stream_options.include_usage {
            let ends: Vec<&RequestStats> = ends.iter().collect();
            let mut chunk = head.clone();
            chunk["choices"] = json!([]);
            chunk["usage"] = total(&ends, params.choices().map_err(Err)?);
            sink.send(&chunk).await?;
        }
        sink.done().await?;
        Ok::<(), Result<Gone, ApiError>>(())
    };
    or_gone(write.await)
}

pub(super) async fn native(
    State(app): State<App>,
    body: Result<Json<Asked>, JsonRejection>,
) -> Result<Response, ApiError> {
    let Json(asked) = body?;
    let mut answers = submit(&app, &asked).await?;
    let params = asked.params;
    if params.stream {
        let Some(answer) = answers.pop().filter(|_| answers.is_empty()) else {
            return Err(ApiError::invalid(
                "one prompt at a time can be streamed here",
            ));
        };
        return Ok(stream(app.options.timeout, |sink| {
            write_native(app, sink, params, answer)
        }));
    }
    let mut all = Vec::new();
    for (index, mut answer) in answers.into_iter().enumerate() {
        let Whole { text, tokens, end } = whole(&app, &mut answer).await?;
        let mut body = native_end(&app, &params, &end, index);
        answer.add_receipt(&mut body);
        body["content"] = text.into();
        body["tokens"] = tokens.iter().map(|t| t.id).collect::<Vec<_>>().into();
        if let Some(top) = params.top() {
            let told = tokens.iter().map(|token| logprob(&app, token, top));
            body["completion_probabilities"] = told.collect();
        }
        all.push(body);
    }
    Ok(match all.len() {
        1 => Json(all.remove(0)).into_response(),
        _ => Json(all).into_response(),
    })
}

async fn write_native(
    app: App,
    sink: Sink,
    params: Params,
    mut answer: Served,
) -> Result<(), ApiError> {
    let write = async {
        loop {
            match answer.next().await.ok_or_else(|| Err(gone()))? {
                Step::Token(token, text) => {
                    let mut chunk = json!({
                        "index": 0,
                        "content": text,
                        "tokens": [token.id],
                        "stop": false,
                    });
                    if let Some(top) = params.top() {
                        chunk["completion_probabilities"] = json!([logprob(&app, &token, top)]);
                    }
                    sink.send(&chunk).await?;
                }
                Step::End(end) => {
                    let end = settle(&app, end).map_err(Err)?;
                    let mut last = native_end(&app, &params, &end, 0);
                    last["content"] = end.text.into();
                    answer.add_receipt(&mut last);
                    sink.send(&last).await?;
                    return Ok::<(), Result<Gone, ApiError>>(());
                }
            }
        }
    };
    or_gone(write.await)
}

/// llama-server's account of a finished text.
fn native_end(app: &App, params: &Params, end: &End, index: usize) -> Value {
    let stats = &end.stats;
    let kind = match end.reason {
        StopReason::EndOfText(_) => "eos",
        StopReason::StopString(_) => "word",
        _ => "limit",
    };
    json!({
        "index": index,
        "tokens": [],
        "stop": true,
        "model": app.options.alias,
        "tokens_predicted": stats.generated_tokens,
        "tokens_evaluated": stats.prompt_tokens,
        "tokens_cached": stats.prompt_tokens + stats.generated_tokens,
        "truncated": false,
        "stop_type": kind,
        "stopping_word": params.stopped_by(end.reason),
        "timings": timings(stats),
    })
}
