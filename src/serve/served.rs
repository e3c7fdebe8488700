//! An answer as it is served, with its receipt where one is asked for.

use serde_json::Value;

use super::app::App;
use super::error::ApiError;
use super::guided::Held;
use super::params::Params;
use super::tokens::heavy;
use crate::engine::{Answer, End, Event, Request, Token};
use crate::receipt::{Receipt, Recorder};

pub(super) struct Served {
    answer: Answer,
    recorder: Option<Recorder>,
    receipt: Option<Receipt>,
}

/// What an answer gives: a token with its text, or the end.
pub(super) enum Step {
    Token(Token, String),
    End(Box<End>),
}

impl Served {
    /// Hands a request to the engine, whose answer is held to a form.
    pub(super) fn submit(
        app: &App,
        params: &Params,
        request: Request,
        held: &Held,
    ) -> Result<Served, ApiError> {
        let mut request = request.mask(held.mask());
        let recorder = params.receipt.then(|| recorder(app, &mut request, held));
        Ok(Served {
            answer: app.engine.submit(request)?,
            recorder,
            receipt: None,
        })
    }

    /// The next step; `None` if the engine is gone.
    pub(super) async fn next(&mut self) -> Option<Step> {
        loop {
            match self.answer.next_event().await? {
                Event::Token { token, text } => {
                    if let Some(recorder) = &mut self.recorder {
                        recorder.push(&token);
                    }
                    return Some(Step::Token(token, text));
                }
                Event::End(end) => {
                    let recorder = self.recorder.take();
                    self.receipt = recorder.map(|r| r.finish(Some(end.reason), end.logits_hash));
                    return Some(Step::End(end));
                }
                Event::Prompt { .. } => {}
            }
        }
    }

    /// Adds the receipt of an answer that has ended, if one was asked for.
    pub(super) fn add_receipt(&mut self, to: &mut Value) {
        if let Some(receipt) = self.receipt.take() {
            // It has nothing that JSON has not.
            to["receipt"] = serde_json::to_value(receipt).unwrap_or_default();
        }
    }
}

/// Takes down what a receipt says of a request.
fn recorder(app: &App, request: &mut Request, held: &Held) -> Recorder {
    request.options.hash_logits = true;
    let ends = (&*request.options.end_of_text, request.options.ignore_eos);
    let executable = app.engine.executor().executable();
    // The first one reads all weights.
    let recorder = || Recorder::new(executable, &request.prompt, &request.sampler, ends);
    heavy(recorder).form(held.form.clone())
}
