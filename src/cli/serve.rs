//! `serve`: the model over HTTP, with llama-server's names.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use sharpi_compile::conversation::ReasoningFormat;
use sharpi_compile::engine::EngineOptions;
use sharpi_compile::serve::{App, ServeOptions, serve, serve_loading};
use sharpi_ir::plain::Plain;
use tokio::sync::oneshot;

use super::conversation_args::{Variables, reasoning_format, variables};
use super::engine_args::EngineArgs;
use super::failure::Failure;
use super::model_arg::{self, ModelArg};
use super::template_arg::TemplateArg;
use super::{file_sampling, notice};

/// How often the runs of a step are recorded, for /v1/engine/steps. A recorded run looks at the clock a
/// few times a step of its graph, which takes well below a microsecond each.
const TIME_RUNS: Duration = Duration::from_millis(100);

#[derive(clap::Args)]
pub(super) struct ServeArgs {
    #[command(flatten)]
    model: ModelArg,
    /// Address to listen on; only this machine reaches the default
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    host: String,
    /// Port to listen on; 0 for any that is free
    #[arg(long, value_name = "PORT", default_value_t = 8080)]
    port: u16,
    /// Requests that run at a time; also -np
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
    parallel: u16,
    /// Requests that may wait
    #[arg(long, value_name = "N", default_value_t = 256)]
    queue: usize,
    /// Most connections at a time; others wait
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u16).range(1..))]
    max_connections: u16,
    /// Seconds that a client may take to send a request, or to read what it is sent; also -to
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86400))]
    timeout: u64,
    /// Key that clients have to show; several with commas between
    #[arg(
        long,
        value_name = "KEY",
        value_delimiter = ',',
        env = "SHARPI_API_KEY",
        hide_env_values = true
    )]
    api_key: Vec<String>,
    /// What clients call the model [default: its file's name]
    #[arg(long, value_name = "NAME")]
    alias: Option<String>,
    /// Answer /metrics, for Prometheus
    #[arg(long)]
    metrics: bool,
    /// Do not answer /slots
    #[arg(long)]
    no_slots: bool,
    /// Do not answer / with a page to chat on
    #[arg(long)]
    no_webui: bool,
    #[command(flatten)]
    template: TemplateArg,
    /// Variables of the template, as a JSON object, where a request does not give them
    #[arg(long, value_name = "JSON", value_parser = variables)]
    chat_template_kwargs: Option<Variables>,
    /// Where reasoning goes: none leaves it in the text, auto and deepseek give it a field of its own
    #[arg(long, value_name = "FORMAT", default_value = "auto", value_parser = reasoning_format)]
    reasoning_format: ReasoningFormat,
    /// Most tokens of reasoning where a request does not say; 0 for no reasoning, -1 for no bound
    #[arg(long, value_name = "N", default_value_t = -1, allow_negative_numbers = true, value_parser = clap::value_parser!(i64).range(-1..))]
    reasoning_budget: i64,
    /// Temperature where a request has none [default: the file's own, or 0.8]
    #[arg(long, value_name = "F")]
    temp: Option<f32>,
    /// Most tokens of an answer where a request does not say; -1 as many as there is room for
    #[arg(short, long, value_name = "N", default_value_t = -1, allow_negative_numbers = true)]
    n_predict: i64,
    /// Milliseconds that a step may take in which somebody waits for text [default: four times what it
    /// takes without a prompt, and 100 at least]
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..))]
    max_step_ms: Option<u64>,
    #[command(flatten)]
    engine: EngineArgs,
}

impl ServeArgs {
    pub(super) fn run(&self, out: &mut impl Write) -> Result<(), Failure> {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(2).enable_all().build();
        let runtime = runtime.map_err(|e| failed("cannot start threads", &e))?;
        runtime.block_on(self.listen(out))
    }

    async fn listen(&self, out: &mut impl Write) -> Result<(), Failure> {
        let place = (self.host.as_str(), self.port);
        let listener = tokio::net::TcpListener::bind(place).await;
        let what = format!("cannot listen on {}:{}", Plain(&self.host), self.port);
        let listener = Arc::new(listener.map_err(|e| failed(&what, &e))?);
        let address = listener.local_addr().map_err(|e| failed(&what, &e))?;
        if !address.ip().is_loopback() && self.api_key.is_empty() {
            notice::warn(
                "whoever reaches this machine can use the model: --api-key KEY asks for a key",
            );
        }
        let (loaded, waits) = oneshot::channel::<()>();
        let early = Arc::clone(&listener);
        let early = tokio::spawn(async move {
            let loaded = async {
                waits.await.ok();
            };
            serve_loading(&early, loaded).await;
        });
        let app = tokio::task::block_in_place(|| self.load())?;
        drop(loaded);
        early.await.ok();
        writeln!(out, "listening on http://{address}")?;
        out.flush()?;
        serve(app, &listener, stopped()).await;
        notice::tell("stopped: all answers have ended");
        Ok(())
    }

    fn load(&self) -> Result<App, Failure> {
        let model = self.model.open()?;
        // Of a model of another kind the vocabulary is another too; the kind is what to tell.
        model.hparams()?;
        let tokenizer = Arc::new(model_arg::tokenizer(&model)?);
        let template = self.template.read(&model)?;
        if self.engine.spec.traced() {
            notice::warn("rounds of drafting are not traced here; /metrics counts them");
        }
        let options = EngineOptions::default()
            .parallel(usize::from(self.parallel))
            .queue(self.queue)
            .max_step(self.max_step_ms.map(Duration::from_millis))
            .time_runs(Some(TIME_RUNS));
        let (engine, draft) = self.engine.start(&model, &tokenizer, options)?;
        let sampler = file_sampling::sampler(&model);
        let temp = self.temp.unwrap_or(sampler.temp);
        let options = ServeOptions::default()
            .api_keys(self.api_key.clone())
            .alias(self.alias())
            .metrics(self.metrics)
            .slots(!self.no_slots)
            .webui(!self.no_webui)
            .max_connections(self.max_connections.into())
            .timeout(Duration::from_secs(self.timeout))
            .reasoning_format(self.reasoning_format)
            .reasoning_budget(usize::try_from(self.reasoning_budget).ok())
            .template_variables(self.chat_template_kwargs.clone().unwrap_or_default().0)
            .sampler(sampler.temp(temp))
            .draft(draft)
            .max_tokens(usize::try_from(self.n_predict).ok());
        Ok(App::new(engine, tokenizer, template, options))
    }

    fn alias(&self) -> String {
        self.alias.clone().unwrap_or_else(|| self.model.name())
    }
}

fn failed(what: &str, error: &std::io::Error) -> Failure {
    Failure::plain(
        format!("{what}: {error}"),
        "choose another address with --host and --port",
    )
}

/// Waits for Ctrl-C or the signal that services are stopped with.
async fn stopped() {
    let interrupt = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = interrupt => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    interrupt.await.ok();
}
