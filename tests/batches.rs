//! Several sequences in one run: each gets, bit for bit, what it gets alone, whoever else is there.

mod support;

use std::sync::Arc;

use proptest::prelude::*;
use sharpi_compile::exec::{Executor, ExecutorOptions, Outputs};
use sharpi_compile::ir::DType;
use sharpi_compile::{Executable, Input, RunError, Session};
use support::{compile, model};

const MODELS: [&str; 6] = [
    "micro-dense-f32",
    "micro-moe-f32",
    "micro-qwen3next",
    "micro-qwen4exp",
    "tiny-dense-Q4_K_M",
    "tiny-moe-Q4_K_M",
];
const SEQUENCES: usize = 5;

/// A sequence's part in a run.
#[derive(Clone, Copy, Debug)]
struct Turn {
    sequence: usize,
    /// Tokens.
    width: usize,
    /// How many of them stay, if the run is tentative.
    kept: Option<usize>,
    /// Whether the logits of all tokens are wanted, or of the last alone.
    all_rows: bool,
}

fn turn() -> impl Strategy<Value = Turn> {
    let kept = prop::option::of(0usize..4);
    (0..SEQUENCES, 1usize..=4, kept, any::<bool>()).prop_map(|(sequence, width, kept, all_rows)| {
        Turn {
            sequence,
            width,
            kept: kept.map(|kept| kept.min(width)),
            all_rows,
        }
    })
}

/// Runs, each of some sequences in some order.
fn schedule() -> impl Strategy<Value = Vec<Vec<Turn>>> {
    let run = prop::collection::vec(turn(), 1..=SEQUENCES).prop_map(|mut turns| {
        let mut seen = [false; SEQUENCES];
        turns.retain(|turn| !std::mem::replace(&mut seen[turn.sequence], true));
        let mut rows = 16;
        for turn in &mut turns {
            turn.all_rows &= rows >= turn.width + SEQUENCES;
            rows -= if turn.all_rows { turn.width } else { 1 };
        }
        turns
    });
    prop::collection::vec(run, 1..6)
}

/// What a sequence is fed in the turn that begins at a position.
struct Fed {
    ids: Vec<i32>,
    rows: Vec<i32>,
}

impl Fed {
    fn new(turn: &Turn, position: usize) -> Fed {
        let id = |i: usize| ((position + i) * 7919 + turn.sequence * 131) % 320;
        let rows = if turn.all_rows { 0 } else { turn.width - 1 }..turn.width;
        Fed {
            ids: (0..turn.width).map(|i| id(i) as i32).collect(),
            rows: rows.map(|row| row as i32).collect(),
        }
    }

    fn trunk(&self) -> [(&'static str, Input<'_>); 2] {
        [
            ("ids", Input::I32(&self.ids)),
            ("rows", Input::I32(&self.rows)),
        ]
    }
}

fn bits(x: Option<&[f32]>) -> Vec<u32> {
    let x = x.expect("an output").iter();
    x.map(|x| x.to_bits()).collect()
}

fn take_back(session: &mut Session, turn: &Turn) {
    let back = turn.width - turn.kept.unwrap_or(turn.width);
    let position = session.position("trunk") - back;
    session.truncate("trunk", position).expect("a way back");
}

/// A run of several sequences, through the trunk and then the head.
fn together(executor: &Executor, sessions: &mut [Session], turns: &[Turn]) -> [Outputs; 2] {
    let fed: Vec<Fed> = turns
        .iter()
        .map(|turn| Fed::new(turn, sessions[turn.sequence].position("trunk")))
        .collect();
    let mut free: Vec<Option<&mut Session>> = sessions.iter_mut().map(Some).collect();
    let mut batch = executor.batch("trunk").expect("a trunk");
    for (turn, fed) in turns.iter().zip(&fed) {
        let session = free[turn.sequence].take().expect("one turn in a run");
        match turn.kept {
            None => batch.push(session, &fed.trunk()).expect("a sequence"),
            Some(_) => batch
                .push_tentative(session, &fed.trunk())
                .expect("a sequence"),
        }
    }
    let trunk = batch.run().expect("a run");
    let mut free: Vec<Option<&mut Session>> = sessions.iter_mut().map(Some).collect();
    let mut batch = executor.batch("mtp").expect("a head");
    for (i, (turn, fed)) in turns.iter().zip(&fed).enumerate() {
        let session = free[turn.sequence].take().expect("one turn in a run");
        let h = trunk.of(i, "h").expect("hidden states");
        let [ids, rows] = fed.trunk();
        let inputs = [ids, ("h", Input::F32(h)), rows];
        batch.push(session, &inputs).expect("a sequence");
    }
    let head = batch.run().expect("a run");
    for turn in turns {
        take_back(&mut sessions[turn.sequence], turn);
    }
    [trunk, head]
}

