//! The engine over HTTP, for clients that were written for llama-server, OpenAI or Anthropic.
//!
//! [`serve`] answers until it is told to stop; then running answers end and new ones get 503. Names and
//! meanings of endpoints, fields and counters are llama-server's.

mod access;
mod app;
mod chat;
mod completions;
mod engine;
mod error;
mod generation;
mod guided;
mod messages;
mod page;
mod params;
mod status;
mod tokens;

use std::future::Future;
use std::io;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use tokio::net::TcpListener;

pub use app::{App, ServeOptions};

/// Serves until `stop` is done, then until the answers that run have ended.
///
/// # Errors
/// What the system says of the socket.
pub async fn serve(
    app: App,
    listener: TcpListener,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let engine = app.engine.clone();
    let stop = async move {
        stop.await;
        engine.close();
    };
    axum::serve(listener, router(app))
        .with_graceful_shutdown(stop)
        .await
}

/// All endpoints.
pub fn router(app: App) -> Router {
    let limit = app.options.max_body;
    let open = Router::new()
        .route("/health", get(status::health))
        .route("/v1/health", get(status::health))
        .route("/v1/models", get(status::models))
        .route("/models", get(status::models));
    // It knows nothing but itself: what it shows it asks for, with a key.
    let open = match app.options.webui {
        true => open.merge(page::router()),
        false => open,
    };
    let closed = Router::new()
        .route("/v1/chat/completions", post(chat::completions))
        .route("/chat/completions", post(chat::completions))
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
        .route("/slots", get(status::slots))
        .route("/metrics", get(status::metrics))
        .layer(from_fn_with_state(app.clone(), access::check_key));
    open.merge(closed)
        .fallback(status::unknown)
        .method_not_allowed_fallback(status::wrong_method)
        .layer(DefaultBodyLimit::max(limit))
        .layer(from_fn_with_state(app.clone(), access::watch))
        .with_state(app)
}

/// How long a client may take to read what it is sent before it is taken to be gone.
pub(crate) const SLOW_CLIENT: Duration = Duration::from_secs(60);
