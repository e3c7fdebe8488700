//! Every tensor that the reference names, against its dump of one short run with drafting.

mod support;

use std::sync::atomic::AtomicBool;

use sharpi_compile::parity::{Dump, bisect};
use support::{fixtures, model};

fn check(name: &str, tensors: usize) {
    let file = format!("{name}.tensors.json");
    let dump = Dump::read(&fixtures().join("golden").join(file)).expect("a dump");
    let found = bisect(&model(name), &dump, 1, &AtomicBool::new(false)).expect("a replay");
    for off in &found.differing {
        println!("{name}: {off:?}");
    }
    assert_eq!((found.runs, found.tensors), (6, tensors));
    assert!(found.differing.is_empty(), "{name} differs");
}

#[test]
fn every_named_tensor_of_the_dense_model_is_the_reference_s() {
    check("micro-dense-f32", 244);
}

#[test]
fn every_named_tensor_of_the_mixture_of_experts_is_the_reference_s() {
    check("micro-moe-f32", 318);
}
