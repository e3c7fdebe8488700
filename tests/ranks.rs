//! Models that several ranks run together: the bits of one.

mod support;

use std::sync::Arc;

use sharpi_compile::generate::{
    DraftOptions, GenerateOptions, Generator, MtpDrafter, Sampler, SamplerOptions,
};
use sharpi_compile::ir::DType;
use sharpi_compile::lower::LowerOptions;
use sharpi_compile::passes::{Options, Shard};
use sharpi_compile::ranks::{Ranks, local};
use sharpi_compile::{CompileOptions, Executable, Input, Model, RunError, Session, SessionOptions};
use support::{feed, fixtures, model, session};

/// The bundled models by their names.
fn bundled() -> Vec<String> {
    let files = std::fs::read_dir(fixtures().join("models")).expect("a folder of models");
    let names = files.map(|file| file.expect("a file").path());
    let mut names: Vec<String> = names
        .map(|path| {
            path.file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
}

fn compile_for(model: &Model, ranks: usize) -> Arc<Executable> {
    let ranks = Ranks::in_process(ranks, false).expect("ranks");
    let options = CompileOptions::default()
        .lower(
            LowerOptions::default()
                .cache_k(DType::F16)
                .cache_v(DType::F16),
        )
        .ranks(ranks);
    Arc::new(model.compile(&options).expect("a compiled model"))
}

/// Logits of a prompt and of single tokens behind it, some of them taken back, as bits.
fn logits(session: &mut Session) -> Vec<Vec<u32>> {
    let bits = |rows: Vec<Vec<f32>>| -> Vec<Vec<u32>> {
        let row = |row: Vec<f32>| row.into_iter().map(f32::to_bits).collect();
        rows.into_iter().map(row).collect()
    };
    let mut all = bits(feed(session, &[5, 17, 200, 3, 44, 91, 12]));
    for id in [7, 300, 2] {
        all.extend(bits(feed(session, &[id])));
    }
    let saved = session.save();
    let ids: Vec<i32> = vec![9, 8, 7, 6];
    let inputs = [("ids", Input::I32(&ids)), ("rows", Input::I32(&[0, 3]))];
    let run = session.run_tentative("trunk", &inputs).expect("a run");
    all.push(
        run.get("logits")
            .expect("logits")
            .iter()
            .map(|x| x.to_bits())
            .collect(),
    );
    session
        .truncate("trunk", 12)
        .expect("two tokens taken back");
    all.extend(bits(feed(session, &[70])));
    session.restore(&saved).expect("its own states");
    all.extend(bits(feed(session, &[71])));
    let mut fork = session.fork().expect("a second session");
    session.reset();
    all.extend(bits(feed(session, &[1, 2])));
    all.extend(bits(feed(&mut fork, &[72])));
    all
}

#[test]
fn any_number_of_ranks_gives_the_bits_of_one() {
    for name in bundled() {
        let model = model(&name);
        let expected = logits(&mut session(&compile_for(&model, 1), 1));
        for ranks in [2, 3, 4] {
            let executable = compile_for(&model, ranks);
            assert_eq!(executable.ranks(), ranks);
            let found = logits(&mut session(&executable, 1));
            assert!(found == expected, "{name} on {ranks} ranks");
        }
    }
}

#[test]
fn drafting_and_remembering_give_the_text_of_one_rank() {
    for name in ["tiny-dense-Q4_K_M", "tiny-moe-Q4_K_M"] {
        let model = model(name);
        let expected = told(&compile_for(&model, 1), 0);
        for (ranks, depth) in [(2, 0), (2, 3), (3, 2), (4, 5)] {
            let found = told(&compile_for(&model, ranks), depth);
            assert!(found == expected, "{name} on {ranks} ranks, n-max {depth}");
        }
    }
}

/// Ids and the hashes of their logits, of a text that is drafted to such a depth.
fn told(executable: &Arc<Executable>, depth: usize) -> Vec<(u32, [u8; 32])> {
    let session = session(executable, 1);
    let options = GenerateOptions::default()
        .max_tokens(Some(40))
        .hash_logits(true);
    let sampler = Sampler::new(SamplerOptions::default());
    let prompt = [11, 5, 300, 42, 7];
    let generator = match depth {
        0 => Generator::new(session, sampler, &prompt, options),
        n => {
            let drafting = DraftOptions::default().n_max(n);
            let drafter = MtpDrafter::new(&session, drafting).expect("a head");
            Generator::with_drafting(session, sampler, drafter, &prompt, options)
        }
    };
    let tokens = generator
        .expect("a generator")
        .map(|token| token.expect("a token"));
    let hashed =
        |token: sharpi_compile::generate::Token| (token.id, token.logits_hash.expect("a hash"));
    tokens.map(hashed).collect()
}

#[test]
fn sequences_in_one_run_get_the_bits_that_they_get_alone_on_one_rank() {
    let model = model("tiny-moe-Q4_K_M");
    let prompts: [&[i32]; 3] = [&[1, 2, 3, 4], &[9], &[7, 7, 30]];
    let run = |ranks: usize, together: bool| {
        let executor = session(&compile_for(&model, ranks), 2).executor().clone();
        let mut sessions: Vec<Session> = (prompts.iter())
            .map(|_| executor.session(64, 4).expect("a session"))
            .collect();
        let mut all: Vec<Vec<u32>> = Vec::new();
        let at_once = if together { prompts.len() } else { 1 };
        for first in (0..prompts.len()).step_by(at_once) {
            let chunk = first..first + at_once;
            let rows = prompts.map(|prompt| [prompt.len() as i32 - 1]);
            let mut batch = executor.batch("trunk").expect("a batch");
            for ((session, prompt), rows) in (sessions[chunk.clone()].iter_mut())
                .zip(&prompts[chunk.clone()])
                .zip(&rows[chunk.clone()])
            {
                let inputs = [("ids", Input::I32(prompt)), ("rows", Input::I32(rows))];
                batch.push(session, &inputs).expect("a sequence");
            }
            let outputs = batch.run().expect("a run");
            for i in 0..chunk.len() {
                let logits = outputs.of(i, "logits").expect("logits");
                all.push(logits.iter().map(|x| x.to_bits()).collect());
            }
        }
        all
    };
    let expected = run(1, false);
    for ranks in [2, 3, 4] {
        assert!(run(ranks, true) == expected, "{ranks} ranks");
    }
}

#[test]
fn what_proves_an_answer_does_not_depend_on_the_ranks() {
    let model = model("tiny-dense-Q4_K_M");
    let [one, two] = [1, 2].map(|ranks| compile_for(&model, ranks));
    assert_eq!(one.proof(), two.proof());
    assert_eq!(one.logit_ids("trunk"), None);
    assert_eq!(two.logit_ids("trunk"), None);
}

#[test]
fn what_was_saved_on_other_ranks_is_refused() {
    let model = model("tiny-dense-Q4_K_M");
    let [mut one, mut two] = [1, 2].map(|ranks| session(&compile_for(&model, ranks), 1));
    feed(&mut one, &[1, 2]);
    feed(&mut two, &[1, 2]);
    let saved = one.save();
    assert_eq!(saved.bytes(), two.save().bytes());
    let error = two.restore(&saved).expect_err("other states");
    assert!(error.to_string().contains("another model"), "{error}");
}

#[test]
fn a_rank_has_a_share_of_the_weights_and_states() {
    let model = model("tiny-dense-Q4_K_M");
    let options = SessionOptions::default();
    let [one, four] = [1, 4].map(|ranks| compile_for(&model, ranks));
    let (one, four) = (one.footprint(&options), four.footprint(&options));
    let at_most = |part: u128, whole: u128| assert!(part * 5 < whole * 2, "{part} of {whole}");
    at_most(four.packed_weights, one.packed_weights);
    at_most(four.recurrent, one.recurrent);
    // There are two K/V heads: two ranks share each.
    assert_eq!(four.kv * 2, one.kv);
}

#[test]
fn one_share_alone_does_not_run() {
    let model = model("micro-dense-f32");
    let shard = Some(Shard { ranks: 2, rank: 1 });
    let options = CompileOptions::default().passes(Options::default().shard(shard));
    let share = Arc::new(model.compile(&options).expect("a share"));
    let error = Session::new(share, &SessionOptions::default())
        .err()
        .expect("no session");
    assert_eq!(error, RunError::OneShare);
}

#[test]
fn a_rank_that_cannot_go_on_ends_the_run_with_its_reason() {
    let mut transports = local(2).into_iter();
    let leader = transports.next().expect("rank 0");
    let other = transports.next().expect("rank 1");
    let model = model("micro-dense-f32");
    let ranks = Ranks::lead(leader);
    // It takes the command to compile, and gives up.
    let rank = std::thread::spawn(move || {
        other.receive(0).expect("a command");
        other.abandon("its memory is full");
    });
    let options = CompileOptions::default().ranks(ranks);
    let error = model.compile(&options).err().expect("no model");
    assert_eq!(error.to_string(), "rank 1: its memory is full");
    rank.join().expect("a thread");
}
