//! From a request to what its client is sent, whatever the API.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::response::sse::{Event as SseEvent, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::sync::mpsc::{Sender, channel};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

use super::app::App;
use super::error::ApiError;
use crate::engine::{End, RequestStats, StopReason};

/// Messages that wait for a client that reads slowly.
const AHEAD: usize = 64;

/// Adds up what an answer took; its failure is an error.
pub(super) fn settle(app: &App, end: Box<End>) -> Result<End, ApiError> {
    let micros = |time: Duration| time.as_micros() as u64;
    let (counts, stats) = (&app.counts, &end.stats);
    let prompt = micros(stats.prompt_time);
    counts
        .prompt_microseconds
        .fetch_add(prompt, Ordering::Relaxed);
    let generate = micros(stats.generate_time);
    counts
        .generate_microseconds
        .fetch_add(generate, Ordering::Relaxed);
    match end.error {
        Some(error) => Err(error.into()),
        None => Ok(*end),
    }
}

/// What a client is told whose answer has been cut off from without.
pub(super) fn gone() -> ApiError {
    ApiError::unavailable("the server is being stopped")
}

/// llama-server's `timings`.
pub(super) fn timings(stats: &RequestStats) -> Value {
    let ms = |time: Duration| 1e3 * time.as_secs_f64();
    let rate = |n: usize, ms: f64| if ms > 0.0 { 1e3 * n as f64 / ms } else { 0.0 };
    let each = |n: usize, ms: f64| if n > 0 { ms / n as f64 } else { 0.0 };
    let (prompt_ms, predicted_ms) = (ms(stats.prompt_time), ms(stats.generate_time));
    let read = stats.prompt_tokens - stats.remembered_tokens;
    let made = stats.generated_tokens;
    let mut timings = json!({
        "cache_n": stats.remembered_tokens,
        "prompt_n": read,
        "prompt_ms": prompt_ms,
        "prompt_per_token_ms": each(read, prompt_ms),
        "prompt_per_second": rate(read, prompt_ms),
        "predicted_n": made,
        "predicted_ms": predicted_ms,
        "predicted_per_token_ms": each(made, predicted_ms),
        "predicted_per_second": rate(made, predicted_ms),
    });
    if !stats.rounds.is_empty() {
        let drafted: usize = stats.rounds.iter().map(|r| r.draft.len()).sum();
        let accepted: usize = stats.rounds.iter().map(|r| r.accepted).sum();
        timings["draft_n"] = drafted.into();
        timings["draft_n_accepted"] = accepted.into();
    }
    timings
}

/// OpenAI's `usage`.
pub(super) fn usage(prompt: usize, cached: usize, made: usize) -> Value {
    json!({
        "prompt_tokens": prompt,
        "completion_tokens": made,
        "total_tokens": prompt + made,
        "prompt_tokens_details": {"cached_tokens": cached},
    })
}

/// OpenAI's reason why an answer ended.
pub(super) fn finish_reason(reason: StopReason) -> &'static str {
    match reason {
        StopReason::EndOfText(_) | StopReason::StopString(_) => "stop",
        _ => "length",
    }
}

/// Where a stream's messages go.
#[derive(Clone)]
pub(super) struct Sink {
    events: Sender<SseEvent>,
    /// How long a client may take to read.
    timeout: Duration,
}

/// The client is gone, or reads too slowly.
pub(super) struct Gone;

impl Sink {
    pub(super) async fn send(&self, value: &Value) -> Result<(), Gone> {
        self.put(SseEvent::default().data(value.to_string())).await
    }

    pub(super) async fn named(&self, name: &str, value: &Value) -> Result<(), Gone> {
        let event = SseEvent::default().event(name).data(value.to_string());
        self.put(event).await
    }

    pub(super) async fn done(&self) -> Result<(), Gone> {
        self.put(SseEvent::default().data("[DONE]")).await
    }

    async fn put(&self, event: SseEvent) -> Result<(), Gone> {
        self.events
            .send_timeout(event, self.timeout)
            .await
            .map_err(|_| Gone)
    }
}

/// A stream of server-sent events that `write` fills. An error of its is the last event.
/// A client that takes longer than `timeout` to read is taken to be gone.
pub(super) fn stream<F>(timeout: Duration, write: impl FnOnce(Sink) -> F) -> Response
where
    F: Future<Output = Result<(), ApiError>> + Send + 'static,
{
    let (sender, receiver) = channel(AHEAD);
    let sink = Sink {
        events: sender,
        timeout,
    };
    let mut work = tokio::spawn(write(sink.clone()));
    tokio::spawn(async move {
        let ended = tokio::select! {
            ended = &mut work => ended,
            // The client went away, and what it asked for goes with it.
            () = sink.events.closed() => return work.abort(),
        };
        let error = match ended {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error,
            Err(_) => ApiError::panicked(),
        };
        let body = error.body();
        // There is nobody left to tell if that fails.
        let _ = match body.get("type") {
            Some(_) => sink.named("error", &body).await,
            None => sink.send(&body).await,
        };
    });
    let events = ReceiverStream::new(receiver).map(Ok::<_, std::convert::Infallible>);
    Sse::new(events)
        .keep_alive(KeepAlive::default())
        .into_response()
}

/// A client that went away is no failure.
pub(super) fn or_gone(result: Result<(), Result<Gone, ApiError>>) -> Result<(), ApiError> {
    match result {
        Ok(()) | Err(Ok(Gone)) => Ok(()),
        Err(Err(error)) => Err(error),
    }
}

impl From<Gone> for Result<Gone, ApiError> {
    fn from(gone: Gone) -> Result<Gone, ApiError> {
        Ok(gone)
    }
}
