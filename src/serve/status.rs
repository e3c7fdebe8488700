//! What the server tells of itself.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::app::App;
use super::error::ApiError;

pub(super) async fn health(State(app): State<App>) -> Result<Json<Value>, ApiError> {
    match app.engine.is_open() {
        true => Ok(Json(json!({"status": "ok"}))),
        false => Err(super::generation::gone()),
    }
}

pub(super) async fn models(State(app): State<App>) -> Json<Value> {
    let alias = &app.options.alias;
    Json(json!({
        "object": "list",
        "data": [model(&app)],
        "models": [{"name": alias, "model": alias}],
    }))
}

/// The model of this name.
pub(super) async fn one_model(
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    match name == app.options.alias {
        true => Ok(Json(model(&app))),
        false => Err(ApiError::new(
            StatusCode::NOT_FOUND,
            "not_found_error",
            format!("there is no model {name}; {} is served", app.options.alias),
        )),
    }
}

fn model(app: &App) -> Value {
    json!({
        "id": app.options.alias,
        "object": "model",
        "created": app.created,
        "owned_by": "sharpi-compile",
        "meta": {"n_vocab": app.tokenizer.len(), "n_ctx": app.engine.options().context},
    })
}

pub(super) async fn props(State(app): State<App>) -> Json<Value> {
    let tokenizer = &app.tokenizer;
    let text_of = |id: Option<u32>| {
        id.and_then(|id| tokenizer.token_text(id))
            .unwrap_or_default()
    };
    let sampler = &app.options.sampler;
    Json(json!({
        "default_generation_settings": {
            "n_ctx": app.engine.options().context,
            "params": {
                "temperature": sampler.temp,
                "top_k": sampler.top_k,
                "top_p": sampler.top_p,
                "min_p": sampler.min_p,
                "repeat_penalty": sampler.repeat_penalty,
                "presence_penalty": sampler.presence_penalty,
                "frequency_penalty": sampler.frequency_penalty,
                "n_predict": app.options.max_tokens.map_or(-1, |n| n as i64),
            },
        },
        "total_slots": app.engine.options().parallel,
        "model_alias": app.options.alias,
        "chat_template": app.template.source(),
        "bos_token": text_of(tokenizer.bos()),
        "eos_token": text_of(tokenizer.eos()),
        "build_info": super::chat::fingerprint(),
        "modalities": {"vision": false, "audio": false},
        "is_sleeping": false,
    }))
}

/// Prometheus' text form, under llama-server's names.
pub(super) async fn metrics(State(app): State<App>) -> Result<Response, ApiError> {
    if !app.options.metrics {
        return Err(ApiError::unsupported(
            "start the server with --metrics to see them",
        ));
    }
    let (stats, counts) = (app.engine.stats(), &app.counts);
    let seconds = |micros: &AtomicU64| micros.load(Ordering::Relaxed) as f64 / 1e6;
    let prompt_seconds = seconds(&counts.prompt_microseconds);
    let predicted_seconds = seconds(&counts.generate_microseconds);
    let rate = |n: u64, seconds: f64| {
        if seconds > 0.0 {
            n as f64 / seconds
        } else {
            0.0
        }
    };
    let memory = &stats.prompts;
    let all: [(&str, &str, &str, f64); 18] = [
        (
            "prompt_tokens_total",
            "counter",
            "Tokens of prompts that were read.",
            stats.prompt_tokens as f64,
        ),
        (
            "prompt_seconds_total",
            "counter",
            "Time of prompts.",
            prompt_seconds,
        ),
        (
            "tokens_predicted_total",
            "counter",
            "Tokens generated.",
            stats.generated_tokens as f64,
        ),
        (
            "tokens_predicted_seconds_total",
            "counter",
            "Time of generating.",
            predicted_seconds,
        ),
        (
            "n_decode_total",
            "counter",
            "Steps of the engine.",
            stats.steps as f64,
        ),
        (
            "last_run_tokens",
            "gauge",
            "Tokens in the last run.",
            stats.last_width as f64,
        ),
        (
            "prompt_tokens_seconds",
            "gauge",
            "Tokens of prompts a second.",
            rate(stats.prompt_tokens, prompt_seconds),
        ),
        (
            "predicted_tokens_seconds",
            "gauge",
            "Tokens generated a second.",
            rate(stats.generated_tokens, predicted_seconds),
        ),
        (
            "requests_processing",
            "gauge",
            "Requests that run.",
            stats.running as f64,
        ),
        (
            "requests_deferred",
            "gauge",
            "Requests that wait.",
            stats.waiting as f64,
        ),
        (
            "draft_tokens_total",
            "counter",
            "Tokens drafted.",
            stats.drafted_tokens as f64,
        ),
        (
            "draft_tokens_accepted_total",
            "counter",
            "Drafts that held.",
            stats.accepted_tokens as f64,
        ),
        (
            "prompt_memory_hits_total",
            "counter",
            "Requests that began behind something remembered.",
            memory.hits as f64,
        ),
        (
            "prompt_memory_tokens_total",
            "counter",
            "Tokens that were remembered.",
            memory.tokens_saved as f64,
        ),
        (
            "prompt_memory_bytes",
            "gauge",
            "Bytes of remembered prompts.",
            memory.bytes as f64,
        ),
        (
            "sequence_bytes",
            "gauge",
            "Bytes promised to running requests.",
            stats.sequence_bytes as f64,
        ),
        (
            "http_requests_total",
            "counter",
            "HTTP requests.",
            counts.requests.load(Ordering::Relaxed) as f64,
        ),
        (
            "http_errors_total",
            "counter",
            "HTTP requests that failed.",
            counts.refused.load(Ordering::Relaxed) as f64,
        ),
    ];
    let mut text = String::new();
    for (name, kind, help, value) in all {
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "# HELP llamacpp:{name} {help}\n# TYPE llamacpp:{name} {kind}\nllamacpp:{name} {value}"
        );
    }
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
    Ok((kind, text).into_response())
}

pub(super) async fn unknown() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "not_found_error", "File Not Found")
}

pub(super) async fn wrong_method() -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "invalid_request_error",
        "this method is not supported here",
    )
}
