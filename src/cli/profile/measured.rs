//! Recorded runs summed up by op and by block, beside what they would take at best.
//!
//! Seconds of workers are divided by the number of workers: what ops took, the waits at barriers
//! and the rest (starting the workers, and the end of a run) then add up to the time of the runs.

use indexmap::IndexMap;
use serde::Serialize;
use sharpi_compile::cost::{RunShape, of, of_graph};
use sharpi_compile::exec::RecordedRun;
use sharpi_compile::ir::NodeId;
use sharpi_compile::parts::{blocks, used};

use super::Recorded;

/// The runs of one graph while the prompt was read, or while the text was generated.
#[derive(Serialize)]
pub(super) struct Measured {
    pub(super) phase: Phase,
    pub(super) graph: String,
    pub(super) runs: usize,
    pub(super) tokens: usize,
    /// From the start to the end of each run.
    pub(super) seconds: f64,
    pub(super) all: Sum,
    /// Seconds in which workers neither computed nor waited at a barrier.
    pub(super) rest_seconds: f64,
    /// The same op of all blocks together, the longest first.
    pub(super) ops: Vec<Named>,
    pub(super) blocks: Vec<Named>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Phase {
    /// Runs that begin before the prompt's last token.
    Prompt,
    Text,
}

impl Phase {
    pub(super) fn name(self) -> &'static str {
        match self {
            Phase::Prompt => "prompt",
            Phase::Text => "text",
        }
    }

    fn of(run: &RecordedRun, prompt: usize) -> Phase {
        match run.position + 1 < prompt {
            true => Phase::Prompt,
            false => Phase::Text,
        }
    }
}

/// An op and what of the model it uses, or a block.
#[derive(Serialize)]
pub(super) struct Named {
    pub(super) name: String,
    #[serde(flatten)]
    pub(super) sum: Sum,
}

#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize)]
pub(super) struct Sum {
    /// How often ops ran.
    pub(super) count: usize,
    /// Seconds that they computed.
    pub(super) seconds: f64,
    /// Seconds of waits at the barriers behind their steps. Of several ops of a step, those count
    /// for the one that took the most time in it.
    pub(super) wait_seconds: f64,
    /// Seconds at the ceilings of the machine.
    pub(super) best_seconds: f64,
    /// Bytes that had to be read and written.
    pub(super) bytes: f64,
    pub(super) multiply_adds: f64,
}

impl Sum {
    fn add(&mut self, other: &Sum) {
        self.count += other.count;
        self.seconds += other.seconds;
        self.wait_seconds += other.wait_seconds;
        self.best_seconds += other.best_seconds;
        self.bytes += other.bytes;
        self.multiply_adds += other.multiply_adds;
    }

    fn of<'a>(all: impl Iterator<Item = &'a Sum>) -> Sum {
        all.fold(Sum::default(), |mut sum, one| {
            sum.add(one);
            sum
        })
    }
}

impl Measured {
    /// By phase, then by graph.
    pub(super) fn all(recorded: &Recorded) -> Vec<Measured> {
        let parts = parts(recorded).into_iter();
        parts
            .map(|(phase, graph, runs)| Measured::new(recorded, phase, graph, &runs))
            .collect()
    }

    fn new(recorded: &Recorded, phase: Phase, name: &str, runs: &[&RecordedRun]) -> Measured {
        let module = recorded.executable.module();
        let (graph, symbols) = (&module.graphs[name], &module.symbols);
        let sums = sums(recorded, runs);
        let block_of = blocks(graph, symbols, &graph.order());
        let mut ops: IndexMap<String, Sum> = IndexMap::new();
        let mut by_block: IndexMap<Option<usize>, Sum> = IndexMap::new();
        for (&node, sum) in &sums {
            let op = graph.op(node).map_or("", |op| op.mnemonic());
            let name = format!("{op} {}", used(graph, symbols, node).join(" "));
            ops.entry(name.trim_end().into()).or_default().add(sum);
            let block = block_of.get(&node).copied();
            by_block.entry(block).or_default().add(sum);
        }
        ops.sort_by(|_, a, _, b| b.seconds.total_cmp(&a.seconds));
        by_block.sort_by(|a, _, b, _| a.unwrap_or(usize::MAX).cmp(&b.unwrap_or(usize::MAX)));
        let block = |(block, sum): (Option<usize>, Sum)| Named {
            name: block.map_or("outside of blocks".into(), |n| n.to_string()),
            sum,
        };
        let all = Sum::of(sums.values());
        let seconds = runs.iter().map(|r| (r.end - r.start) as f64).sum::<f64>() * 1e-9;
        Measured {
            phase,
            graph: name.into(),
            runs: runs.len(),
            tokens: runs.iter().map(|r| r.tokens).sum(),
            seconds,
            all,
            rest_seconds: seconds - all.seconds - all.wait_seconds,
            ops: ops
                .into_iter()
                .map(|(name, sum)| Named { name, sum })
                .collect(),
            blocks: by_block.into_iter().map(block).collect(),
        }
    }
}

/// The runs of each phase and graph that there are.
pub(super) fn parts(recorded: &Recorded) -> Vec<(Phase, &str, Vec<&RecordedRun>)> {
    let mut parts = Vec::new();
    for phase in [Phase::Prompt, Phase::Text] {
        for graph in recorded.executable.module().graphs.keys() {
            let of_part = |run: &&RecordedRun| {
                run.graph == *graph && Phase::of(run, recorded.prompt) == phase
            };
            let runs: Vec<_> = recorded.runs.iter().filter(of_part).collect();
            if !runs.is_empty() {
                parts.push((phase, graph.as_str(), runs));
            }
        }
    }
    parts
}

/// What each op took in runs of one graph.
pub(super) fn sums(recorded: &Recorded, runs: &[&RecordedRun]) -> IndexMap<NodeId, Sum> {
    let mut sums = IndexMap::new();
    for run in runs {
        add_run(recorded, run, &mut sums);
    }
    sums
}

/// Adds what each op of a run took.
fn add_run(recorded: &Recorded, run: &RecordedRun, sums: &mut IndexMap<NodeId, Sum>) {
    let executable = &recorded.executable;
    let module = executable.module();
    let graph = &module.graphs[&run.graph];
    let shape = RunShape {
        tokens: run.tokens,
        rows: run.rows,
        context: run.position,
    };
    let resident = of_graph(graph, &module.symbols, &shape).resident_bytes();
    let best = |cost: &_| recorded.ceilings.seconds(cost, recorded.threads, resident);
    let times = run.step_times();
    let seconds = |nanoseconds: u64| nanoseconds as f64 * 1e-9 / run.workers.len() as f64;
    let steps = executable.plan(&run.graph).map_or(0, |p| p.steps.len());
    for step in 0..steps {
        let ops = (0..).map_while(|k| Some((k, executable.op(&run.graph, step, k)?)));
        let time = times.get(step);
        let took = |kernel: usize| {
            time.and_then(|t| t.kernels.get(kernel).copied())
                .unwrap_or(0)
        };
        let longest = ops.clone().map(|(k, _)| k).max_by_key(|k| took(*k));
        for (kernel, node) in ops {
            let wait = match Some(kernel) == longest {
                true => time.map_or(0, |t| t.wait),
                false => 0,
            };
            let cost = of(graph, node, &module.symbols, &shape);
            sums.entry(node).or_default().add(&Sum {
                count: 1,
                seconds: seconds(took(kernel)),
                wait_seconds: seconds(wait),
                best_seconds: best(&cost),
                bytes: cost.memory_bytes(),
                multiply_adds: cost.macs(),
            });
        }
    }
}
