//! Who may ask, and what is noted of it.

use std::sync::atomic::Ordering;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sharpi_ir::plain;
use subtle::{Choice, ConstantTimeEq};

use super::app::App;
use super::error::ApiError;

/// Lets those through who show a key, if there are keys.
pub(super) async fn check_key(State(app): State<App>, request: Request, next: Next) -> Response {
    let keys = &app.options.api_keys;
    if keys.is_empty() || shown(request.headers()).is_some_and(|shown| is_one_of(shown, keys)) {
        return next.run(request).await;
    }
    let error = ApiError::new(
        StatusCode::UNAUTHORIZED,
        "authentication_error",
        "Invalid API Key: send it as `Authorization: Bearer KEY` or `x-api-key: KEY`",
    );
    match request.uri().path().starts_with("/v1/messages") {
        true => error.for_anthropic().into_response(),
        false => error.into_response(),
    }
}

fn shown(headers: &HeaderMap) -> Option<&[u8]> {
    let bearer = headers
        .get(header::AUTHORIZATION)
        .map(|value| value.as_bytes());
    let bearer = bearer.and_then(|value| value.strip_prefix(b"Bearer "));
    bearer.or_else(|| headers.get("x-api-key").map(|value| value.as_bytes()))
}

/// Compares with all keys, whole, so that the time tells nothing of how much of one is right.
fn is_one_of(shown: &[u8], keys: &[String]) -> bool {
    let hash = |bytes: &[u8]| *blake3::hash(bytes).as_bytes();
    let shown = hash(shown);
    let none = Choice::from(0);
    let found = keys.iter().fold(none, |found, key| {
        found | hash(key.as_bytes())[..].ct_eq(&shown[..])
    });
    found.into()
}

/// Notes one line of each request: never its text.
pub(super) async fn watch(State(app): State<App>, request: Request, next: Next) -> Response {
    let clock = Instant::now();
    let (method, path) = (request.method().clone(), request.uri().path().to_string());
    app.counts.requests.fetch_add(1, Ordering::Relaxed);
    let response = next.run(request).await;
    let status = response.status();
    if !status.is_success() {
        app.counts.refused.fetch_add(1, Ordering::Relaxed);
    }
    let path = plain::line(&path);
    tracing::info!(
        "{method} {path}: {} in {:.1?}",
        status.as_u16(),
        clock.elapsed()
    );
    response
}
