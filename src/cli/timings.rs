//! Where the time went.

use std::fmt;
use std::time::Instant;

use serde::Serialize;

/// Seconds and tokens of one run.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Timings {
    /// Opening the file and making the tokenizer.
    pub(super) load_seconds: f64,
    /// Lowering, passes, and packing of weights.
    pub(super) compile_seconds: f64,
    pub(super) prompt_tokens: usize,
    pub(super) prompt_seconds: f64,
    pub(super) generated_tokens: usize,
    pub(super) generate_seconds: f64,
}

/// Runs `work` and adds the time it took.
pub(super) fn timed<T>(seconds: &mut f64, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let done = work();
    *seconds += start.elapsed().as_secs_f64();
    done
}

impl fmt::Display for Timings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "load:       {:9.3} s", self.load_seconds)?;
        writeln!(f, "compile:    {:9.3} s", self.compile_seconds)?;
        let (tokens, seconds) = (self.prompt_tokens, self.prompt_seconds);
        line(f, "prompt:    ", seconds, tokens, tokens)?;
        let (tokens, seconds) = (self.generated_tokens, self.generate_seconds);
        // The prompt's run has already given the first token.
        line(f, "generation:", seconds, tokens, tokens.saturating_sub(1))
    }
}

/// A line with a rate, if there is one.
fn line(
    f: &mut fmt::Formatter<'_>,
    what: &str,
    seconds: f64,
    tokens: usize,
    runs: usize,
) -> fmt::Result {
    write!(f, "{what} {seconds:9.3} s, {tokens} tokens")?;
    if runs > 0 && seconds > 0.0 {
        write!(f, ", {:.2} tokens/s", runs as f64 / seconds)?;
    }
    writeln!(f)
}
