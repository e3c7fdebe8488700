//! The trace of a profile in Chrome's trace-event format, which Perfetto shows: a track for runs,
//! and one for each worker with its ops and its waits.

use std::collections::HashMap;
use std::io::{self, Write};

use serde::Serialize;
use serde_json::{Value, json};
use sharpi_compile::exec::{RecordedRun, Span, Work};
use sharpi_compile::ir::NodeId;
use sharpi_compile::parts::{blocks, used};

use super::Recorded;

/// An event with a beginning and a duration, in microseconds.
#[derive(Serialize)]
struct Event<'a> {
    name: &'a str,
    cat: &'static str,
    ph: &'static str,
    ts: f64,
    dur: f64,
    pid: u32,
    tid: usize,
    args: Value,
}

/// Runs are on a track of their own, before those of the workers.
const RUNS: usize = 0;

/// What spans of an op are called and what is told of it.
struct OpLabel {
    name: String,
    args: Value,
}

pub(super) fn write(recorded: &Recorded, mut out: impl Write) -> io::Result<()> {
    let out = &mut out;
    writeln!(out, "{{\"displayTimeUnit\":\"ns\",\"traceEvents\":[")?;
    name(out, "process_name", RUNS, "sharpi-compile")?;
    writeln!(out, ",")?;
    name(out, "thread_name", RUNS, "runs")?;
    for worker in 0..recorded.threads {
        writeln!(out, ",")?;
        name(out, "thread_name", worker + 1, &format!("worker {worker}"))?;
    }
    let graphs = recorded.executable.module().graphs.keys();
    let labels: HashMap<&str, HashMap<NodeId, OpLabel>> = graphs
        .map(|graph| (graph.as_str(), labels(recorded, graph)))
        .collect();
    for run in &recorded.runs {
        event(out, &whole(run))?;
        for (worker, spans) in run.workers.iter().enumerate() {
            for span in spans {
                event(
                    out,
                    &part(recorded, run, worker, span, &labels[run.graph.as_str()]),
                )?;
            }
        }
    }
    writeln!(out, "\n]}}")?;
    out.flush()
}

/// Names a track.
fn name(out: &mut impl Write, what: &str, tid: usize, name: &str) -> io::Result<()> {
    let event = json!({"name": what, "ph": "M", "pid": 1, "tid": tid, "args": {"name": name}});
    Ok(serde_json::to_writer(out, &event)?)
}

fn event(out: &mut impl Write, event: &Event<'_>) -> io::Result<()> {
    writeln!(out, ",")?;
    Ok(serde_json::to_writer(out, event)?)
}

fn microseconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e3
}

fn whole(run: &RecordedRun) -> Event<'_> {
    Event {
        name: &run.graph,
        cat: "run",
        ph: "X",
        ts: microseconds(run.start),
        dur: microseconds(run.end - run.start),
        pid: 1,
        tid: RUNS,
        args: json!({"position": run.position, "tokens": run.tokens, "rows": run.rows}),
    }
}

fn part<'a>(
    recorded: &Recorded,
    run: &RecordedRun,
    worker: usize,
    span: &Span,
    labels: &'a HashMap<NodeId, OpLabel>,
) -> Event<'a> {
    let (name, cat, mut args) = match span.work {
        Work::Barrier => ("barrier", "wait", json!({})),
        Work::Chunks { kernel, chunks } => {
            let node = recorded.executable.op(&run.graph, span.step, kernel);
            let label = node.and_then(|node| labels.get(&node));
            let mut args = label.map_or(json!({}), |label| label.args.clone());
            args["chunks"] = chunks.into();
            (label.map_or("op", |label| label.name.as_str()), "op", args)
        }
    };
    args["step"] = span.step.into();
    Event {
        name,
        cat,
        ph: "X",
        ts: microseconds(span.start),
        dur: microseconds(span.end - span.start),
        pid: 1,
        tid: worker + 1,
        args,
    }
}

/// Mnemonic, layer, weights and the first result's name of each op of a graph.
fn labels(recorded: &Recorded, graph: &str) -> HashMap<NodeId, OpLabel> {
    let module = recorded.executable.module();
    let (graph, symbols) = (&module.graphs[graph], &module.symbols);
    let order = graph.order();
    let block_of = blocks(graph, symbols, &order);
    let label = |node: NodeId| {
        let op = graph.op(node)?;
        let mut args = json!({"uses": used(graph, symbols, node)});
        if let Some(block) = block_of.get(&node) {
            args["layer"] = (*block).into();
        }
        if let Some(name) = graph.values(node).find_map(|v| graph.name(v)) {
            args["result"] = name.into();
        }
        let name = op.mnemonic().to_string();
        Some((node, OpLabel { name, args }))
    };
    order.iter().filter_map(|node| label(*node)).collect()
}
