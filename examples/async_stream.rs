//! Text in an async task: `cargo run --release --example async_stream -- "ROMEO:"`.
//!
//! A thread generates, a channel of the `futures` crate carries what it makes; any runtime can
//! wait for it.

use std::error::Error;
use std::sync::Arc;
use std::thread;

use futures::channel::mpsc::{Receiver, channel};
use futures::executor::block_on;
use futures::{SinkExt, StreamExt};
use sharpi_compile::generate::{GenerateOptions, Generator, Sampler, SamplerOptions};
use sharpi_compile::tokenizer::{TextStream, Tokenizer};
use sharpi_compile::{CompileOptions, Model, Session, SessionOptions};

/// Pieces of text as they come; who drops the receiver ends the generation.
fn pieces(generator: Generator, mut text: TextStream<Arc<Tokenizer>>) -> Receiver<String> {
    let (mut sender, receiver) = channel(1);
    // Both are `Send` and borrow nothing, so they can move to where they are wanted.
    thread::spawn(move || {
        for token in generator.map_while(Result::ok) {
            let piece = text.push(token.id);
            if block_on(sender.send(piece)).is_err() {
                return;
            }
        }
        // Nobody is left to miss it if this fails.
        block_on(sender.send(text.finish())).ok();
    });
    receiver
}

/// The prompt and so many tokens more.
pub fn text(prompt: &str, tokens: usize) -> Result<String, Box<dyn Error>> {
    let model = Model::embedded()?;
    let tokenizer = Arc::new(model.tokenizer()?);
    let executable = Arc::new(model.compile(&CompileOptions::default())?);
    let session = Session::new(executable, &SessionOptions::default())?;
    let options = GenerateOptions::default()
        .max_tokens(Some(tokens))
        .end_of_text(tokenizer.end_of_text_ids().to_vec());
    let sampler = Sampler::new(SamplerOptions::default());
    let generator = Generator::new(session, sampler, &tokenizer.encode(prompt, true), options)?;
    let pieces = pieces(generator, TextStream::new(tokenizer));
    let task = async move { pieces.collect::<String>().await };
    Ok(format!("{prompt}{}", block_on(task)))
}

/// Prints it.
pub fn main() -> Result<(), Box<dyn Error>> {
    let prompt = std::env::args().nth(1).unwrap_or("ROMEO:".into());
    println!("{}", text(&prompt, 32)?);
    Ok(())
}