/// The same turn of one sequence by itself.
fn alone(session: &mut Session, turn: &Turn) -> [Outputs; 2] {
    let fed = Fed::new(turn, session.position("trunk"));
    let trunk = match turn.kept {
        None => session.run("trunk", &fed.trunk()),
        Some(_) => session.run_tentative("trunk", &fed.trunk()),
    };
    let trunk = trunk.expect("a run");
    let [ids, rows] = fed.trunk();
    let h = Input::F32(trunk.get("h").expect("hidden states"));
    let head = session.run("mtp", &[ids, ("h", h), rows]);
    take_back(session, turn);
    [trunk, head.expect("a run")]
}

fn sessions(executable: &Arc<Executable>, threads: usize) -> (Arc<Executor>, Vec<Session>) {
    let options = ExecutorOptions::default().threads(threads);
    let executor = Executor::new(executable.clone(), &options).expect("an executor");
    let session = |_| executor.session(128, 8).expect("a session");
    let sessions = (0..SEQUENCES).map(session).collect();
    (executor, sessions)
}

fn same_as_alone(executable: &Arc<Executable>, threads: usize, schedule: &[Vec<Turn>]) {
    let (executor, mut shared) = sessions(executable, threads);
    let (_, mut own) = sessions(executable, 1);
    for turns in schedule {
        let run = together(&executor, &mut shared, turns);
        for (i, turn) in turns.iter().enumerate() {
            let expected = alone(&mut own[turn.sequence], turn);
            for (name, graph) in [("h", 0), ("logits", 0), ("h_next", 1), ("logits", 1)] {
                assert_eq!(
                    bits(run[graph].of(i, name)),
                    bits(expected[graph].get(name)),
                    "{name} of {turn:?}"
                );
            }
        }
    }
    // One more token brings what is pending into the states, which are then compared.
    let last = |sequence| Turn {
        sequence,
        width: 1,
        kept: None,
        all_rows: true,
    };
    let turns: Vec<Turn> = (0..SEQUENCES).map(last).collect();
    together(&executor, &mut shared, &turns);
    for (i, turn) in turns.iter().enumerate() {
        alone(&mut own[i], turn);
        assert!(shared[i].save() == own[i].save(), "states of sequence {i}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn a_sequence_has_the_same_bits_in_any_company(schedule in schedule(), threads in 1usize..=2) {
        for name in MODELS {
            same_as_alone(&compile(&model(name), DType::F16), threads, &schedule);
        }
    }
}

#[test]
fn a_session_of_another_model_is_refused_and_the_batch_stays_as_it_was() {
    let (executor, mut ours) = sessions(&compile(&model("micro-dense-f32"), DType::F16), 1);
    let (_, mut others) = sessions(&compile(&model("micro-moe-f32"), DType::F16), 1);
    let inputs = [("ids", Input::I32(&[1, 2])), ("rows", Input::I32(&[1]))];
    let mut batch = executor.batch("trunk").unwrap();
    batch.push(&mut ours[0], &inputs).unwrap();
    let refused = batch.push(&mut others[0], &inputs);
    assert_eq!(refused, Err(RunError::OtherModel));
    assert_eq!((batch.tokens(), batch.rows()), (2, 1));
    batch.run().expect("a run of the sequence that fits");
}

#[test]
fn a_batch_wider_than_the_graph_is_refused_and_leaves_the_sequences() {
    let (executor, mut sessions) = sessions(&compile(&model("micro-dense-f32"), DType::F16), 1);
    let rows = [0; 9];
    let mut batch = executor.batch("trunk").unwrap();
    for session in &mut sessions[..2] {
        let inputs = [("ids", Input::I32(&[7])), ("rows", Input::I32(&rows))];
        batch.push(session, &inputs).unwrap();
    }
    let error = batch.run().expect_err("18 rows").to_string();
    assert!(
        error.contains("R is 18") && error.contains("0 to 16"),
        "{error}"
    );
    assert_eq!(sessions[0].position("trunk"), 0);
}
