//! The engine: many requests at once, each with the bits that it would have alone.

mod support;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use sharpi_compile::engine::{
    Answer, End, Engine, EngineOptions, Event, GenerateError, Mask, MaskError, Request,
};
use sharpi_compile::generate::{
    DraftOptions, GenerateOptions, Generator, Sampler, SamplerOptions, StopReason, Token,
};
use sharpi_compile::ir::DType;
use sharpi_compile::lower::LowerOptions;
use sharpi_compile::{CompileOptions, Executable, Model, SessionOptions};
use support::{compile, model, session};

const CONTEXT: usize = 512;

/// A token and the bits of its best logits.
type Bits = (u32, Vec<(u32, u32)>);

fn bits(token: &Token) -> Bits {
    let top = token.top.iter().map(|(id, x)| (*id, x.to_bits()));
    (token.id, top.collect())
}

fn options(max_tokens: usize) -> GenerateOptions {
    GenerateOptions::default()
        .max_tokens(Some(max_tokens))
        .logits_top(8)
}

fn engine(executable: &Arc<Executable>, options: EngineOptions) -> Engine {
    Engine::start(executable.clone(), None, options.context(CONTEXT)).expect("an engine")
}

/// All tokens of an answer, and its end.
fn collect(answer: Answer) -> (Vec<Bits>, End) {
    let mut tokens = Vec::new();
    for event in answer {
        match event {
            Event::Token { token, .. } => tokens.push(bits(&token)),
            Event::End(end) => return (tokens, *end),
            _ => {}
        }
    }
    panic!("an answer without an end");
}

/// What a request gives alone.
fn solo(
    executable: &Arc<Executable>,
    prompt: &[u32],
    sampler: SamplerOptions,
    n: usize,
) -> Vec<Bits> {
    let session = session(executable, 1);
    let generator = Generator::new(session, Sampler::new(sampler), prompt, options(n));
    let tokens = generator.expect("a generator");
    tokens.map(|token| bits(&token.expect("a token"))).collect()
}

/// A request of a random schedule.
#[derive(Clone, Debug)]
struct Wanted {
    /// Which of a few beginnings, and how much of it.
    family: u32,
    shared: usize,
    own: Vec<u32>,
    tokens: usize,
    seed: Option<u64>,
    draft: Option<(usize, bool)>,
    /// After how many events the client goes away.
    leaves: Option<usize>,
    remember: bool,
}

fn wanted() -> impl Strategy<Value = Wanted> {
    let draft = prop::option::of((1usize..5, any::<bool>()));
    (
        (
            0u32..3,
            0usize..150,
            prop::collection::vec(0u32..500, 1..20),
        ),
        (1usize..24, prop::option::of(0u64..3), draft),
        (
            prop::option::weighted(0.2, 0usize..8),
            prop::bool::weighted(0.8),
        ),
    )
        .prop_map(
            |((family, shared, own), (tokens, seed, draft), rest)| Wanted {
                family,
                shared,
                own,
                tokens,
                seed,
                draft,
                leaves: rest.0,
                remember: rest.1,
            },
        )
}

impl Wanted {
    fn prompt(&self) -> Vec<u32> {
        let shared = (0..self.shared as u32).map(|i| (i * 7 + self.family * 131) % 500);
        shared.chain(self.own.iter().copied()).collect()
    }

    fn sampler(&self) -> SamplerOptions {
        match self.seed {
            None => SamplerOptions::default(),
            Some(seed) => SamplerOptions::default()
                .temp(0.9)
                .seed(seed)
                .repeat_penalty(1.1),
        }
    }

    fn request(&self) -> Request {
        let draft = self
            .draft
            .map(|(n_max, adaptive)| DraftOptions::default().n_max(n_max).adaptive(adaptive));
        Request::default()
            .prompt(self.prompt())
            .options(options(self.tokens))
            .sampler(self.sampler())
            .draft(draft)
            .remember(self.remember)
    }
}

/// What was answered alone, by prompt and seed.
type Known = HashMap<(Vec<u32>, Option<u64>), Vec<Bits>>;

fn check(
    executable: &Arc<Executable>,
    known: &mut Known,
    schedule: &[Wanted],
    options: EngineOptions,
) -> Result<(), TestCaseError> {
    let engine = engine(executable, options);
    let mut answers = Vec::new();
    for wanted in schedule {
        let mut answer = Some(engine.submit(wanted.request()).expect("a place"));
        if let Some(events) = wanted.leaves {
            answer.iter_mut().flatten().take(events).for_each(drop);
            answer = None;
        }
        answers.push(answer);
    }
    for (wanted, answer) in schedule.iter().zip(answers) {
        let Some(answer) = answer else { continue };
        let (found, end) = collect(answer);
        prop_assert!(end.error.is_none(), "{:?}", end.error);
        prop_assert_eq!(end.reason, StopReason::Length);
        let alone = known
            .entry((wanted.prompt(), wanted.seed))
            .or_insert_with(|| solo(executable, &wanted.prompt(), wanted.sampler(), 24));
        prop_assert!(found[..] == alone[..wanted.tokens], "{wanted:?}");
    }
    let stats = engine.stats();
    prop_assert_eq!(stats.waiting, 0);
    engine.drain();
    Ok(())
}

