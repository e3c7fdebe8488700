//! Every tensor that the reference names, against its dump of one short run, with drafting where the
//! model has a head.

mod support;

use std::sync::atomic::AtomicBool;

use sharpi_compile::parity::{Dump, bisect};
use support::{fixtures, model};

fn check(name: &str, runs: usize, tensors: usize) {
    let file = format!("{name}.tensors.json");
    let dump = Dump::read(&fixtures().join("golden").join(file)).expect("a dump");
    let found = bisect(&model(name), &dump, 1, &AtomicBool::new(false)).expect("a replay");
    for off in &found.differing {
        println!("{name}: {off:?}");
    }
    assert_eq!((found.runs, found.tensors), (runs, tensors));
    assert!(found.differing.is_empty(), "{name} differs");
}

#[test]
fn every_named_tensor_of_the_dense_model_is_the_reference_s() {
    check("micro-dense-f32", 6, 244);
}

#[test]
fn every_named_tensor_of_the_mixture_of_experts_is_the_reference_s() {
    check("micro-moe-f32", 6, 318);
}

#[test]
fn every_named_tensor_of_glm4moe_is_the_reference_s() {
    check("micro-glm4moe", 6, 356);
}

#[test]
fn every_named_tensor_of_llama_is_the_reference_s() {
    check("micro-llama", 2, 126);
}

#[test]
fn every_named_tensor_of_llama_with_experts_is_the_reference_s() {
    check("micro-mixtral", 2, 190);
}

#[test]
fn every_named_tensor_of_qwen2_is_the_reference_s() {
    check("micro-qwen2", 2, 118);
}

#[test]
fn every_named_tensor_of_qwen3_is_the_reference_s() {
    check("micro-qwen3", 2, 134);
}

#[test]
fn every_named_tensor_of_qwen3moe_is_the_reference_s() {
    check("micro-qwen3moe", 2, 198);
}

#[test]
fn every_named_tensor_of_qwen3next_is_the_reference_s() {
    check("micro-qwen3next", 6, 426);
}

#[test]
fn every_named_tensor_of_qwen4exp_is_the_reference_s() {
    check("micro-qwen4exp", 6, 594);
}

#[test]
fn every_named_tensor_of_qwen3next_with_joint_matrices_is_the_reference_s() {
    check("micro-qwen3next-joint", 6, 468);
}

#[test]
fn every_named_tensor_of_smollm3_is_the_reference_s() {
    check("micro-smollm3", 2, 122);
}
