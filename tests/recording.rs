//! A recording tells everything that the workers did, once, and changes nothing.

mod support;

use std::collections::BTreeMap;

use sharpi_compile::Session;
use sharpi_compile::exec::{RecordedRun, Work};
use sharpi_compile::ir::DType;
use support::{compile, feed, model, session};

const MODELS: [&str; 2] = ["micro-moe-f32", "tiny-dense-Q4_K_M"];
const PROMPT: [u32; 5] = [87, 25, 117, 0, 76];

fn bits(rows: &[Vec<f32>]) -> Vec<u32> {
    rows.iter().flatten().map(|x| x.to_bits()).collect()
}

/// A prompt and some tokens; all their logits.
fn play(session: &mut Session) -> Vec<u32> {
    let mut logits = feed(session, &PROMPT);
    for id in [3, 2, 1] {
        logits.extend(feed(session, &[id]));
    }
    bits(&logits)
}

#[test]
fn a_recorded_session_gives_the_bits_of_another() {
    for name in MODELS {
        let executable = compile(&model(name), DType::F16);
        for threads in [1, 3] {
            let mut plain = session(&executable, threads);
            assert!(plain.recorded().is_empty());
            let mut recorded = session(&executable, threads);
            recorded.record();
            assert_eq!(play(&mut plain), play(&mut recorded), "{name}");
            assert_eq!(recorded.recorded().len(), 4);
            feed(&mut recorded, &[4]);
            assert!(recorded.recorded().is_empty(), "it has ended");
        }
    }
}

#[test]
fn every_step_of_every_run_is_accounted_for_once() {
    for name in MODELS {
        let executable = compile(&model(name), DType::F16);
        let plan = executable.plan("trunk").unwrap();
        let mut session = session(&executable, 2);
        session.record();
        play(&mut session);
        let runs = session.recorded();
        let shapes: Vec<_> = runs.iter().map(|r| (r.position, r.tokens)).collect();
        assert_eq!(shapes, [(0, 5), (5, 1), (6, 1), (7, 1)]);
        for run in &runs {
            assert_eq!(run.graph, "trunk");
            assert_eq!(run.workers.len(), 2);
            for worker in &run.workers {
                let waits = worker.iter().filter(|s| s.work == Work::Barrier);
                let waits: Vec<usize> = waits.map(|s| s.step).collect();
                assert_eq!(waits, (0..plan.steps.len()).collect::<Vec<_>>());
            }
            for (op, chunks) in chunks(run) {
                let node = executable.op("trunk", op.0, op.1);
                let node = node.unwrap_or_else(|| panic!("{name}: no op {op:?}"));
                assert!(plan.steps[op.0].contains(&node));
                assert!(chunks > 0);
            }
            let ops = plan.steps.iter().flatten();
            let graph = &executable.module().graphs["trunk"];
            let views = ops.filter(|n| graph.op(**n).unwrap().mnemonic() == "reshape");
            let all: usize = plan.steps.iter().map(Vec::len).sum();
            assert_eq!(chunks(run).len(), all - views.count(), "{name}");
        }
        // What a run is parted into depends on its width alone.
        assert_eq!(chunks(&runs[1]), chunks(&runs[2]));
    }
}

/// Chunks of each op, by step and kernel, over all workers.
fn chunks(run: &RecordedRun) -> BTreeMap<(usize, usize), usize> {
    let mut sums = BTreeMap::new();
    for span in run.workers.iter().flatten() {
        if let Work::Chunks { kernel, chunks } = span.work {
            *sums.entry((span.step, kernel)).or_default() += chunks;
        }
    }
    sums
}

#[test]
fn spans_of_a_worker_follow_each_other_within_their_run() {
    let executable = compile(&model("tiny-dense-Q4_K_M"), DType::F16);
    let mut session = session(&executable, 2);
    session.record();
    play(&mut session);
    let mut last = 0;
    for run in session.recorded() {
        assert!(last <= run.start && run.start < run.end);
        last = run.end;
        for worker in &run.workers {
            let mut at = worker[0].start;
            assert!(run.start <= at);
            for span in worker {
                assert_eq!(span.start, at, "a gap before {span:?}");
                assert!(span.start <= span.end);
                at = span.end;
            }
            assert!(at <= run.end);
            let sum: u64 = worker.iter().map(|s| s.end - s.start).sum();
            assert!(sum <= run.end - run.start);
        }
    }
}
