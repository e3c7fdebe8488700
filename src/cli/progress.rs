//! What can be watched while nothing is printed yet. Hidden where stderr is no terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Something that goes on for a while; gone from the screen when dropped.
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// Work of unknown size.
    pub(super) fn spinner(what: &'static str) -> Progress {
        let bar = ProgressBar::new_spinner().with_message(what);
        bar.enable_steady_tick(Duration::from_millis(200));
        Progress(bar)
    }

    /// That many tokens.
    pub(super) fn tokens(what: &'static str, tokens: usize) -> Progress {
        let template = "{msg} {bar:40} {pos}/{len} tokens, {eta} left";
        Progress::bar(what, tokens as u64, template)
    }

    /// That many bytes.
    pub(super) fn bytes(what: &'static str, bytes: u64) -> Progress {
        let template = "{msg} {bar:40} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left";
        Progress::bar(what, bytes, template)
    }

    /// That many runs of different kinds ([`Progress::says`]).
    pub(super) fn runs(runs: usize) -> Progress {
        let template = "{spinner} {msg} {bar:20} {pos}/{len} runs, {eta} left";
        let progress = Progress::bar("", runs as u64, template);
        progress.0.enable_steady_tick(Duration::from_millis(200));
        progress
    }

    /// That many steps of about the same length.
    pub(super) fn steps(what: &'static str, steps: u64) -> Progress {
        Progress::bar(what, steps, "{msg} {bar:40} {pos}/{len}")
    }

    fn bar(what: &'static str, len: u64, template: &str) -> Progress {
        let bar = ProgressBar::new(len).with_message(what);
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Progress(bar)
    }

    /// What is going on now.
    pub(super) fn says(&self, what: String) {
        self.0.set_message(what);
    }

    /// One more is done.
    pub(super) fn step(&self) {
        self.0.inc(1);
    }

    /// Takes the line from the screen while something else is printed.
    pub(super) fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        self.0.suspend(print)
    }

    /// Runs of unknown number, with a word on what came of them.
    pub(super) fn counter(what: &'static str) -> Progress {
        let bar = ProgressBar::new_spinner().with_prefix(what);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix}: {pos} runs, {msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Progress(bar)
    }

    /// How much of how much is done.
    pub(super) fn part(&self, done: u64, all: u64) {
        self.0.set_length(all);
        self.0.set_position(done);
    }

    pub(super) fn at(&self, done: u64) {
        self.0.set_position(done);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
