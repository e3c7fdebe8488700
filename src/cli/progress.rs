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
        let bar = ProgressBar::new(tokens as u64).with_message(what);
        let template = "{msg} {bar:40} {pos}/{len} tokens, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Progress(bar)
    }

    pub(super) fn at(&self, done: usize) {
        self.0.set_position(done as u64);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
