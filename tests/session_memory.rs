//! A sequence takes memory as its tokens come and gives it back at its end. A file of its own: what is
//! resident belongs to the process.

mod support;

use sharpi_compile::exec::{Executor, ExecutorOptions};
use sharpi_compile::ir::DType;
use sharpi_compile::{Input, Session};
use support::{compile, model};

#[test]
fn memory_of_a_sequence_is_given_back_when_it_ends() {
    let executable = compile(&model("tiny-dense-Q4_K_M"), DType::F32);
    let options = ExecutorOptions::default().threads(1);
    let executor = Executor::new(executable, &options).expect("an executor");
    let resident = || {
        let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
        statm
            .split(' ')
            .nth(1)?
            .parse::<usize>()
            .ok()
            .map(|pages| pages * 4096)
    };
    let Some(before) = resident() else {
        println!("skipped: the system does not tell what is resident");
        return;
    };
    let mut held: Vec<Session> = (0..16)
        .map(|_| executor.session(100_000, 0).expect("a session"))
        .collect();
    let fresh = resident().unwrap();
    // 16 caches of 100 000 positions would be gigabytes: they take memory as tokens come.
    let states = held[0].footprint().recurrent as usize;
    assert!(
        fresh - before < 16 * (states + (1 << 20)),
        "{before} {fresh}"
    );
    for session in &mut held {
        let ids = [5; 500];
        session
            .run(
                "trunk",
                &[("ids", Input::I32(&ids)), ("rows", Input::I32(&[]))],
            )
            .expect("a run");
    }
    let full = resident().unwrap();
    drop(held);
    let after = resident().unwrap();
    assert!(
        after < before + (full - before) / 4,
        "{before} {full} {after}"
    );
}
