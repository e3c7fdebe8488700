//! What answers took.

use std::fmt;
use std::time::Duration;

use sharpi_compile::engine::RequestStats;

/// What one answer took, or several together.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Figures {
    pub(super) answers: usize,
    prompt: usize,
    remembered: usize,
    prompt_time: Duration,
    generated: usize,
    generate_time: Duration,
    drafted: usize,
    accepted: usize,
}

impl Figures {
    pub(super) fn of(stats: &RequestStats) -> Figures {
        Figures {
            answers: 1,
            prompt: stats.prompt_tokens,
            remembered: stats.remembered_tokens,
            prompt_time: stats.prompt_time,
            generated: stats.generated_tokens,
            generate_time: stats.generate_time,
            drafted: stats.rounds.iter().map(|round| round.draft.len()).sum(),
            accepted: stats.rounds.iter().map(|round| round.accepted).sum(),
        }
    }

    /// Adds those of another answer.
    pub(super) fn add(&mut self, other: Figures) {
        self.answers += other.answers;
        self.prompt += other.prompt;
        self.remembered += other.remembered;
        self.prompt_time += other.prompt_time;
        self.generated += other.generated;
        self.generate_time += other.generate_time;
        self.drafted += other.drafted;
        self.accepted += other.accepted;
    }

    /// Tokens of prompt and answer together.
    pub(super) fn tokens(&self) -> usize {
        self.prompt + self.generated
    }

    fn read(&self) -> usize {
        self.prompt - self.remembered
    }

    /// Lines for `/stats`.
    pub(super) fn table(&self) -> String {
        let mut lines = vec![
            format!("answers     {}", self.answers),
            format!(
                "generated   {} tokens in {:.3} s{}",
                self.generated,
                self.generate_time.as_secs_f64(),
                rate(self.generated, self.generate_time)
            ),
            format!(
                "prompts     {} of {} tokens read anew in {:.3} s{}",
                self.read(),
                self.prompt,
                self.prompt_time.as_secs_f64(),
                rate(self.read(), self.prompt_time)
            ),
        ];
        if self.drafted > 0 {
            lines.push(format!(
                "drafts      {} of {} accepted",
                self.accepted, self.drafted
            ));
        }
        lines.join("\n")
    }
}

/// `, 41.20 tokens/s`, if it took any time.
fn rate(tokens: usize, time: Duration) -> String {
    match time.as_secs_f64() {
        seconds if tokens > 0 && seconds > 0.0 => {
            format!(", {:.2} tokens/s", tokens as f64 / seconds)
        }
        _ => String::new(),
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.generated == 1 {
            "token"
        } else {
            "tokens"
        };
        write!(
            f,
            "{} {word}{}",
            self.generated,
            rate(self.generated, self.generate_time)
        )?;
        if self.drafted > 0 {
            write!(f, ", {} of {} drafts accepted", self.accepted, self.drafted)?;
        }
        write!(
            f,
            ", {} of {} prompt tokens read anew",
            self.read(),
            self.prompt
        )
    }
}
