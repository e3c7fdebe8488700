//! The contract of a session, bit for bit: what a position gives depends on the tokens before it
//! and on nothing else.

mod support;

use std::sync::Arc;

use sharpi_compile::exec::LoadOptions;
use sharpi_compile::ir::DType;
use sharpi_compile::lower::LowerOptions;
use sharpi_compile::passes::{Options, Pipeline};
use sharpi_compile::{CompileOptions, Executable, Input, Model, Session};
use sharpi_kernels::simd::{Level, with_level};
use support::{families, model, requantise, session};

const PROMPT: usize = 70;

/// Widths of the runs, over and over.
const SPLITS: &[&[usize]] = &[
    &[2],
    &[3],
    &[4],
    &[8],
    &[17],
    &[64],
    &[PROMPT],
    &[69, 1],
    &[1, 64, 5],
    &[5, 1, 19, 2, 33, 10],
    &[7, 16, 1, 15],
];

/// K-quants, the formats of fewest bits, floats, the legacy formats with an offset, dense and mixture of experts; and every
/// architecture.
fn models() -> Vec<(&'static str, Model)> {
    let files = [
        "micro-dense-Q2_K",
        "micro-dense-IQ1",
        "micro-dense-Q1_0",
        "tiny-dense-Q4_K_M",
        "tiny-moe-Q4_K_M",
        "micro-moe-f32",
    ];
    let derived = ["micro-dense-F16", "micro-dense-BF16", "micro-dense-Q4_1"];
    let files = files.map(|name| (name, model(name)));
    let derived = derived.map(|name| (name, requantise::derived(name).expect("a simple type")));
    let families = families().map(|name| (name, model(name)));
    files.into_iter().chain(derived).chain(families).collect()
}

fn compiled(model: &Model, cache: DType, skip: &[&str]) -> Arc<Executable> {
    let options = CompileOptions::default()
        .lower(
            LowerOptions::default()
                .cache_k(cache)
                .cache_v(cache)
                .max_rows(96),
        )
        .passes(Options::default().skip(skip.iter().map(ToString::to_string).collect()))
        .load(LoadOptions::default());
    Arc::new(model.compile(&options).expect("a compiled model"))
}

fn ordinary(model: &Model) -> Arc<Executable> {
    compiled(model, DType::F16, &[])
}

/// Ids spread over the vocabulary, one more than the prompt has.
fn tokens(model: &Model) -> Vec<i32> {
    tokens_for(model, PROMPT)
}

fn tokens_for(model: &Model, prompt: usize) -> Vec<i32> {
    let vocabulary = model.hparams().expect("sizes").vocabulary;
    let spread = |i: usize| ((i * i * 31 + i * 97 + 13) % vocabulary) as i32;
    (0..=prompt).map(spread).collect()
}

/// Hidden states and logits of some tokens, a row each, as bits.
#[derive(Default)]
struct Rows {
    hidden: Vec<Vec<u32>>,
    logits: Vec<Vec<u32>>,
}

fn rows_of(values: &[f32], rows: usize) -> impl Iterator<Item = Vec<u32>> {
    assert!(
        values.iter().all(|x| x.is_finite()),
        "a value is not finite"
    );
    let width = values.len() / rows;
    assert!(width > 0, "a row has values");
    let bits = |row: &[f32]| row.iter().map(|x| x.to_bits()).collect();
    values.chunks_exact(width).map(bits)
}

/// Feeds tokens in runs of these widths; with hidden states, to the head.
fn feed(session: &mut Session, ids: &[i32], hidden: Option<&[f32]>, widths: &[usize]) -> Rows {
    let graph = if hidden.is_some() { "mtp" } else { "trunk" };
    let (mut all, mut from) = (Rows::default(), 0);
    for width in widths.iter().cycle() {
        let ids_left = &ids[from..];
        if ids_left.is_empty() {
            break;
        }
        let count = *width.min(&ids_left.len());
        let start = session.position(graph) as i32;
        let pos: Vec<i32> = (start..start + count as i32).collect();
        let rows: Vec<i32> = (0..count as i32).collect();
        let mut inputs = vec![
            ("ids", Input::I32(&ids_left[..count])),
            ("pos", Input::I32(&pos)),
            ("rows", Input::I32(&rows)),
        ];
        if let Some(h) = hidden {
            let width = h.len() / ids.len();
            let part = &h[from * width..(from + count) * width];
            inputs.push(("h", Input::F32(part)));
        }
        let outputs = session.run(graph, &inputs).expect("a run");
        let h = outputs.get("h").or(outputs.get("h_next"));
        assert_eq!(h.is_some(), has_head(session), "hidden states");
        all.hidden
            .extend(h.into_iter().flat_map(|h| rows_of(h, count)));
        let logits = outputs.get("logits").expect("logits");
        all.logits.extend(rows_of(logits, count));
        from += count;
    }
    all
}

