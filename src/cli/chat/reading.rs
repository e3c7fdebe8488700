//! How far a long prompt is read.

use crate::cli::progress::Progress;

/// What is shown until an answer begins, if that takes long; gone from the screen when dropped.
pub(super) struct Reading {
    tokens: usize,
    spinner: Option<Progress>,
    bar: Option<Progress>,
}

impl Reading {
    /// Of a prompt of so many tokens. Nothing is shown yet.
    pub(super) fn new(tokens: usize) -> Reading {
        Reading {
            tokens,
            spinner: None,
            bar: None,
        }
    }

    /// Whether nothing is shown.
    pub(super) fn is_hidden(&self) -> bool {
        self.spinner.is_none() && self.bar.is_none()
    }

    /// It takes long, and nobody knows yet how long.
    pub(super) fn show(&mut self) {
        self.spinner = Some(Progress::spinner("reading the prompt"));
    }

    /// So many tokens are read.
    pub(super) fn at(&mut self, done: usize) {
        if done < self.tokens {
            self.spinner = None;
            let tokens = self.tokens;
            let bar = self
                .bar
                .get_or_insert_with(|| Progress::tokens("prompt", tokens));
            bar.at(done as u64);
        }
    }
}
