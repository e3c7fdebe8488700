//! Who may ask, and what is noted of it.

use std::any::Any;
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
    refused(&request, error)
}

/// A refusal as the client of a request reads it.
pub(super) fn refused(request: &Request, error: ApiError) -> Response {
    told(error, is_anthropic(request))
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

/// The answer to a request at which the program panicked.
pub(super) fn panicked(_: Box<dyn Any + Send>) -> Response {
    tracing::error!("a request panicked; it alone has failed");
    ApiError::panicked().into_response()
}

pub(super) fn is_anthropic(request: &Request) -> bool {
    request.uri().path().starts_with("/v1/messages")
}

pub(super) fn told(error: ApiError, anthropic: bool) -> Response {
    match anthropic {
        true => error.for_anthropic().into_response(),
        false => error.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::{Body, to_bytes};
    use axum::routing::get;
    use tower::ServiceExt;
    use tower_http::catch_panic::CatchPanicLayer;

    use super::*;

    #[tokio::test]
    async fn a_panic_is_the_failure_of_one_request_alone() {
        async fn panics() -> &'static str {
            panic!("as it was asked to")
        }
        let router = Router::new()
            .route("/panics", get(panics))
            .route("/works", get(|| async { "works" }))
            .layer(CatchPanicLayer::custom(panicked));
        let ask = async |path: &str| {
            let request = Request::get(path).body(Body::empty()).unwrap();
            let response = router.clone().oneshot(request).await.unwrap();
            let status = response.status();
            (status, to_bytes(response.into_body(), 1000).await.unwrap())
        };
        let (status, body) = ask("/panics").await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        let told: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(told["error"]["type"], "server_error");
        assert_eq!(ask("/works").await.0, StatusCode::OK);
    }
}
