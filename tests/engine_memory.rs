//! What the engine holds: memory of a request is given back when it ends.

mod support;

use sharpi_compile::engine::{Engine, EngineOptions, Event, Request};
use sharpi_compile::generate::{DraftOptions, GenerateOptions, SamplerOptions};
use sharpi_compile::ir::DType;
use support::{compile, model};

/// Resident bytes of this process.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("a status");
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
    let kib = line.and_then(|l| l.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.expect("resident memory") * 1024
}

fn request(i: u32, tokens: usize) -> Request {
    let prompt = (0..3 + i % 5).map(|j| (i * 31 + j * 7) % 500).collect();
    let draft = (i.is_multiple_of(3)).then(|| DraftOptions::default().n_max(2));
    Request::default()
        .prompt(prompt)
        .options(GenerateOptions::default().max_tokens(Some(tokens)))
        .sampler(
            SamplerOptions::default()
                .temp((i % 2) as f32)
                .seed(i.into()),
        )
        .draft(draft)
}

/// Serves requests, some of whose clients go away, and waits for all.
fn serve(engine: &Engine, requests: std::ops::Range<u32>) {
    let mut open = std::collections::VecDeque::new();
    for i in requests {
        let answer = engine
            .submit(request(i, 2 + i as usize % 3))
            .expect("a place");
        if i % 7 != 0 {
            open.push_back(answer);
        }
        if open.len() > 32 {
            let ended = open
                .pop_front()
                .expect("an answer")
                .any(|e| matches!(e, Event::End(_)));
            assert!(ended);
        }
    }
    open.into_iter().for_each(|answer| answer.for_each(drop));
}

#[test]
fn twenty_thousand_short_requests_leave_nothing_behind() {
    // Their number is the point: a leak of a kilobyte a request would be 20 MB.
    let executable = compile(&model("micro-dense-Q8_0"), DType::F16);
    let options = EngineOptions::default()
        .parallel(8)
        .threads(1)
        .context(512)
        .drafts(2)
        .queue(64)
        .checkpoint_min(4)
        .prompt_memory(4 << 20);
    let engine = Engine::start(executable, None, options).expect("an engine");
    serve(&engine, 0..4000);
    let before = resident();
    serve(&engine, 4000..20_000);
    let after = resident();
    let stats = engine.stats();
    println!("{before} bytes after 4000 requests, {after} after 20000; {stats:?}");
    assert!(
        after < before + (4 << 20),
        "{before} bytes have become {after}"
    );
    assert!(stats.prompts.bytes <= 4 << 20);
}

#[test]
fn a_finished_request_gives_its_memory_back() {
    let executable = compile(&model("micro-dense-Q8_0"), DType::F16);
    let options = EngineOptions::default().parallel(4).context(100_000);
    let engine = Engine::start(executable, None, options).expect("an engine");
    let long = |tokens: usize| {
        let prompt = (0..tokens as u32).map(|i| i % 500).collect();
        let options = GenerateOptions::default().max_tokens(Some(1));
        Request::default().prompt(prompt).options(options)
    };
    engine.submit(long(600)).expect("a place").for_each(drop);
    let before = resident();
    let mut answers: Vec<_> = (0..4)
        .map(|_| engine.submit(long(6000)).expect("a place"))
        .collect();
    let mut most = 0;
    for answer in &mut answers {
        answer.for_each(|_| most = most.max(resident()));
    }
    // The engine lets go within the step that ends a request.
    engine.submit(long(2)).expect("a place").for_each(drop);
    let (taken, left) = (most - before, resident().saturating_sub(before));
    println!("{taken} bytes taken, {left} left");
    assert!(taken > 4 << 20, "{taken}");
    assert!(left < taken / 4, "{left} of {taken} bytes are left");
}