/// A prompt and one decode step through the trunk, then through the head: `[trunk, head]`, the
/// step in the last row of each.
fn evaluate(session: &mut Session, ids: &[i32], widths: &[usize]) -> [Rows; 2] {
    let prompt = ids.len() - 1;
    let in_runs = |session: &mut Session, hidden: Option<&[f32]>| {
        let width = hidden.map(|h| h.len() / ids.len());
        let at = |from: usize, to: usize| {
            hidden.map(|h| &h[from * width.unwrap_or(0)..to * width.unwrap_or(0)])
        };
        let mut rows = feed(session, &ids[..prompt], at(0, prompt), widths);
        let step = feed(session, &ids[prompt..], at(prompt, prompt + 1), &[1]);
        rows.hidden.extend(step.hidden);
        rows.logits.extend(step.logits);
        rows
    };
    let trunk = in_runs(session, None);
    let head = match has_head(session) {
        true => in_runs(session, Some(&shifted(&trunk))),
        false => Rows::default(),
    };
    [trunk, head]
}

/// Whether the model has a head to draft with; without one its trunk gives no hidden states.
fn has_head(session: &Session) -> bool {
    session.executable().module().graphs.contains_key("mtp")
}

/// What the head takes: each token meets the hidden state of the position before, the first zeros.
fn shifted(trunk: &Rows) -> Vec<f32> {
    let before = &trunk.hidden[..trunk.hidden.len() - 1];
    let zeros = std::iter::repeat_n(0.0, trunk.hidden[0].len());
    let before = before.iter().flatten().map(|bits| f32::from_bits(*bits));
    zeros.chain(before).collect()
}

/// The reference of every comparison: one thread, one token at a time.
fn one_by_one(executable: &Arc<Executable>, ids: &[i32]) -> [Rows; 2] {
    evaluate(&mut session(executable, 1), ids, &[1])
}

#[track_caller]
fn assert_same(found: &[Rows; 2], expected: &[Rows; 2], what: &str) {
    for (graph, (found, expected)) in ["trunk", "mtp"].iter().zip(found.iter().zip(expected)) {
        let parts = [
            ("hidden state", &found.hidden, &expected.hidden),
            ("logits", &found.logits, &expected.logits),
        ];
        for (part, found, expected) in parts {
            assert_eq!(found.len(), expected.len(), "{what}: rows of @{graph}");
            for (i, (a, b)) in found.iter().zip(expected).enumerate() {
                let differ = a.iter().zip(b).filter(|(a, b)| a != b).count();
                assert!(
                    a == b,
                    "{what}: @{graph}'s {part} of token {i} differs in {differ} of {} values",
                    b.len()
                );
            }
        }
    }
}

#[test]
fn a_prompt_gives_the_same_bits_however_it_is_cut_into_runs() {
    for (name, model) in models() {
        let (executable, ids) = (ordinary(&model), tokens(&model));
        let expected = one_by_one(&executable, &ids);
        for widths in SPLITS {
            let found = evaluate(&mut session(&executable, 1), &ids, widths);
            assert_same(&found, &expected, &format!("{name}, widths {widths:?}"));
        }
    }
}