fn random_schedules(name: &str, cases: u32) {
    let executable = compile(&model(name), DType::F16);
    let known = std::cell::RefCell::new(Known::new());
    let folder = tempfile::tempdir().expect("a folder");
    let config = ProptestConfig {
        cases,
        max_shrink_iters: 20,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let setup = (1usize..9, 0usize..4, 1usize..3, any::<bool>());
    let schedule = prop::collection::vec(wanted(), 20..60);
    let mut runner = proptest::test_runner::TestRunner::new_with_rng(
        config,
        proptest::test_runner::TestRng::deterministic_rng(Default::default()),
    );
    let ran = runner.run(
        &(setup, schedule),
        |((parallel, memory, threads, disk), schedule)| {
            let options = EngineOptions::default()
                .parallel(parallel)
                .threads(threads)
                .drafts(4)
                // None at all, so little that it is evicted all the time, and enough.
                .prompt_memory([0, 400_000, 4_000_000, 1 << 30][memory])
                .prompt_folder(disk.then(|| folder.path().into()))
                .prompt_disk(8 << 20)
                .checkpoint_min(6)
                .checkpoint_step(50)
                .max_step(Some(Duration::from_millis(3)));
            check(&executable, &mut known.borrow_mut(), &schedule, options)
        },
    );
    ran.unwrap_or_else(|e| panic!("{name}: {e}"));
}

#[test]
fn each_of_many_requests_has_the_bits_of_a_run_alone() {
    // Hundreds of requests of each kind of model take their time.
    random_schedules("micro-dense-Q8_0", 12);
    random_schedules("micro-moe-f32", 3);
}

#[test]
fn each_of_many_requests_on_quantised_weights_has_the_bits_of_a_run_alone() {
    random_schedules("tiny-dense-Q4_K_M", 4);
}

fn dense() -> (Model, Arc<Executable>) {
    let model = model("micro-dense-f32");
    let executable = compile(&model, DType::F16);
    (model, executable)
}

fn ask(prompt: Vec<u32>, tokens: usize) -> Request {
    Request::default().prompt(prompt).options(options(tokens))
}

fn counted(from: u32, count: u32) -> Vec<u32> {
    (from..from + count).map(|i| i * 13 % 500).collect()
}

#[test]
fn a_second_turn_reads_only_what_is_new_and_a_restart_changes_nothing() {
    let (_, executable) = dense();
    let folder = tempfile::tempdir().expect("a folder");
    let options = EngineOptions::default()
        .drafts(3)
        .prompt_memory(1 << 30)
        .prompt_folder(Some(folder.path().into()))
        .checkpoint_min(8);
    let first = counted(0, 100);
    for draft in [None, Some(DraftOptions::default().n_max(3))] {
        let engine = engine(&executable, options.clone());
        let (answer, end) = collect(engine.submit(ask(first.clone(), 20).draft(draft)).unwrap());
        assert_eq!(end.stats.remembered_tokens, 0);
        let mut second = first.clone();
        second.extend(answer.iter().map(|(id, _)| id));
        let told = second.len();
        second.extend(counted(7, 9));
        let alone = solo(&executable, &second, SamplerOptions::default(), 12);
        let (found, end) = collect(engine.submit(ask(second.clone(), 12).draft(draft)).unwrap());
        assert!(found == alone);
        // All but the last token, which nobody has fed without drafts.
        assert!(end.stats.remembered_tokens + 1 >= told, "{:?}", end.stats);
        engine.drain();
        let engine = self::engine(&executable, options.clone());
        let (found, end) = collect(engine.submit(ask(second.clone(), 12).draft(draft)).unwrap());
        assert!(found == alone);
        let known = end.stats.remembered_tokens;
        assert!(known + 1 >= second.len(), "{known} of {}", second.len());
        assert_eq!(engine.stats().prompts.hits, 1);
    }
}

#[test]
fn texts_that_part_are_remembered_where_they_part() {
    let (_, executable) = dense();
    let options = EngineOptions::default()
        .prompt_memory(1 << 30)
        .checkpoint_min(8);
    let engine = engine(&executable, options);
    let remembered = |own: u32| {
        let mut prompt = counted(0, 90);
        prompt.extend(counted(100 * own, 20));
        let (found, end) = collect(engine.submit(ask(prompt.clone(), 4)).unwrap());
        assert!(found == solo(&executable, &prompt, SamplerOptions::default(), 4));
        end.stats.remembered_tokens
    };
    let found: Vec<usize> = (1..5).map(remembered).collect();
    assert_eq!(found, [0, 0, 90, 90]);
}

#[test]
fn a_mask_says_what_may_be_chosen_with_drafts_and_without() {
    /// Only ids that leave this rest when divided by 7, in turn.
    struct InTurn;
    impl Mask for InTurn {
        fn apply(
            &mut self,
            generated: &[u32],
            ids: Option<&[u32]>,
            logits: &mut [f32],
        ) -> Result<(), MaskError> {
            for (i, x) in logits.iter_mut().enumerate() {
                let id = ids.map_or(i, |ids| ids[i] as usize);
                if id % 7 != generated.len() % 7 {
                    *x = f32::NEG_INFINITY;
                }
            }
            Ok(())
        }
    }
    let (_, executable) = dense();
    let engine = engine(&executable, EngineOptions::default().drafts(4));
    let answer = |draft: Option<DraftOptions>| {
        let request = ask(counted(3, 10), 30).mask(Some(Box::new(InTurn)));
        let request = request
            .sampler(SamplerOptions::default().temp(1.0))
            .draft(draft);
        collect(engine.submit(request).unwrap()).0
    };
    let plain = answer(None);
    assert!(
        plain
            .iter()
            .enumerate()
            .all(|(i, (id, _))| *id as usize % 7 == i % 7)
    );
    assert!(answer(Some(DraftOptions::default().n_max(4))) == plain);
}

#[test]
fn a_mask_that_panics_ends_its_own_request_only() {
    struct Broken;
    impl Mask for Broken {
        fn apply(
            &mut self,
            generated: &[u32],
            _: Option<&[u32]>,
            _: &mut [f32],
        ) -> Result<(), MaskError> {
            assert!(generated.len() < 3, "three are enough");
            Ok(())
        }
    }
    let (_, executable) = dense();
    let engine = engine(&executable, EngineOptions::default());
    let broken = engine
        .submit(ask(vec![1, 2, 3], 50).mask(Some(Box::new(Broken))))
        .unwrap();
    let sound = engine.submit(ask(vec![4, 5, 6], 50)).unwrap();
    let (tokens, end) = collect(broken);
    assert_eq!((tokens.len(), end.reason), (3, StopReason::Failed));
    let error = end.error.expect("a reason").to_string();
    assert_eq!(error, "choosing a token failed: three are enough");
    let alone = solo(&executable, &[4, 5, 6], SamplerOptions::default(), 50);
    assert!(collect(sound).0 == alone);
}

#[test]
fn what_cannot_be_served_is_refused_with_a_reason() {
    let (_, executable) = dense();
    let footprint = executable.footprint(&SessionOptions::default().context(100));
    let enough = footprint.session() - footprint.arena;
    let options = EngineOptions::default()
        .parallel(1)
        .queue(2)
        .memory(Some(enough as u64));
    let engine = engine(&executable, options);
    let refused = |request| {
        engine
            .submit(request)
            .map(drop)
            .expect_err("a refusal")
            .to_string()
    };
    assert_eq!(
        refused(ask(vec![], 1)),
        "the prompt is empty, expected at least one token"
    );
    assert!(refused(ask(vec![9999], 1)).contains("outside the model's vocabulary"));
    assert!(refused(ask(vec![1; 513], 1)).contains("has 513 tokens"));
    let large = refused(ask(vec![1; 400], 100));
    assert!(large.contains("are allowed in all"), "{large}");
    let draft = Some(DraftOptions::default());
    assert!(refused(ask(vec![1], 1).draft(draft)).contains("no MTP head"));
    let busy: Vec<_> = (0..20)
        .map_while(|_| engine.submit(ask(vec![1, 2], 60)).ok())
        .collect();
    assert!((2..20).contains(&busy.len()), "{}", busy.len());
    assert!(matches!(
        engine.submit(ask(vec![1], 1)).map(drop),
        Err(GenerateError::QueueFull(2))
    ));
    engine.close();
    assert!(matches!(
        engine.submit(ask(vec![1], 1)),
        Err(GenerateError::Stopped)
    ));
    for answer in busy {
        assert_eq!(collect(answer).1.reason, StopReason::Length);
    }
}

#[test]
fn memory_that_cannot_be_had_fails_its_own_request_only() {
    let (_, executable) = dense();
    let options = EngineOptions::default().context(1 << 44);
    let engine = Engine::start(executable.clone(), None, options).unwrap();
    let large = ask(vec![1, 2], 4).options(GenerateOptions::default().max_tokens(None));
    let large = engine.submit(large).unwrap();
    let small = engine.submit(ask(vec![1, 2, 3], 8)).unwrap();
    let (tokens, end) = collect(large);
    assert_eq!((tokens.len(), end.reason), (0, StopReason::Failed));
    let error = end.error.expect("a reason").to_string();
    assert!(error.contains("cannot be allocated"), "{error}");
    let alone = solo(&executable, &[1, 2, 3], SamplerOptions::default(), 8);
    assert!(collect(small).0 == alone);
}

#[test]
fn text_comes_in_whole_characters_and_ends_before_a_stop_string() {
    let model = Model::embedded().expect("a model");
    let tokenizer = Arc::new(model.tokenizer().expect("a tokenizer"));
    let executable = compile(&model, DType::F16);
    let options = EngineOptions::default().drafts(2);
    let engine = Engine::start(executable, Some(tokenizer.clone()), options).unwrap();
    let request = |stop: &[&str]| {
        let stop = stop.iter().map(|s| s.to_string()).collect();
        let request = ask(tokenizer.encode("KING RICHARD III:", true), 40).stop(stop);
        let mut text = String::new();
        for event in engine.submit(request).unwrap() {
            match event {
                Event::Token { text: piece, .. } => text.push_str(&piece),
                Event::End(end) => return (text + &end.text, end.reason),
                _ => {}
            }
        }
        panic!("no end");
    };
    let (whole, reason) = request(&[]);
    assert_eq!(reason, StopReason::Length);
    let word = whole.split_whitespace().nth(5).expect("words");
    let (text, reason) = request(&["nowhere", word]);
    assert_eq!(reason, StopReason::StopString(1));
    assert_eq!(text, whole[..whole.find(word).unwrap()]);
}

#[test]
fn an_executable_that_takes_few_tokens_at_once_serves_many_all_the_same() {
    let model = model("micro-dense-f32");
    let lower = LowerOptions::default().max_tokens(4).max_rows(16);
    let executable = model.compile(&CompileOptions::default().lower(lower));
    let executable = Arc::new(executable.expect("compiled"));
    let options = EngineOptions::default().parallel(8).drafts(3);
    let engine = engine(&executable, options);
    let draft = Some(DraftOptions::default().n_max(3));
    let ask = |i: u32| engine.submit(ask(counted(i, 9), 12).draft(draft)).unwrap();
    let answers: Vec<Answer> = (0..8).map(ask).collect();
    for (i, answer) in (0..8).zip(answers) {
        let alone = solo(&executable, &counted(i, 9), SamplerOptions::default(), 12);
        assert!(collect(answer).0 == alone, "{i}");
    }
}

#[test]
fn a_session_that_was_used_cannot_be_brought_behind_a_prompt() {
    let (_, executable) = dense();
    let mut used = session(&executable, 1);
    support::feed(&mut used, &[1, 2]);
    let sampler = Sampler::new(SamplerOptions::default());
    let resumed = Generator::resume(used, sampler, &[1, 2, 3], (options(1), None), None, None);
    assert!(matches!(resumed.map(drop), Err(GenerateError::UsedSession)));
}

#[test]
fn a_deadline_ends_a_request_that_runs_and_one_that_waits() {
    let (_, executable) = dense();
    let engine = engine(&executable, EngineOptions::default().parallel(1));
    let endless = |limit| {
        let options = GenerateOptions::default().max_tokens(Some(450));
        ask(vec![1, 2], 0)
            .options(options)
            .deadline(Some(Duration::from_millis(limit)))
    };
    let runs = engine.submit(endless(30)).unwrap();
    let waits = engine.submit(endless(1)).unwrap();
    assert_eq!(collect(runs).1.reason, StopReason::Deadline);
    assert_eq!(collect(waits).1.reason, StopReason::Deadline);
}

#[test]
fn who_reads_a_long_prompt_does_not_stop_another_ones_text() {
    let (_, executable) = dense();
    let options = EngineOptions::default().max_step(Some(Duration::from_micros(1)));
    let engine = engine(&executable, options);
    let mut text = engine.submit(ask(vec![1, 2, 3], 60)).unwrap();
    let reads =
        |events: &mut Answer| events.find(|e| matches!(e, Event::Token { .. } | Event::End(_)));
    assert!(reads(&mut text).is_some());
    let mut long = engine.submit(ask(counted(5, 480), 3)).unwrap();
    let mut pieces = Vec::new();
    let mut done = 0;
    while let Some(Event::Prompt { done: now, .. }) = long.next() {
        pieces.push(now - done);
        done = now;
    }
    // While the other one wrote, eight tokens at a time.
    assert!(
        pieces.iter().filter(|n| **n == 8).count() > 10,
        "{pieces:?}"
    );
    let alone = solo(&executable, &counted(5, 480), SamplerOptions::default(), 3);
    assert_eq!(
        collect(engine.submit(ask(counted(5, 480), 3)).unwrap()).0,
        alone
    );
}
