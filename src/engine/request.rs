//! What the engine is asked for, and what it answers.

use std::time::Duration;

use async_channel::Receiver;

use super::{GenerateError, GenerateOptions, LogitsHash, Mask, StopReason, Token};
use crate::drafting::{DraftOptions, Round};
use crate::sampling::SamplerOptions;

sharpi_passes::option_struct! {
    /// A text to be continued.
    pub struct Request {
        /// The tokens to continue, from the first position on.
        pub prompt: Vec<u32> = Vec::new(),
        /// When to stop, and what to tell about each token; `batch` and `cancel` are the engine's.
        pub options: GenerateOptions = GenerateOptions::default(),
        /// How tokens are chosen.
        pub sampler: SamplerOptions = SamplerOptions::default(),
        /// Drafts with the model's head; the text is the same.
        pub draft: Option<DraftOptions> = None,
        /// Strings that end the text, and are no part of it.
        pub stop: Vec<String> = Vec::new(),
        /// Whether control tokens print their text.
        pub special: bool = false,
        /// Control tokens that print their text all the same: marks that somebody reads.
        pub printed: Vec<u32> = Vec::new(),
        /// How long it may take, waiting included.
        pub deadline: Option<Duration> = None,
        /// Says which tokens may be chosen.
        pub mask: Option<Box<dyn Mask + Send>> = None,
        /// Places in the prompt from which others are likely to go on otherwise: the end of a system
        /// prompt. The end of the prompt is one anyway.
        pub checkpoints: Vec<usize> = Vec::new(),
        /// Whether the engine remembers prompt and answer, and goes on from what it remembers.
        pub remember: bool = true,
    }
}

/// What happens to a request.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// So much of the prompt has been read.
    Prompt {
        /// Tokens that are done, those remembered included.
        done: usize,
        /// Tokens of the prompt.
        total: usize,
        /// Tokens that were remembered.
        remembered: usize,
    },
    /// A token was generated.
    Token {
        /// The token.
        token: Token,
        /// The text that can be shown by now: whole characters, and nothing that may yet be part of
        /// a stop string.
        text: String,
    },
    /// There is no more.
    End(Box<End>),
}

/// How an answer ended.
#[derive(Debug)]
#[non_exhaustive]
pub struct End {
    /// Why.
    pub reason: StopReason,
    /// What failed, if something did.
    pub error: Option<GenerateError>,
    /// Text that was held back until now.
    pub text: String,
    /// The hash of the logits from which the end of the text was chosen, if it was and hashes were
    /// asked for.
    pub logits_hash: Option<LogitsHash>,
    /// What it took.
    pub stats: RequestStats,
}

/// What a request took.
#[derive(Clone, Default, Debug)]
#[non_exhaustive]
pub struct RequestStats {
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Those of them that were remembered.
    pub remembered_tokens: usize,
    /// Tokens generated.
    pub generated_tokens: usize,
    /// Time until it was taken up.
    pub queue_time: Duration,
    /// Time from then to the end of the prompt.
    pub prompt_time: Duration,
    /// Time from then to the end.
    pub generate_time: Duration,
    /// Rounds of drafting.
    pub rounds: Vec<Round>,
}

/// The events of a request. Who drops it, cancels the request.
#[derive(Debug)]
pub struct Answer(pub(super) Receiver<Event>);

impl Answer {
    /// Waits for the next event, without blocking the thread.
    pub async fn next_event(&mut self) -> Option<Event> {
        self.0.recv().await.ok()
    }

    /// The next event, if there is one already.
    pub fn try_next(&mut self) -> Option<Event> {
        self.0.try_recv().ok()
    }
}

/// Blocks the thread until there is an event.
impl Iterator for Answer {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        self.0.recv_blocking().ok()
    }
}
