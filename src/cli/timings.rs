//! Where the time went.

use std::fmt;
use std::time::Instant;

use serde::Serialize;

use super::units::si;

/// Seconds and tokens of one run.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Timings {
    /// Opening the file and making the tokenizer.
    pub(super) load_seconds: f64,
    /// Lowering and passes.
    pub(super) compile_seconds: f64,
    /// Reading weights and laying them out.
    pub(super) weight_seconds: f64,
    pub(super) weight_bytes: u64,
    /// Whether they were in the folder of `--repack-cache`.
    pub(super) weights_cached: bool,
    pub(super) prompt_tokens: usize,
    /// Those of them that took the prompt's time: the last one may be left for the first draft.
    #[serde(skip)]
    pub(super) prefilled_tokens: usize,
    pub(super) prompt_seconds: f64,
    pub(super) generated_tokens: usize,
    pub(super) generate_seconds: f64,
    /// The most memory that the program held, mapped files included, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) peak_memory_bytes: Option<u64>,
}

impl Timings {
    /// Of a prompt's tokens so many were fed. All were if nothing stopped it: with drafting the
    /// last one waits for the drafts to go with it.
    pub(super) fn fed(&mut self, done: usize, prompt: usize, stopped: bool) {
        self.prefilled_tokens = done;
        self.prompt_tokens = if stopped { done } else { prompt };
    }
}

/// The most memory that this process has held so far, in bytes.
pub(super) fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
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
        if self.weight_bytes > 0 {
            let (seconds, bytes) = (self.weight_seconds, si(self.weight_bytes as f64, "B"));
            let from = if self.weights_cached {
                ", mapped from --repack-cache"
            } else {
                ""
            };
            writeln!(f, "weights:    {seconds:9.3} s, {bytes}{from}")?;
        }
        let (tokens, seconds) = (self.prompt_tokens, self.prompt_seconds);
        line(f, "prompt:    ", seconds, tokens, self.prefilled_tokens)?;
        let (tokens, seconds) = (self.generated_tokens, self.generate_seconds);
        // The prompt's run has already given the first token.
        line(f, "generation:", seconds, tokens, tokens.saturating_sub(1))?;
        match self.peak_memory_bytes {
            Some(bytes) => writeln!(
                f,
                "resident:   {} at most, mapped files included",
                si(bytes as f64, "B")
            ),
            None => Ok(()),
        }
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
