//! Text from the bundled model: `cargo run --release --example generate -- "ROMEO:"`.

use std::error::Error;
use std::io::{Write, stdout};
use std::sync::Arc;

use sharpi_compile::generate::{GenerateOptions, Generator, Sampler, SamplerOptions};
use sharpi_compile::{CompileOptions, Model, Session, SessionOptions};

fn main() -> Result<(), Box<dyn Error>> {
    let text = std::env::args().nth(1).unwrap_or("ROMEO:".into());
    let model = Model::embedded()?;
    let tokenizer = model.tokenizer()?;
    let executable = Arc::new(model.compile(&CompileOptions::default())?);
    let options = SessionOptions::default().context(512).threads(2);
    let session = Session::new(executable, &options)?;
    let sampler = Sampler::new(SamplerOptions::default());
    let options = GenerateOptions::default()
        .max_tokens(Some(64))
        .end_of_text(tokenizer.end_of_text_ids().to_vec());
    let prompt = tokenizer.encode(&text, true);
    let mut stream = tokenizer.stream();
    print!("{text}");
    for token in Generator::new(session, sampler, &prompt, options)? {
        print!("{}", stream.push(token?.id));
        stdout().flush()?;
    }
    println!("{}", stream.finish());
    Ok(())
}
