//! The end of the trunk for the rows whose logits are asked for, and no others.

mod support;

use std::sync::Arc;

use sharpi_compile::ir::{Dim, Op, Symbol};
use sharpi_compile::lower::LowerOptions;
use sharpi_compile::passes::Options;
use sharpi_compile::{CompileOptions, Executable, Input, Model, Session};
use support::{model, session};

const MODELS: [&str; 6] = [
    "micro-dense-IQ4_XS",
    "micro-dense-Q2_K",
    "micro-dense-f32",
    "micro-moe-f32",
    "tiny-dense-Q4_K_M",
    "tiny-moe-Q4_K_M",
];

fn compiled(model: &Model, draft: bool, skip: &[&str]) -> Arc<Executable> {
    let options = CompileOptions::default()
        .lower(LowerOptions::default().draft(draft))
        .passes(Options::default().skip(skip.iter().map(ToString::to_string).collect()));
    Arc::new(model.compile(&options).expect("a compiled model"))
}

/// One run of the trunk: the logits of these rows, as bits.
fn run(session: &mut Session, tokens: usize, rows: &[i32]) -> Vec<u32> {
    let start = session.position("trunk") as i32;
    let ids: Vec<i32> = (0..tokens as i32).map(|i| (start + i) * 7 % 100).collect();
    let pos: Vec<i32> = (start..start + tokens as i32).collect();
    let inputs = [
        ("ids", Input::I32(&ids)),
        ("pos", Input::I32(&pos)),
        ("rows", Input::I32(rows)),
    ];
    let outputs = session.run("trunk", &inputs).expect("a run");
    let logits = outputs.get("logits").expect("logits");
    logits.iter().map(|x| x.to_bits()).collect()
}

/// Logits of runs of several widths with none, one, some and all rows, also out of order.
fn logits(executable: &Arc<Executable>) -> Vec<Vec<u32>> {
    let mut session = session(executable, 2);
    let runs: [(usize, &[i32]); 7] = [
        (17, &[]),
        (3, &[2]),
        (1, &[0]),
        (64, &[63, 5, 5, 0]),
        (2, &[0, 1]),
        (5, &[]),
        (1, &[0]),
    ];
    let runs = runs.iter();
    runs.map(|(tokens, rows)| run(&mut session, *tokens, rows))
        .collect()
}

#[test]
fn logits_are_the_same_bits_whether_or_not_all_rows_are_made() {
    for name in MODELS {
        let model = model(name);
        let expected = logits(&compiled(&model, true, &[]));
        assert_eq!(logits(&compiled(&model, false, &[])), expected, "{name}");
        for skip in [
            "select-rows",
            "fuse-attention",
            "fuse-gdn",
            "fuse-moe",
            "fuse-epilogue",
        ] {
            let found = logits(&compiled(&model, false, &[skip]));
            assert_eq!(found, expected, "{name} without {skip}");
        }
    }
}

#[test]
fn without_drafting_all_behind_the_last_mixer_is_made_for_the_rows_of_the_logits() {
    for name in MODELS {
        let executable = compiled(&model(name), false, &[]);
        let trunk = &executable.module().graphs["trunk"];
        let order = trunk.order();
        let has_state = |n: &_| trunk.state(*n).is_some();
        let mixer = order.iter().rposition(has_state).expect("a mixer");
        let by_rows = order[mixer + 1..].iter().filter(|n| {
            let results = trunk.results(**n);
            results
                .iter()
                .all(|r| r.ty.shape[0] == Dim::Sym(Symbol::ROWS))
        });
        assert_eq!(by_rows.count(), order.len() - mixer - 1, "{name}");
        let chosen = order
            .iter()
            .filter(|n| matches!(trunk.op(**n), Some(Op::GetRows {})));
        // What the mixer gives, and the residual beside it.
        assert_eq!(chosen.count(), 2, "{name}");
        assert_eq!(executable.module().graphs.len(), 1, "{name}");
        assert_eq!(trunk.outputs().len(), 1, "{name}");
    }
}
