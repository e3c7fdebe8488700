//! From the cost of graphs to tokens per second.

use serde::Serialize;
use sharpi_ir::{Graph, Module};

use super::{Ceilings, Cost, Link, RunShape, of};
use crate::lower::{MTP, TRUNK};

/// What is to be forecast.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Question {
    /// Threads that compute.
    pub threads: usize,
    /// Tokens before the run.
    pub context: usize,
    /// Tokens of a run over a prompt.
    pub prefill: usize,
    /// Probability that a drafted token is right if all before it are.
    pub acceptance: f64,
    /// Most tokens in a draft, for the deepest drafting that is looked at.
    pub n_max: usize,
    /// The way to other ranks, for a share of a model. Each run begins with a message of what is to be
    /// run.
    pub link: Link,
}

/// How fast a model can be at most.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Forecast {
    /// Tokens per second, one after another.
    pub decode: f64,
    /// Tokens per second of a prompt.
    pub prefill: f64,
    /// Drafting by the greatest number of drafted tokens, from 0 on; empty without a head to draft
    /// with.
    pub drafting: Vec<Drafting>,
}

/// How fast drafting of at most so many tokens can be.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Drafting {
    /// Most tokens in a draft.
    pub n_max: usize,
    /// Tokens that a round yields, on average.
    pub tokens_per_round: f64,
    /// Seconds of the head in a round, on average.
    pub draft_seconds: f64,
    /// Seconds of the trunk in a round.
    pub verify_seconds: f64,
    /// Tokens per second.
    pub tokens_per_second: f64,
    /// How many times as fast as without drafting.
    pub speed_up: f64,
    /// Acceptance from which on it is faster than without drafting; `None` where it never is, and
    /// for 0 tokens.
    pub break_even: Option<f64>,
}

/// Seconds that the ops of a graph take one after another in a run.
struct Runs<'a> {
    module: &'a Module,
    ceilings: &'a Ceilings,
    question: Question,
}

/// Forecasts for a compiled model; `None` without a graph `@trunk`.
pub fn forecast(module: &Module, ceilings: &Ceilings, question: &Question) -> Option<Forecast> {
    let runs = Runs {
        module,
        ceilings,
        question: *question,
    };
    let trunk = module.graphs.get(TRUNK)?;
    let token = runs.seconds(trunk, 1, 1);
    let prefill = question.prefill.max(1);
    let drafting = match module.graphs.get(MTP) {
        Some(head) => (0..=question.n_max)
            .map(|n| Rounds::new(&runs, trunk, head, n).drafting(question.acceptance, token))
            .collect(),
        None => Vec::new(),
    };
    Some(Forecast {
        decode: 1.0 / token,
        prefill: prefill as f64 / runs.seconds(trunk, prefill, 1),
        drafting,
    })
}

impl Runs<'_> {
    fn seconds(&self, graph: &Graph, tokens: usize, rows: usize) -> f64 {
        let shape = RunShape {
            tokens,
            rows,
            context: self.question.context,
        };
        let of = |node| of(graph, node, &self.module.symbols, &shape);
        let costs: Vec<Cost> = graph.nodes().map(of).collect();
        let bytes = costs.iter().copied().sum::<Cost>().resident_bytes();
        let threads = self.question.threads;
        let link = self.question.link;
        let seconds = |cost| self.ceilings.seconds(cost, threads, bytes) + link.seconds(cost);
        let shared = costs.iter().any(|cost| cost.exchanges > 0.0);
        costs.iter().map(seconds).sum::<f64>() + if shared { link.latency } else { 0.0 }
    }
}

/// Rounds of drafting: the head drafts, its first run taking in the tokens of the round before; the
/// trunk verifies all drafted tokens in one run.
struct Rounds {
    n_max: usize,
    /// Seconds of the trunk.
    verify: f64,
    /// Seconds of the head's first run, by how many tokens the round before yielded, from 1 on.
    first: Vec<f64>,
    /// Seconds of the head's other runs together.
    others: f64,
}

impl Rounds {
    fn new(runs: &Runs<'_>, trunk: &Graph, head: &Graph, n_max: usize) -> Rounds {
        let yields = match n_max {
            0 => 0,
            n => n + 1,
        };
        Rounds {
            n_max,
            verify: runs.seconds(trunk, n_max + 1, n_max + 1),
            first: (1..=yields).map(|n| runs.seconds(head, n, 1)).collect(),
            others: n_max.saturating_sub(1) as f64 * runs.seconds(head, 1, 1),
        }
    }

    /// Probability that so many drafted tokens are accepted.
    fn odds(&self, accepted: usize, acceptance: f64) -> f64 {
        let all_right = acceptance.powi(accepted as i32);
        match accepted < self.n_max {
            true => all_right * (1.0 - acceptance),
            false => all_right,
        }
    }

    fn tokens(&self, acceptance: f64) -> f64 {
        let tokens = |accepted| (accepted + 1) as f64 * self.odds(accepted, acceptance);
        (0..=self.n_max).map(tokens).sum()
    }

    fn draft(&self, acceptance: f64) -> f64 {
        let first = self.first.iter().enumerate();
        let first = first.map(|(accepted, seconds)| seconds * self.odds(accepted, acceptance));
        first.sum::<f64>() + self.others
    }

    fn tokens_per_second(&self, acceptance: f64) -> f64 {
        self.tokens(acceptance) / (self.draft(acceptance) + self.verify)
    }

    /// `token` are the seconds of one token without drafting.
    fn drafting(&self, acceptance: f64, token: f64) -> Drafting {
        let tokens_per_second = self.tokens_per_second(acceptance);
        Drafting {
            n_max: self.n_max,
            tokens_per_round: self.tokens(acceptance),
            draft_seconds: self.draft(acceptance),
            verify_seconds: self.verify,
            tokens_per_second,
            speed_up: tokens_per_second * token,
            break_even: self.break_even(token),
        }
    }

    /// The more tokens are accepted, the faster it is, so that halving finds the place.
    fn break_even(&self, token: f64) -> Option<f64> {
        let gains = |acceptance| self.tokens_per_second(acceptance) * token > 1.0;
        if self.n_max == 0 || !gains(1.0) {
            return None;
        }
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..40 {
            let middle = (low + high) / 2.0;
            match gains(middle) {
                true => high = middle,
                false => low = middle,
            }
        }
        Some(high)
    }
}
