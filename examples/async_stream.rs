//! Answers in async tasks: `cargo run --release --example async_stream -- "ROMEO:" "JULIET:"`.
//!
//! An engine serves all of them at once; any runtime can wait for it, here that of `futures`.

use std::error::Error;
use std::sync::Arc;

use futures::executor::block_on;
use futures::future::try_join_all;
use sharpi_compile::engine::{Answer, Engine, EngineOptions, Event, Request};
use sharpi_compile::generate::GenerateOptions;
use sharpi_compile::{CompileOptions, Model, lower::LowerOptions};

/// All text of an answer; who drops it, ends the generation.
async fn text(mut answer: Answer) -> Result<String, Box<dyn Error>> {
    let mut text = String::new();
    while let Some(event) = answer.next_event().await {
        match event {
            Event::Token { text: piece, .. } => text.push_str(&piece),
            Event::End(end) => {
                text.push_str(&end.text);
                end.error.map_or(Ok(()), Err)?;
            }
            _ => {}
        }
    }
    Ok(text)
}

/// Each prompt with so many tokens more.
pub fn texts(prompts: &[&str], tokens: usize) -> Result<Vec<String>, Box<dyn Error>> {
    let model = Model::embedded()?;
    let tokenizer = Arc::new(model.tokenizer()?);
    // A row of logits for each text that runs at a time.
    let lower = LowerOptions::default().max_rows(prompts.len().max(1));
    let executable = model.compile(&CompileOptions::default().lower(lower))?;
    let options = EngineOptions::default().parallel(prompts.len());
    let engine = Engine::start(Arc::new(executable), Some(tokenizer.clone()), options)?;
    let options = GenerateOptions::default()
        .max_tokens(Some(tokens))
        .end_of_text(tokenizer.end_of_text_ids().to_vec());
    let mut tasks = Vec::new();
    for prompt in prompts {
        let request = Request::default()
            .prompt(tokenizer.encode(prompt, true))
            .options(options.clone());
        let answer = engine.submit(request)?;
        tasks.push(async move { text(answer).await.map(|text| format!("{prompt}{text}")) });
    }
    block_on(try_join_all(tasks))
}

/// Prints them.
pub fn main() -> Result<(), Box<dyn Error>> {
    let prompts: Vec<String> = std::env::args().skip(1).collect();
    let mut prompts: Vec<&str> = prompts.iter().map(String::as_str).collect();
    if prompts.is_empty() {
        prompts = vec!["ROMEO:", "JULIET:"];
    }
    for text in texts(&prompts, 32)? {
        println!("{text}\n");
    }
    Ok(())
}
