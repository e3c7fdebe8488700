//! One graph, run by hand: `cargo run --release --example graph`.
//!
//! Lowers the bundled model, shows how it was compiled, and asks its trunk what follows a text.

use std::error::Error;
use std::sync::Arc;

use sharpi_compile::{CompileOptions, Input, Model, Session, SessionOptions};

fn main() -> Result<(), Box<dyn Error>> {
    let model = Model::embedded()?;
    let executable = Arc::new(model.compile(&CompileOptions::default())?);
    for (name, graph) in &executable.module().graphs {
        let steps = executable.plan(name).map_or(0, |plan| plan.steps.len());
        println!("@{name}: {} ops in {steps} steps", graph.op_count());
    }
    print!("{}", executable.report());

    let tokenizer = model.tokenizer()?;
    let text = "To be, or not to";
    let ids: Vec<i32> = tokenizer
        .encode(text, true)
        .iter()
        .map(|id| *id as i32)
        .collect();
    let pos: Vec<i32> = (0..ids.len() as i32).collect();
    // Logits cost as much as a block does, so they are made for the rows asked for alone.
    let rows = [ids.len() as i32 - 1];
    let options = SessionOptions::default().context(64).threads(2).rollback(0);
    let mut session = Session::new(executable, &options)?;
    let inputs = [
        ("ids", Input::I32(&ids)),
        ("pos", Input::I32(&pos)),
        ("rows", Input::I32(&rows)),
    ];
    let outputs = session.run("trunk", &inputs)?;
    let logits = outputs.get("logits").ok_or("no logits")?;
    let mut best: Vec<(usize, f32)> = logits.iter().copied().enumerate().collect();
    best.sort_by(|a, b| b.1.total_cmp(&a.1));
    for (id, logit) in &best[..5] {
        println!(
            "{text}{:10} {logit:8.3}",
            tokenizer.decode(&[*id as u32], true)
        );
    }
    Ok(())
}