#[test]
fn a_prompt_gives_the_same_bits_however_it_is_cut_whatever_the_cache_holds() {
    // One whose keys all meet all queries, and one that has an indexer's keys too.
    for name in ["micro-dense-f32", "micro-qwen4exp"] {
        let model = model(name);
        let ids = tokens(&model);
        for cache in [DType::F32, DType::BF16, DType::Q8_0, DType::Q4_0] {
            let executable = compiled(&model, cache, &[]);
            let expected = one_by_one(&executable, &ids);
            for widths in &SPLITS[4..] {
                let found = evaluate(&mut session(&executable, 1), &ids, widths);
                let what = format!("{name}, {cache}, widths {widths:?}");
                assert_same(&found, &expected, &what);
            }
        }
    }
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    for (name, model) in models() {
        let (executable, ids) = (ordinary(&model), tokens(&model));
        let expected = one_by_one(&executable, &ids);
        // The decode step at the end is a run of one token.
        for (threads, widths) in [(2, &[5, 1, 19, 33][..]), (3, &[17]), (3, &[PROMPT])] {
            let found = evaluate(&mut session(&executable, threads), &ids, widths);
            let what = format!("{name}, {threads} threads, widths {widths:?}");
            assert_same(&found, &expected, &what);
        }
    }
}

#[test]
fn every_simd_level_gives_the_same_bits() {
    for (name, model) in models() {
        let (executable, ids) = (ordinary(&model), tokens(&model));
        let expected = one_by_one(&executable, &ids);
        let all: &[&[usize]] = &[&[1], &[17], &[PROMPT]];
        // Portable code is slow; its decode step is a run of one token.
        for (level, splits) in [
            (Level::Scalar, &all[1..2]),
            (Level::Avx2, all),
            (Level::AvxVnni, all),
            (Level::Avx512, all),
            (Level::Amx, all),
        ] {
            for widths in splits {
                let mut session = session(&executable, 1);
                let found = with_level(level, || evaluate(&mut session, &ids, widths));
                let what = format!("{name}, {level:?}, widths {widths:?}");
                assert_same(&found, &expected, &what);
            }
        }
    }
}

#[test]
fn weights_bound_at_one_simd_level_give_the_same_bits_at_another() {
    let model = model("micro-dense-Q2_K");
    let ids = tokens(&model);
    let expected = one_by_one(&ordinary(&model), &ids);
    for level in [Level::Scalar, Level::Avx2] {
        let executable = with_level(level, || ordinary(&model));
        let found = evaluate(&mut session(&executable, 1), &ids, &[PROMPT]);
        assert_same(&found, &expected, &format!("bound at {level:?}"));
    }
}

#[test]
fn a_second_session_and_a_reset_one_give_the_same_bits() {
    for (name, model) in models() {
        let (executable, ids) = (ordinary(&model), tokens(&model));
        let mut first = session(&executable, 1);
        let expected = evaluate(&mut first, &ids, &[17]);
        let mut second = session(&executable, 1);
        let others: Vec<i32> = ids.iter().rev().copied().collect();
        feed(&mut first, &others, None, &[8]);
        let found = evaluate(&mut second, &ids, &[17]);
        assert_same(&found, &expected, &format!("{name}, a second session"));
        first.reset();
        let found = evaluate(&mut first, &ids, &[17]);
        assert_same(&found, &expected, &format!("{name}, a reset session"));
    }
}

/// The passes that can be skipped, in order.
fn optional_passes() -> Vec<&'static str> {
    let table = Pipeline::default()
        .table()
        .into_iter()
        .filter(|p| !p.required);
    table.map(|p| p.name).collect()
}

/// Runs of several widths without some passes against one token at a time with all of them.
fn assert_passes_change_nothing(name: &str, choices: &[Vec<&str>]) {
    let widths = [1, 2, 3, 17, 64];
    let model = model(name);
    let ids = tokens_for(&model, widths.iter().sum());
    let expected = one_by_one(&ordinary(&model), &ids);
    for (i, skip) in choices.iter().enumerate() {
        let executable = compiled(&model, DType::F16, skip);
        let mut session = session(&executable, 1 + i % 3);
        let found = evaluate(&mut session, &ids, &widths);
        assert_same(&found, &expected, &format!("{name} without {skip:?}"));
    }
}

#[test]
fn no_prefix_of_the_pipeline_changes_a_bit() {
    let optional = optional_passes();
    let prefixes: Vec<_> = (0..optional.len())
        .map(|n| optional[n..].to_vec())
        .collect();
    for name in ["tiny-dense-Q4_K_M", "tiny-moe-Q4_K_M"] {
        assert_passes_change_nothing(name, &prefixes);
    }
}

#[test]
fn no_single_pass_changes_a_bit() {
    let single: Vec<_> = optional_passes().into_iter().map(|p| vec![p]).collect();
    for name in ["tiny-dense-Q4_K_M", "tiny-moe-Q4_K_M"] {
        assert_passes_change_nothing(name, &single);
    }
}

