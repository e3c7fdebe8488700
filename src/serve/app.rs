//! What all requests share.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use sharpi_chat::Json;

use super::bodies::Bodies;
use super::guided::Guides;
pub(super) use crate::conversation::unix_time as now;
use crate::conversation::{ChatTemplate, ReasoningFormat};
use crate::drafting::DraftOptions;
use crate::engine::Engine;
use crate::sampling::SamplerOptions;
use crate::tokenizer::Tokenizer;

sharpi_passes::option_struct! {
    /// How a server answers.
    #[derive(Clone, Debug)]
    pub struct ServeOptions {
        /// Keys of which a client must show one; none for all clients.
        pub api_keys: Vec<String> = Vec::new(),
        /// What the model is called.
        pub alias: String = "model".into(),
        /// Most bytes of a request.
        pub max_body: usize = 16 << 20,
        /// Most connections at a time; others wait.
        pub max_connections: usize = 512,
        /// How long a client may take to send a request, and to read what it is sent. For a request's
        /// head, and without any request, it is ten seconds at most.
        pub timeout: Duration = Duration::from_secs(60),
        /// Whether `/metrics` answers.
        pub metrics: bool = false,
        /// Whether `/slots` answers.
        pub slots: bool = true,
        /// Whether `/` answers with a page to chat on.
        pub webui: bool = true,
        /// How tokens are chosen where a request does not say.
        pub sampler: SamplerOptions = SamplerOptions::default(),
        /// How far to draft where a request does not say; `None` for not at all.
        pub draft: Option<DraftOptions> = None,
        /// Where reasoning goes where a request does not say.
        pub reasoning_format: ReasoningFormat = ReasoningFormat::Deepseek,
        /// Most tokens of reasoning where a request does not say; 0 for no reasoning, `None` for as
        /// many as the model likes.
        pub reasoning_budget: Option<usize> = None,
        /// Variables of the template where a request does not give them.
        pub template_variables: Vec<(String, Json)> = Vec::new(),
        /// Most tokens of an answer where a request does not say; `None` for as many as there is room
        /// for.
        pub max_tokens: Option<usize> = None,
    }
}

/// The model as it is served.
#[derive(Clone)]
pub struct App {
    pub(super) engine: Arc<Engine>,
    pub(super) tokenizer: Arc<Tokenizer>,
    pub(super) template: Arc<ChatTemplate>,
    pub(super) guides: Guides,
    pub(super) bodies: Bodies,
    pub(super) options: Arc<ServeOptions>,
    pub(super) counts: Arc<Counts>,
    /// When it began to serve; and in seconds since 1970.
    pub(super) started: Instant,
    pub(super) created: u64,
    /// Tokens that mark reasoning and calls: in some vocabularies they are control tokens, but the
    /// text of an answer has them.
    pub(super) marks: Arc<[u32]>,
}

/// What answers are taken apart at.
const MARKS: [&str; 4] = ["<think>", "</think>", "<tool_call>", "</tool_call>"];

/// Requests by what became of them.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) requests: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) prompt_microseconds: AtomicU64,
    pub(super) generate_microseconds: AtomicU64,
}

impl App {
    /// A model behind an engine that knows its tokenizer.
    pub fn new(
        engine: Engine,
        tokenizer: Arc<Tokenizer>,
        template: ChatTemplate,
        options: ServeOptions,
    ) -> App {
        App {
            engine: Arc::new(engine),
            bodies: Bodies::new(&options),
            guides: Guides::new(tokenizer.clone()),
            marks: marks(&tokenizer),
            tokenizer,
            template: Arc::new(template),
            options: Arc::new(options),
            counts: Arc::default(),
            started: Instant::now(),
            created: now(),
        }
    }
}

/// The marks that are one token.
fn marks(tokenizer: &Tokenizer) -> Arc<[u32]> {
    let ids = MARKS.iter().map(|mark| tokenizer.encode(mark, true));
    let ids = ids.filter(|ids| ids.len() == 1);
    ids.flatten().collect()
}
