//! The engine over HTTP, for clients that were written for llama-server, OpenAI or Anthropic.
//!
//! [`serve`] answers until it is told to stop; then running answers end and new ones get 503, as all do before the
//! model is there ([`serve_loading`]). Names and
//! meanings of endpoints, fields and counters are llama-server's.

mod access;
mod app;
mod bodies;
mod chat;
mod completions;
mod engine;
mod error;
mod generation;
mod guided;
mod listen;
mod logprobs;
mod messages;
mod openapi;
mod page;
mod params;
mod reasoning;
mod responses;
mod served;
mod slots;
mod status;
mod tokens;

use std::future::Future;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tower_http::catch_panic::CatchPanicLayer;

pub use app::{App, ServeOptions};
use error::ApiError;

/// Serves until `stop` is done, then until the answers that run have ended.
pub async fn serve(app: App, listener: &TcpListener, stop: impl Future<Output = ()>) {
    let (engine, options) = (app.engine.clone(), app.options.clone());
    let stop = async move {
        stop.await;
        engine.close();
    };
    listen::listen(router(app), listener, &options, stop).await;
}

/// Answers every request with 503 until `loaded` is done.
pub async fn serve_loading(listener: &TcpListener, loaded: impl Future<Output = ()>) {
    let loading =
        async |request: Request| access::refused(&request, ApiError::unavailable("Loading model"));
    let router = Router::new().fallback(loading);
    listen::listen(router, listener, &ServeOptions::default(), loaded).await;
}

/// All endpoints.
pub fn router(app: App) -> Router {
    let limit = app.options.max_body;
    let open = Router::new()
        .route("/health", get(status::health))
        .route("/v1/health", get(status::health))
        .route("/v1/models", get(status::models))
        .route("/openapi.json", get(openapi::openapi))
        .route("/v1/models/{model}", get(status::one_model))
        .route("/models", get(status::models));
    // It knows nothing but itself: what it shows it asks for, with a key.
    let open = match app.options.webui {
        true => open.merge(page::router()),
        false => open,
    };
    let closed = Router::new()
        .route("/v1/chat/completions", post(chat::completions))
        .route("/chat/completions", post(chat::completions))
        .route("/v1/responses", post(responses::responses))
        .route("/responses", post(responses::responses))
        .route("/v1/completions", post(completions::openai))
        .route("/completion", post(completions::native))
        .route("/completions", post(completions::native))
        .route("/v1/messages", post(messages::messages))
        .route("/v1/messages/count_tokens", post(messages::count_tokens))
        .route("/tokenize", post(tokens::tokenize))
        .route("/detokenize", post(tokens::detokenize))
        .route("/apply-template", post(tokens::apply_template))
        .route("/v1/engine", get(engine::engine))
        .route("/v1/engine/steps", get(engine::steps))
        .route("/props", get(status::props))
        .route("/slots", get(slots::slots))
        .route("/metrics", get(status::metrics))
        .layer(from_fn_with_state(app.clone(), bodies::read))
        .layer(from_fn_with_state(app.clone(), access::check_key));
    open.merge(closed)
        .fallback(status::unknown)
        .method_not_allowed_fallback(status::wrong_method)
        .layer(DefaultBodyLimit::max(limit))
        .layer(CatchPanicLayer::custom(access::panicked))
        .layer(from_fn_with_state(app.clone(), access::watch))
        .with_state(app)
}
