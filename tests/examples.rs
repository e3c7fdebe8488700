//! The examples do what they say.

#![allow(dead_code)]

#[path = "../examples/async_stream.rs"]
mod async_stream;
#[path = "../examples/own_graph.rs"]
mod own_graph;
#[path = "../examples/own_pass.rs"]
mod own_pass;

#[test]
fn a_model_of_ones_own_counts() {
    assert_eq!(own_graph::count().unwrap(), [6, 7, 8, 9, 10, 11, 12, 13]);
}

#[test]
fn a_pass_of_ones_own_rewrites_and_is_in_the_report() {
    let text = own_pass::text().unwrap();
    // The factor is gone, and with it the second of two equal ops.
    assert!(!text.contains("scale %x"), "{text}");
    assert_eq!(text.matches("= silu %x").count(), 1, "{text}");
    assert!(text.contains("drop-neutral"), "{text}");
}

#[test]
fn async_tasks_hear_the_texts_that_an_engine_makes() {
    let texts = async_stream::texts(&["ROMEO:", "JULIET:"], 12).unwrap();
    assert!(texts[0].starts_with("ROMEO:") && texts[0].len() > "ROMEO:".len());
    assert_eq!(texts[1..], async_stream::texts(&["JULIET:"], 12).unwrap());
}
