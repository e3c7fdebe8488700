//! Modules that fail are shrunk as far as they keep failing.

mod support;

use std::cell::Cell;

use proptest::prelude::*;
use sharpi_ir::reduce::{Verdict, reduce};
use sharpi_ir::text::{parse, print};
use sharpi_ir::{Module, verify};

const BLOCKS: &str = r#"module @m {
  weight @norm : f32[256] = "norm"
  weight @up : q4_k[512, 256] = "up"
  weight @down : q4_k[256, 512] = "down"
  weight @taps : f32[256, 4] = "conv1d"
  state @window : f32[3, 256]
  state @kv : kv<f16>[2, 64]
  graph @other(%x: f32[T, 256]) -> (%y: f32[T, 256]) where T in 1..=8 {
    %0 = silu %x : f32[T, 256]
    return %y = %0
  }
  graph @g(%x: f32[T, 256], %pos: position[T], %rows: index<T>[R]) -> (%h: f32[T, 256], %y: f32[R, 256]) where T in 1..=8, R in 0..=4 {
    %0 = causal_conv %x, @taps, state @window : f32[T, 256]
    %1 = rmsnorm %0, @norm {eps = 1e-6} : f32[T, 256] as norm-0
    %2 = matmul %1, @up : f32[T, 512] as up-0
    %3 = silu %2 : f32[T, 512]
    %4 = matmul %3, @down : f32[T, 256] as down-0
    %5 = add %0, %4 : f32[T, 256]
    %6 = reshape %5 {dims = [4, 64]} : f32[T, 4, 64]
    %7 = rope %6, %pos {n_rot = 32, freq_base = 10000.0} : f32[T, 4, 64]
    %8 = reshape %7 {dims = [256]} : f32[T, 256]
    %9 = get_rows %8, %rows : f32[R, 256]
    return %h = %5, %y = %9
  }
}
"#;

/// The smallest module that fails, and how many were tried.
fn reduced(text: &str, fails: impl Fn(&str) -> bool) -> (String, usize) {
    let module = parse(text).expect("a module");
    assert!(fails(&print(&module)), "the whole does not fail");
    let mut tried = 0;
    let smallest = reduce(&module, &mut |candidate, text| {
        verify(candidate).expect("a sound candidate");
        assert_eq!(print(candidate), text);
        tried += 1;
        if fails(text) {
            Verdict::Fails
        } else {
            Verdict::Passes
        }
    });
    (print(&smallest), tried)
}

#[test]
fn an_op_that_fails_by_itself_is_all_that_is_left() {
    let (text, tried) = reduced(BLOCKS, |text| text.contains("= rope "));
    let expected = "module @m {
  graph @g(%pos: position[T], %cut.6.0: f32[T, 1, 32]) -> () where T in 1..=8 {
    %0 = rope %cut.6.0, %pos {n_rot = 32, freq_base = 1.0}     : f32[T, 1, 32]
    return
  }
}
";
    assert_eq!(text, expected);
    assert!(tried < 200, "{tried} tries");
}

#[test]
fn two_ops_that_fail_together_stay_with_what_joins_them() {
    let fails = |text: &str| {
        let products = text.matches("= matmul ").count();
        products >= 2 && text.contains("= silu ") && text.contains("q4_k")
    };
    let (text, _) = reduced(BLOCKS, fails);
    let module = parse(&text).expect("a module");
    let ops: usize = module.graphs.values().map(|g| g.op_count()).sum();
    assert_eq!(ops, 3, "{text}");
    assert!(!text.contains("state") && !text.contains(" as "), "{text}");
}

#[test]
fn what_a_failure_needs_is_kept_whatever_it_is() {
    for needed in [
        "weight @taps",
        "state @kv ",
        "%h: f32[T, 256]",
        "as norm-0",
        "eps = 1e-6",
        "graph @other",
        "f32[T, 512]",
        "%rows: index<T>[R]",
    ] {
        let (text, _) = reduced(BLOCKS, |text| text.contains(needed));
        let lines = text.lines().count();
        assert!(text.contains(needed) && lines <= 9, "{needed}:\n{text}");
    }
}

#[test]
fn the_best_so_far_is_the_answer_when_the_search_is_stopped() {
    let module = parse(BLOCKS).expect("a module");
    let tries = Cell::new(0);
    let mut last_failing = print(&module);
    let smallest = reduce(&module, &mut |_, text| {
        tries.set(tries.get() + 1);
        match tries.get() {
            8.. => Verdict::Stop,
            _ if text.contains("= rope ") => {
                last_failing = text.to_string();
                Verdict::Fails
            }
            _ => Verdict::Passes,
        }
    });
    assert_eq!(tries.get(), 8);
    assert_eq!(print(&smallest), last_failing);
    assert_ne!(print(&smallest), print(&module));
}

fn mnemonics(module: &Module) -> Vec<&'static str> {
    let graphs = module.graphs.values();
    let ops = graphs.flat_map(|g| g.nodes().filter_map(|n| Some(g.op(n)?.mnemonic())));
    ops.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn of_a_random_graph_that_fails_with_one_op_that_op_alone_is_left(
        module in support::modules(24),
        pick in any::<prop::sample::Index>(),
    ) {
        let ops = mnemonics(&module);
        prop_assume!(!ops.is_empty());
        let wanted = ops[pick.index(ops.len())];
        let smallest = reduce(&module, &mut |candidate, _| {
            match mnemonics(candidate).contains(&wanted) {
                true => Verdict::Fails,
                false => Verdict::Passes,
            }
        });
        prop_assert!(verify(&smallest).is_ok());
        prop_assert_eq!(mnemonics(&smallest), [wanted], "{}", print(&smallest));
    }
}
