//! Every tensor that the reference names, against its dump of one short run, with drafting where the
//! model has a head.

mod support;

use std::sync::atomic::AtomicBool;

use sharpi_compile::parity::{Dump, Tolerance, bisect};
use support::{fixtures, model};

/// Expects so many runs and tensors, none of which differs.
fn check(name: &str, runs: usize, tensors: usize, tolerance: Tolerance) {
    let file = format!("{name}.tensors.json");
    let dump = Dump::read(&fixtures().join("golden").join(file)).expect("a dump");
    if tolerance == Tolerance::Bits {
        let mut all = dump.passes.iter().flat_map(|pass| &pass.tensors);
        assert!(all.all(|tensor| tensor.bits.is_some()), "{name}: no bits");
    }
    let never = AtomicBool::new(false);
    let found = bisect(&model(name), &dump, (1, tolerance), &never).expect("a replay");
    for off in &found.differing {
        println!("{name}: {off:?}");
    }
    assert_eq!((found.runs, found.tensors), (runs, tensors), "{name}");
    assert!(found.differing.is_empty(), "{name} differs");
}

/// The model of an architecture in F32 but for rounding, and in Q8_0 as near as `in_q8_0` says: to the
/// bit where no shared expert has a gate in F32, whose single row llama.cpp adds in an order of its own.
fn check_both(name: &str, runs: usize, tensors: usize, in_q8_0: Tolerance) {
    check(name, runs, tensors, Tolerance::Rounding);
    check(&format!("{name}-Q8_0"), runs, tensors, in_q8_0);
}

#[test]
fn every_named_tensor_of_the_dense_model_is_the_reference_s() {
    check("micro-dense-f32", 6, 244, Tolerance::Rounding);
    check("micro-dense-Q8_0", 6, 242, Tolerance::Bits);
}

#[test]
fn every_named_tensor_of_the_mixture_of_experts_is_the_reference_s() {
    check("micro-moe-f32", 6, 318, Tolerance::Rounding);
    check("micro-moe-Q8_0", 6, 316, Tolerance::Bits);
}

#[test]
fn every_named_tensor_of_glm4moe_is_the_reference_s() {
    check_both("micro-glm4moe", 6, 356, Tolerance::Bits);
}

#[test]
fn every_named_tensor_of_llama_is_the_reference_s() {
    check_both("micro-llama", 2, 126, Tolerance::Bits);
}

#[test]
fn every_named_tensor_of_llama_with_experts_is_the_reference_s() {
    check_both("micro-mixtral", 2, 190, Tolerance::Bits);
}

#[test]
fn every_named_tensor_of_qwen2_is_the_reference_s() {
    check_both("micro-qwen2", 2, 118, Tolerance::Bits);
}

#[test]
fn every_named_tensor_of_qwen3_is_the_reference_s() {
    check_both("micro-qwen3", 2, 134, Tolerance::Bits);
}

#[test]
fn every_named_tensor_of_qwen3moe_is_the_reference_s() {
    check_both("micro-qwen3moe", 2, 198, Tolerance::Bits);
}

#[test]
fn every_named_tensor_of_qwen3next_is_the_reference_s() {
    check_both("micro-qwen3next", 6, 426, Tolerance::Rounding);
}

#[test]
fn every_named_tensor_of_qwen4exp_is_the_reference_s() {
    check_both("micro-qwen4exp", 6, 594, Tolerance::Rounding);
}

#[test]
fn every_named_tensor_of_qwen3next_with_joint_matrices_is_the_reference_s() {
    check("micro-qwen3next-joint", 6, 468, Tolerance::Rounding);
}

#[test]
fn every_named_tensor_of_smollm3_is_the_reference_s() {
    check_both("micro-smollm3", 2, 122, Tolerance::Bits);
}
