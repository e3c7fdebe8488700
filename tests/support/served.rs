//! A server on the model that is part of the program.
#![allow(dead_code, missing_docs)]

use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;
use sharpi_compile::conversation::ChatTemplate;
use sharpi_compile::engine::{Engine, EngineOptions};
use sharpi_compile::lower::LowerOptions;
use sharpi_compile::serve::{App, ServeOptions, serve, serve_loading};
use sharpi_compile::{CompileOptions, Model};
use tokio::sync::oneshot;

/// What is served, with a template of this name.
pub fn app(options: ServeOptions, template: &str, parallel: usize) -> App {
    app_of(options, template, parallel, 512)
}

/// [`app`] with room for so many tokens.
pub fn app_of(options: ServeOptions, template: &str, parallel: usize, context: usize) -> App {
    let model = Model::embedded().expect("a model");
    let tokenizer = Arc::new(model.tokenizer().expect("a tokenizer"));
    let lower = LowerOptions::default().max_rows(16);
    let executable = model.compile(&CompileOptions::default().lower(lower));
    let engine = EngineOptions::default()
        .parallel(parallel)
        .context(context)
        .prompt_memory(64 << 20)
        .checkpoint_min(8)
        .time_runs(Some(Duration::ZERO))
        .drafts(1);
    let executable = Arc::new(executable.expect("compiled"));
    let engine = Engine::start(executable, Some(tokenizer.clone()), engine).expect("an engine");
    let source = sharpi_chat::template::named::source(template).expect("a named template");
    let template = ChatTemplate::parse(source).expect("a template");
    App::new(engine, tokenizer, template, options)
}

/// A server on a port of its own; it stops when it is dropped.
pub struct Server {
    pub address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub fn start(options: ServeOptions) -> Server {
        Server::of(app(options, "chatml", 8))
    }

    /// With a template of this name, and room for so many tokens.
    pub fn with(template: &str, context: usize, options: ServeOptions) -> Server {
        Server::of(app_of(options, template, 8, context))
    }

    pub fn of(app: App) -> Server {
        let (server, loaded) = Server::begin(std::future::ready(app));
        loaded.recv().expect("a model");
        server
    }

    /// That of a model which is loaded once `app` is done.
    pub fn after(app: impl Future<Output = App> + Send + 'static) -> Server {
        Server::begin(app).0
    }

    fn begin(app: impl Future<Output = App> + Send + 'static) -> (Server, mpsc::Receiver<()>) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"));
        let listener = listener.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (stop, stopped) = oneshot::channel::<()>();
        let (is_loaded, loaded) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let stopped = async {
                stopped.await.ok();
            };
            runtime.block_on(async {
                let mut loaded = None;
                serve_loading(&listener, async { loaded = Some(app.await) }).await;
                is_loaded.send(()).ok();
                serve(loaded.expect("a model"), &listener, stopped).await;
            });
        });
        let server = Server {
            address,
            stop: Some(stop),
            thread: Some(thread),
        };
        (server, loaded)
    }

    /// Lets it end; it is waited for when it is dropped.
    pub fn stop(&mut self) {
        self.stop.take();
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Status and body of an answer.
    pub fn post(&self, path: &str, body: &Value) -> (u16, String) {
        let agent = agent();
        let request = agent.post(self.url(path)).content_type("application/json");
        text(request.send(body.to_string()))
    }

    pub fn get(&self, path: &str) -> (u16, String) {
        text(agent().get(self.url(path)).call())
    }

    pub fn ok(&self, path: &str, body: &Value) -> Value {
        let (status, text) = self.post(path, body);
        assert_eq!(status, 200, "{text}");
        serde_json::from_str(&text).expect("JSON")
    }

    /// The data of a stream's events.
    pub fn stream(&self, path: &str, body: &Value) -> Vec<Value> {
        let (status, text) = self.post(path, body);
        assert_eq!(status, 200, "{text}");
        let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
        let data = data.filter(|data| *data != "[DONE]");
        data.map(|data| serde_json::from_str(data).expect("JSON"))
            .collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            thread.join().expect("a clean end");
        }
    }
}

pub fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder().http_status_as_error(false);
    config.build().into()
}

pub fn text(answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> (u16, String) {
    let mut answer = answer.expect("an answer");
    let status = answer.status().as_u16();
    (status, answer.body_mut().read_to_string().expect("text"))
}

pub fn greedy() -> ServeOptions {
    let sampler = sharpi_compile::generate::SamplerOptions::default();
    ServeOptions::default()
        .alias("tiny".into())
        .sampler(sampler)
        .metrics(true)
}
