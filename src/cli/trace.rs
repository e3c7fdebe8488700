//! What a run tells of its inside, on stderr.

use std::fmt;
use std::io::Write;
use std::time::Duration;

use sharpi_compile::generate::Round;
use sharpi_ir::plain::Plain;

use super::screen;

/// Whether an environment variable is set to something that means yes.
pub(super) fn is_set(variable: &str) -> bool {
    std::env::var(variable).is_ok_and(|v| !matches!(v.as_str(), "" | "0" | "false" | "no" | "off"))
}

/// One line: where the round began, what was drafted, what became of it.
pub(super) fn round(round: &Round) {
    let draft = round.draft.iter().map(|(id, p)| format!(" {id} ({p:.3})"));
    let draft: String = draft.collect();
    let next = round
        .next
        .map_or("the text ends".into(), |id| format!("then {id}"));
    let (position, accepted) = (round.position, round.accepted);
    let _ = writeln!(
        screen::notes(),
        "mtp {position}: draft{draft}; accepted {accepted}, {next}"
    );
}

/// One line for a tensor: its graph, name and dimensions, its norm, its first and last values.
pub(super) fn tensor(graph: &str, name: &str, dims: &[usize], values: &[f32]) {
    let l2 = values
        .iter()
        .map(|x| f64::from(*x).powi(2))
        .sum::<f64>()
        .sqrt();
    let list = |values: &[f32]| {
        let values: Vec<String> = values.iter().map(|x| format!("{x:.6}")).collect();
        values.join(" ")
    };
    let last = &values[values.len().saturating_sub(4)..];
    let first = &values[..values.len().min(4)];
    let _ = writeln!(
        screen::notes(),
        "@{} {} {dims:?}: l2 {l2:.6}, first {}, last {}",
        Plain(graph),
        Plain(name),
        list(first),
        list(last)
    );
}

/// All rounds together.
pub(super) struct Summary<'a>(pub(super) &'a [Round]);

impl Summary<'_> {
    pub(super) fn drafted(&self) -> usize {
        self.0.iter().map(|r| r.draft.len()).sum()
    }

    pub(super) fn accepted(&self) -> usize {
        self.0.iter().map(|r| r.accepted).sum()
    }

    /// Tokens that a round gave, on average.
    pub(super) fn tokens_per_round(&self) -> f64 {
        let given = |r: &Round| r.accepted + usize::from(r.next.is_some());
        let tokens: usize = self.0.iter().map(given).sum();
        tokens as f64 / self.0.len().max(1) as f64
    }

    /// `(drafted, accepted)` at each place of the drafts.
    pub(super) fn places(&self) -> Vec<(usize, usize)> {
        let longest = self.0.iter().map(|r| r.draft.len()).max();
        let at = |i| {
            let drafted = self.0.iter().filter(|r| r.draft.len() > i).count();
            (drafted, self.0.iter().filter(|r| r.accepted > i).count())
        };
        (0..longest.unwrap_or(0)).map(at).collect()
    }
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rounds, drafted, accepted) = (self.0.len(), self.drafted(), self.accepted());
        let percent = |part: usize, whole: usize| 100.0 * part as f64 / whole.max(1) as f64;
        writeln!(
            f,
            "drafting:   {rounds} rounds, {drafted} drafted, {accepted} accepted ({:.1} %), {:.2} tokens per round",
            percent(accepted, drafted),
            self.tokens_per_round()
        )?;
        let places = self.places().into_iter().map(|(drafted, accepted)| {
            format!(
                "{accepted} of {drafted} ({:.1} %)",
                percent(accepted, drafted)
            )
        });
        let places: Vec<String> = places.collect();
        writeln!(f, "            by place: {}", places.join(", "))?;
        let sum =
            |of: fn(&Round) -> Duration| self.0.iter().map(of).sum::<Duration>().as_secs_f64();
        writeln!(
            f,
            "            draft {:.3} s, verify {:.3} s, roll back {:.3} s",
            sum(|r| r.draft_time),
            sum(|r| r.verify_time),
            sum(|r| r.rollback_time)
        )
    }
}
