//! The memory that a session is said to take is what it takes.

#[path = "support/header_only.rs"]
mod header_only;
mod support;

use std::sync::Arc;

use sharpi_compile::exec::LoadOptions;
use sharpi_compile::ir::DType;
use sharpi_compile::lower::{DraftVocabulary, LowerOptions};
use sharpi_compile::passes::{Options, compile, live_steps};
use sharpi_compile::{CompileOptions, Executable, Session, SessionOptions};

fn options(context: usize, rollback: usize) -> SessionOptions {
    SessionOptions::default()
        .context(context)
        .threads(1)
        .rollback(rollback)
}

/// The 27B, bound to weights that are not loaded.
fn unloaded_27b() -> Executable {
    let options = CompileOptions::default().load(LoadOptions::default().repack(false));
    header_only::dense_27b(64)
        .compile(&options)
        .expect("a plan")
}

#[test]
fn a_session_takes_the_memory_that_was_worked_out_for_it() {
    for name in ["tiny-dense-Q4_K_M", "tiny-moe-Q4_K_M", "micro-dense-f32"] {
        let types = [
            (DType::F16, DType::F16),
            (DType::F32, DType::BF16),
            (DType::Q8_0, DType::Q4_0),
        ];
        for (k, v) in types {
            let lower = LowerOptions::default()
                .cache_k(k)
                .cache_v(v)
                .max_tokens(100)
                .max_rows(3);
            let compile = CompileOptions::default().lower(lower);
            let executable = support::model(name).compile(&compile).expect("a plan");
            let executable = Arc::new(executable);
            for options in [options(1, 0), options(333, 0), options(512, 3)] {
                let session = Session::new(executable.clone(), &options).expect("a session");
                assert_eq!(
                    executable.footprint(&options),
                    session.footprint(),
                    "{name}"
                );
                assert!(session.footprint().packed_weights > 0);
            }
        }
    }
}

#[test]
fn a_position_of_the_27b_takes_4_kib_in_each_of_17_caches() {
    let executable = unloaded_27b();
    let footprint = executable.footprint(&options(4096, 3));
    assert_eq!(footprint.kv, 17 * 4096 * 4096);
    let states = 48 * 4 * (48 * 128 * 128 + 3 * 10240);
    assert_eq!(footprint.recurrent, states);
    let plan = executable.plan("trunk").expect("a plan");
    let each: usize = plan.rollback.values().sum();
    assert_eq!(footprint.rollback, 3 * each as u128);
    assert_eq!(footprint.arena, plan.memory.arena_bytes as u128);
}

#[test]
fn packed_matrices_take_the_bytes_that_they_have_in_the_file() {
    let model = header_only::dense_27b(64);
    let tensors = model.gguf().tensors().values();
    // Rows of the table and taps of convolutions are read as they are.
    let read = |name: &str| name == "token_embd.weight" || name.ends_with("ssm_conv1d.weight");
    let matrices = tensors.filter(|t| t.dims.len() > 1 && !read(&t.name));
    let in_file: u64 = matrices.map(|t| t.bytes).sum();
    let packed = unloaded_27b().footprint(&options(1, 0)).packed_weights;
    // Up to a cache line more for each.
    assert!(u128::from(in_file) <= packed && packed < u128::from(in_file) + (1 << 20));
}

#[test]
fn drafting_among_the_first_ids_takes_no_memory_of_its_own() {
    let packed = |draft_vocabulary| {
        let lower = LowerOptions::default().draft_vocabulary(draft_vocabulary);
        let compile = CompileOptions::default().lower(lower);
        let model = support::model("tiny-dense-Q4_K_M");
        let executable = model.compile(&compile).expect("a plan");
        assert_eq!(
            u128::from(executable.loading().bytes),
            executable.footprint(&options(1, 0)).packed_weights
        );
        executable.loading().bytes
    };
    assert_eq!(packed(Some(DraftVocabulary::First(512))), packed(None));
    let listed = DraftVocabulary::Ids((500..1012).collect());
    assert!(packed(Some(listed)) > packed(None));
}

#[test]
fn the_largest_context_fits_and_one_token_more_does_not() {
    let executable = unloaded_27b();
    let needs = |context| executable.footprint(&options(context, 3)).total();
    let largest = |bytes, most| executable.largest_context(&options(1, 3), true, bytes, most);
    for context in [1, 1000, 131_072] {
        let bytes = needs(context);
        assert_eq!(largest(bytes, 262_144), Some(context));
        assert_eq!(largest(bytes + 17 * 4096 - 1, 262_144), Some(context));
        assert_eq!(largest(bytes, context / 2 + 1), Some(context / 2 + 1));
    }
    assert_eq!(largest(needs(1) - 1, 262_144), None);
    assert_eq!(largest(u128::MAX, 262_144), Some(262_144));
}

#[test]
fn values_that_are_alive_in_one_step_share_no_byte_of_the_arena_but_where_one_follows_the_other() {
    let module = support::model("tiny-moe-Q4_K_M").lower(&LowerOptions::default());
    let compiled = compile(module.expect("graphs"), &Options::default()).expect("a plan");
    for (name, graph) in &compiled.module.graphs {
        let plan = &compiled.plans[name];
        let lives = live_steps(graph, &plan.steps).expect("steps");
        let placed = |v| plan.memory.placements[v];
        for (a, x) in &lives {
            for (b, y) in &lives {
                let together = x.start() < y.end() && y.start() < x.end();
                let (p, q) = (placed(a), placed(b));
                let shared = p.offset < q.offset + q.bytes && q.offset < p.offset + p.bytes;
                assert!(a == b || !(together && shared), "@{name}: {a:?} and {b:?}");
            }
        }
    }
}
