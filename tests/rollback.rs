//! Going back leaves no trace: what follows a run that was taken back has the bits it would have
//! had without it.

mod support;

use proptest::prelude::*;
use sharpi_compile::ir::DType;
use sharpi_compile::{Input, RunError, Session};
use support::{compile, feed, model, session};

const MODELS: [&str; 6] = [
    "micro-dense-f32",
    "micro-moe-f32",
    "micro-qwen3next",
    "micro-qwen4exp",
    "tiny-dense-Q4_K_M",
    "tiny-moe-Q4_K_M",
];

/// Feeds tokens in a run that can be taken back; logits of every token.
fn try_out(session: &mut Session, ids: &[u32]) -> Vec<Vec<f32>> {
    let start = session.position("trunk") as i32;
    let pos: Vec<i32> = (start..start + ids.len() as i32).collect();
    let rows: Vec<i32> = (0..ids.len() as i32).collect();
    let ids: Vec<i32> = ids.iter().map(|id| *id as i32).collect();
    let inputs = [
        ("ids", Input::I32(&ids)),
        ("pos", Input::I32(&pos)),
        ("rows", Input::I32(&rows)),
    ];
    let outputs = session.run_tentative("trunk", &inputs).expect("a run");
    let logits = outputs.get("logits").expect("logits");
    let rows = logits.chunks_exact(logits.len() / ids.len());
    rows.map(<[f32]>::to_vec).collect()
}

fn bits(rows: &[Vec<f32>]) -> Vec<Vec<u32>> {
    let row = |row: &Vec<f32>| row.iter().map(|x| x.to_bits()).collect();
    rows.iter().map(row).collect()
}

fn id(seed: usize) -> u32 {
    (seed * 7919 % 320) as u32
}

/// Rounds as drafting makes them, some tokens kept and some taken back, against a session that
/// only ever sees the kept ones; the states are compared after each round.
fn rounds(name: &str, cache: DType, rounds: &[(usize, usize)]) {
    let executable = compile(&model(name), cache);
    let (mut drafting, mut plain) = (session(&executable, 1), session(&executable, 1));
    let prompt: Vec<u32> = (0..5).map(id).collect();
    feed(&mut drafting, &prompt);
    feed(&mut plain, &prompt);
    for (round, &(width, kept)) in rounds.iter().enumerate() {
        let ids: Vec<u32> = (0..width).map(|i| id(round * 17 + i + 3)).collect();
        let kept = kept.min(width);
        let tried = try_out(&mut drafting, &ids);
        let position = drafting.position("trunk") - (width - kept);
        drafting.truncate("trunk", position).expect("a way back");
        let fed: Vec<Vec<f32>> = ids[..kept]
            .iter()
            .flat_map(|id| feed(&mut plain, &[*id]))
            .collect();
        assert_eq!(bits(&tried[..kept]), bits(&fed), "{name}, round {round}");
        // One more token brings pending updates into the states, which are then compared.
        let (mut a, mut b) = (drafting.fork().unwrap(), plain.fork().unwrap());
        let next = [id(round)];
        assert_eq!(bits(&feed(&mut a, &next)), bits(&feed(&mut b, &next)));
        assert!(a.save() == b.save(), "{name}, states after round {round}");
    }
}

#[test]
fn rounds_of_every_width_leave_the_states_of_a_session_that_never_drafted() {
    let every: Vec<(usize, usize)> = (1..=6)
        .flat_map(|width| (0..=width).map(move |kept| (width, kept)))
        .collect();
    for name in MODELS {
        rounds(name, DType::F16, &every);
    }
    for cache in [DType::Q8_0, DType::Q4_0] {
        rounds("micro-dense-f32", cache, &every);
        rounds("micro-qwen4exp", cache, &every);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn any_sequence_of_rounds_leaves_no_trace(
        sequence in prop::collection::vec((1usize..9, 0usize..9), 1..12), moe: bool,
    ) {
        let name = if moe { "micro-moe-f32" } else { "micro-dense-f32" };
        rounds(name, DType::F16, &sequence);
    }
}

#[test]
fn a_tentative_run_may_follow_and_be_followed_by_runs_of_any_kind() {
    let executable = compile(&model("micro-dense-f32"), DType::F32);
    let ids: Vec<u32> = (0..40).map(id).collect();
    let mut plain = session(&executable, 1);
    let whole: Vec<_> = ids.chunks(8).flat_map(|c| feed(&mut plain, c)).collect();
    let mut mixed = session(&executable, 2);
    let (mut at, mut logits) = (0, Vec::new());
    // Width, how many are kept, whether the run is tentative.
    for (width, kept, tentative) in [
        (3, 3, false),
        (4, 2, true),
        (1, 1, true),
        (5, 0, true),
        (9, 9, false),
        (16, 7, true),
        (2, 2, false),
    ] {
        let piece = &ids[at..at + width];
        let rows = match tentative {
            true => try_out(&mut mixed, piece),
            false => feed(&mut mixed, piece),
        };
        at += kept;
        mixed.truncate("trunk", at).expect("a way back");
        logits.extend_from_slice(&rows[..kept]);
    }
    assert_eq!(bits(&logits), bits(&whole[..at]));
}

#[test]
fn a_restored_session_goes_on_with_the_same_bits() {
    let executable = compile(&model("tiny-dense-Q4_K_M"), DType::F16);
    let mut first = session(&executable, 1);
    feed(&mut first, &[1, 2, 3]);
    try_out(&mut first, &[4, 5, 6]);
    first.truncate("trunk", 5).unwrap();
    let saved = first.save();
    let expected = feed(&mut first, &[7, 8]);
    let mut second = session(&executable, 2);
    feed(&mut second, &[9; 11]);
    second.restore(&saved).unwrap();
    assert_eq!(second.position("trunk"), 5);
    assert_eq!(bits(&feed(&mut second, &[7, 8])), bits(&expected));
    let mut fork = second.fork().unwrap();
    assert_eq!(
        bits(&feed(&mut fork, &[1])),
        bits(&feed(&mut second, &[1])),
        "a fork"
    );
}

#[test]
fn a_place_that_a_recurrent_state_cannot_go_back_to_is_an_error_that_names_the_ones_it_can() {
    let executable = compile(&model("micro-dense-f32"), DType::F32);
    let mut session = session(&executable, 1);
    feed(&mut session, &[1, 2, 3]);
    try_out(&mut session, &[4, 5]);
    let refused = |session: &mut Session, tokens| match session.truncate("trunk", tokens) {
        Err(RunError::Truncate {
            earliest, consumed, ..
        }) => (earliest, consumed),
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(&mut session, 2), (3, 5));
    assert_eq!(refused(&mut session, 6), (3, 5));
    session.truncate("trunk", 4).unwrap();
    feed(&mut session, &[6]);
    assert_eq!(refused(&mut session, 4), (5, 5));
    session.truncate("trunk", 0).unwrap();
    assert_eq!(session.position("trunk"), 0);
}

#[test]
fn a_tentative_run_is_no_wider_than_the_session_can_take_back() {
    let executable = compile(&model("micro-dense-f32"), DType::F32);
    let mut session = session(&executable, 1);
    let ids = [1; 17];
    let pos: Vec<i32> = (0..17).collect();
    let inputs = [
        ("ids", Input::I32(&ids)),
        ("pos", Input::I32(&pos)),
        ("rows", Input::I32(&[])),
    ];
    let error = session.run_tentative("trunk", &inputs).err();
    assert_eq!(
        error,
        Some(RunError::Tentative {
            tokens: 17,
            most: 16
        })
    );
    assert_eq!(session.position("trunk"), 0);
}
