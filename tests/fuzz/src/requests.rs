//! Requests to the server, which runs the model that is part of the program.
//!
//! Of a file, the first line is the path, with `GET ` before it where nothing is sent; what follows
//! is the body. A path that does not begin with `/` stands for `/v1/chat/completions`.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, header};
use sharpi_chat::template::named;
use sharpi_compile::conversation::ChatTemplate;
use sharpi_compile::engine::{Engine, EngineOptions};
use sharpi_compile::lower::LowerOptions;
use sharpi_compile::serve::{App, ServeOptions, router};
use sharpi_compile::{CompileOptions, Model};
use tokio::runtime::Runtime;
use tower::ServiceExt;

/// Positions of a request: few, so that nothing takes long.
const CONTEXT: usize = 256;
/// What takes longer hangs.
const LONG: Duration = Duration::from_secs(60);

static SERVED: LazyLock<(Runtime, Router)> = LazyLock::new(|| {
    let runtime = Runtime::new().expect("a runtime");
    (runtime, router(app()))
});

fn app() -> App {
    let model = Model::embedded().expect("a model");
    let tokenizer = Arc::new(model.tokenizer().expect("a tokenizer"));
    let options = CompileOptions::default().lower(LowerOptions::default().max_rows(4));
    let executable = Arc::new(model.compile(&options).expect("compiled"));
    let engine = EngineOptions::default().threads(1).context(CONTEXT);
    let engine = Engine::start(executable, Some(tokenizer.clone()), engine).expect("an engine");
    let source = named::source("qwen3.5").expect("a named template");
    let template = ChatTemplate::parse(source).expect("a sound template");
    let options = ServeOptions::default()
        .metrics(true)
        .max_body(64 << 10)
        .max_tokens(Some(4));
    App::new(engine, tokenizer, template, options)
}

/// Sends a request and reads the answer: whatever it is, the program itself does not fail.
pub fn check(file: &[u8]) {
    let end = file.iter().position(|byte| *byte == b'\n');
    let (line, body) = file.split_at(end.unwrap_or(file.len()));
    let body = body.strip_prefix(b"\n").unwrap_or(body).to_vec();
    let line = String::from_utf8_lossy(line);
    let (method, path) = match line.strip_prefix("GET ") {
        Some(path) => ("GET", path),
        None => ("POST", &*line),
    };
    let path = match path.starts_with('/') {
        true => path,
        false => "/v1/chat/completions",
    };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body));
    let Ok(request) = request else {
        return;
    };
    let (runtime, router) = &*SERVED;
    let router = router.clone();
    // On a thread of the runtime, as connections are.
    let answer = runtime.spawn(async move {
        let answer = async {
            let response = router.oneshot(request).await.unwrap_or_else(|e| match e {});
            let status = response.status().as_u16();
            let body = to_bytes(response.into_body(), usize::MAX).await;
            (status, body.expect("a whole answer"))
        };
        tokio::time::timeout(LONG, answer).await
    });
    let (status, body) = (runtime.block_on(answer).expect("no panic")).expect("an answer in time");
    let text = String::from_utf8(body.to_vec()).expect("text");
    assert_ne!(status, 500, "{text}");
    assert!(!text.contains("the program has failed"), "{text}");
    if status != 200 {
        let told: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let message = told["error"]["message"].as_str().expect("a message");
        crate::message::check(message);
    }
}
