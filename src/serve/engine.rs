//! `/v1/engine` and `/v1/engine/steps`: what the engine does, and where the time of its runs goes.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::app::App;
use super::chat::fingerprint;
use crate::Executable;
use crate::engine::{EngineStats, RunTimes};
use crate::parts::{blocks, used};

/// The engine, how it was started and what it has done.
#[derive(Serialize, ToSchema)]
pub(super) struct EngineReport {
    model: String,
    version: &'static str,
    /// Worker threads.
    threads: usize,
    /// Most positions of a request.
    context: usize,
    /// Most requests that run at a time.
    parallel: usize,
    /// Most requests that wait.
    queue: usize,
    /// Most tokens that a request may draft at once; 0 if none may.
    drafts: usize,
    /// Most bytes of remembered prompts in memory.
    prompt_memory_bytes: u64,
    /// Seconds since the server was started, when the counters were read.
    seconds: f64,
    #[schema(value_type = Object)]
    stats: EngineStats,
}

pub(super) async fn engine(State(app): State<App>) -> Json<EngineReport> {
    let (engine, options) = (&app.engine, app.engine.options());
    Json(EngineReport {
        model: app.options.alias.clone(),
        version: fingerprint(),
        threads: engine.executor().threads(),
        context: options.context,
        parallel: options.parallel,
        queue: options.queue,
        drafts: match engine.can_draft() {
            true => options.drafts,
            false => 0,
        },
        prompt_memory_bytes: options.prompt_memory,
        seconds: app.started.elapsed().as_secs_f64(),
        stats: engine.stats(),
    })
}

/// The recorded runs of all graphs.
#[derive(Serialize, ToSchema)]
pub(super) struct StepsReport {
    graphs: Vec<GraphReport>,
}

/// The recorded runs of a graph. Seconds of workers are divided by the number of workers: those of
/// the ops, of the waits and the rest add up to those of the runs.
#[derive(Serialize, ToSchema)]
struct GraphReport {
    graph: String,
    /// Whether prompts were read in these runs.
    with_prompt: bool,
    /// How many were recorded.
    runs: u64,
    tokens: u64,
    seconds: f64,
    steps: Vec<StepReport>,
}

/// A step of a graph's plan: ops that may run side by side.
#[derive(Serialize, ToSchema)]
struct StepReport {
    ops: Vec<OpReport>,
    /// Seconds in which workers waited for one another behind it.
    wait_seconds: f64,
}

#[derive(Serialize, ToSchema)]
struct OpReport {
    op: &'static str,
    /// What of the model it uses, without the block.
    uses: Vec<String>,
    /// The block of the model it belongs to.
    block: Option<usize>,
    seconds: f64,
}

pub(super) async fn steps(State(app): State<App>) -> Json<StepsReport> {
    let executor = app.engine.executor();
    let (executable, workers) = (executor.executable(), executor.threads());
    let times = app.engine.run_times();
    let graphs = times.iter();
    let graphs = graphs.filter_map(|times| GraphReport::new(executable, times, workers));
    Json(StepsReport {
        graphs: graphs.collect(),
    })
}

impl GraphReport {
    fn new(executable: &Executable, times: &RunTimes, workers: usize) -> Option<GraphReport> {
        let module = executable.module();
        let graph = module.graphs.get(&times.graph)?;
        let block_of = blocks(graph, &module.symbols, &graph.order());
        let seconds = |nanoseconds: u64| nanoseconds as f64 * 1e-9 / workers as f64;
        let steps = times.steps.iter().enumerate().map(|(step, time)| {
            let ops = (0..).map_while(|kernel| {
                let node = executable.op(&times.graph, step, kernel)?;
                Some(OpReport {
                    op: graph.op(node)?.mnemonic(),
                    uses: used(graph, &module.symbols, node),
                    block: block_of.get(&node).copied(),
                    seconds: seconds(time.kernels.get(kernel).copied().unwrap_or(0)),
                })
            });
            StepReport {
                ops: ops.collect(),
                wait_seconds: seconds(time.wait),
            }
        });
        Some(GraphReport {
            graph: times.graph.clone(),
            with_prompt: times.with_prompt,
            runs: times.runs,
            tokens: times.tokens,
            seconds: times.nanoseconds as f64 * 1e-9,
            steps: steps.collect(),
        })
    }
}