#[test]
fn the_optional_passes_together_do_not_change_a_bit_whatever_the_weights_types() {
    for name in [
        "micro-dense-Q2_K",
        "micro-dense-IQ4_XS",
        "micro-dense-f32",
        "micro-moe-f32",
    ] {
        assert_passes_change_nothing(name, &[optional_passes()]);
    }
    for name in ["micro-dense-F16", "micro-dense-BF16", "micro-dense-Q4_1"] {
        let model = requantise::derived(name).expect("a simple type");
        let ids = tokens(&model);
        let expected = one_by_one(&ordinary(&model), &ids);
        let executable = compiled(&model, DType::F16, &optional_passes());
        let found = evaluate(&mut session(&executable, 1), &ids, &[17]);
        assert_same(
            &found,
            &expected,
            &format!("{name} without optional passes"),
        );
    }
}

#[test]
fn dead_bytes_that_are_overwritten_change_nothing() {
    for (name, model) in models() {
        let ids = tokens_for(&model, 20);
        let expected = one_by_one(&ordinary(&model), &ids);
        for skip in [vec![], optional_passes()] {
            let executable = compiled(&model, DType::F16, &skip);
            let mut session = session(&executable, 2);
            session.poison(true);
            let found = evaluate(&mut session, &ids, &[17, 1, 2]);
            let what = format!("{name} without {skip:?}, dead bytes overwritten");
            assert_same(&found, &expected, &what);
        }
    }
}

#[test]
fn the_rows_asked_for_do_not_change_a_bit_of_each_other() {
    for (name, model) in models() {
        let (executable, ids) = (ordinary(&model), tokens(&model));
        let [trunk, _] = one_by_one(&executable, &ids);
        let pos: Vec<i32> = (0..PROMPT as i32).collect();
        for rows in [&[69][..], &[0, 3, 69], &[40, 2], &[]] {
            let mut session = session(&executable, 1);
            let inputs = [
                ("ids", Input::I32(&ids[..PROMPT])),
                ("pos", Input::I32(&pos)),
                ("rows", Input::I32(rows)),
            ];
            let outputs = session.run("trunk", &inputs).expect("a run");
            let logits = outputs.get("logits").expect("logits");
            assert_eq!(logits.is_empty(), rows.is_empty());
            if !rows.is_empty() {
                for (row, found) in rows.iter().zip(rows_of(logits, rows.len())) {
                    let expected = &trunk.logits[*row as usize];
                    assert!(found == *expected, "{name}: row {row} of {rows:?}");
                }
            }
        }
    }
}

#[test]
fn a_head_that_went_back_gives_the_same_bits_as_one_that_never_left() {
    for (name, model) in models() {
        let (executable, ids) = (ordinary(&model), tokens(&model));
        let mut session = session(&executable, 1);
        if !has_head(&session) {
            continue;
        }
        let expected = one_by_one(&executable, &ids);
        let trunk = feed(&mut session, &ids, None, &[17]);
        let h = shifted(&trunk);
        let width = h.len() / ids.len();
        let mut head = feed(&mut session, &ids[..40], Some(&h[..40 * width]), &[17]);
        let strays: Vec<i32> = ids[..9].iter().rev().copied().collect();
        feed(&mut session, &strays, Some(&h[..9 * width]), &[4]);
        session.truncate("mtp", 40).expect("nothing but caches");
        let rest = feed(&mut session, &ids[40..], Some(&h[40 * width..]), &[8]);
        head.hidden.extend(rest.hidden);
        head.logits.extend(rest.logits);
        assert_same(&[trunk, head], &expected, name);
    }
}

#[test]
fn another_token_changes_what_follows_it_and_nothing_before() {
    let model = model("micro-dense-f32");
    let (executable, mut ids) = (ordinary(&model), tokens(&model));
    let [before, _] = one_by_one(&executable, &ids);
    ids[30] ^= 1;
    let [after, _] = evaluate(&mut session(&executable, 1), &ids, &[17]);
    let same = |i: &usize| before.logits[*i] == after.logits[*i];
    assert!((0..30).all(|i| same(&i)));
    assert!(!(30..=PROMPT).any(|i| same(&i)));
}
