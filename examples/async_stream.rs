//! Text in an async task, on any runtime: a thread generates, a channel carries what it makes.
//!
//! `cargo run --release --example async_stream -- "ROMEO:"`

use std::error::Error;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};

use sharpi_compile::generate::{GenerateOptions, Generator, Sampler, SamplerOptions};
use sharpi_compile::tokenizer::{TextStream, Tokenizer};
use sharpi_compile::{CompileOptions, Model, Session, SessionOptions};

/// Pieces of text as they come; dropping it ends the generation.
struct Pieces {
    receiver: mpsc::Receiver<String>,
    waker: Arc<Mutex<Option<Waker>>>,
}

impl Pieces {
    fn of(mut generator: Generator, mut text: TextStream<Arc<Tokenizer>>) -> Pieces {
        let (sender, receiver) = mpsc::channel();
        let waker: Arc<Mutex<Option<Waker>>> = Arc::default();
        let wake = waker.clone();
        // Both are `Send` and borrow nothing, so they can move to where they are wanted.
        std::thread::spawn(move || {
            while let Some(Ok(token)) = generator.next() {
                let gone = sender.send(text.push(token.id)).is_err();
                ring(&wake);
                if gone {
                    return;
                }
            }
            drop(sender);
            ring(&wake);
        });
        Pieces { receiver, waker }
    }

    async fn next(&mut self) -> Option<String> {
        poll_fn(|context: &mut Context<'_>| {
            *self.waker.lock().expect("a lock") = Some(context.waker().clone());
            match self.receiver.try_recv() {
                Ok(piece) => Poll::Ready(Some(piece)),
                Err(mpsc::TryRecvError::Empty) => Poll::Pending,
                Err(mpsc::TryRecvError::Disconnected) => Poll::Ready(None),
            }
        })
        .await
    }
}

/// Wakes whoever waits for a piece.
fn ring(waker: &Mutex<Option<Waker>>) {
    if let Some(waker) = waker.lock().expect("a lock").take() {
        waker.wake();
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let prompt = std::env::args().nth(1).unwrap_or("ROMEO:".into());
    let model = Model::embedded()?;
    let tokenizer = Arc::new(model.tokenizer()?);
    let executable = Arc::new(model.compile(&CompileOptions::default())?);
    let session = Session::new(executable, &SessionOptions::default())?;
    let options = GenerateOptions {
        max_tokens: Some(32),
        end_of_text: tokenizer.end_of_text_ids().to_vec(),
        ..GenerateOptions::default()
    };
    let sampler = Sampler::new(SamplerOptions::default());
    let generator = Generator::new(session, sampler, &tokenizer.encode(&prompt, true), options)?;
    let mut pieces = Pieces::of(generator, TextStream::new(tokenizer));
    block_on(async {
        print!("{prompt}");
        while let Some(piece) = pieces.next().await {
            print!("{piece}");
        }
        println!();
    });
    Ok(())
}

/// The smallest of runtimes; any other does as well.
fn block_on(future: impl Future<Output = ()>) {
    #[derive(Default)]
    struct Bell(Mutex<bool>, Condvar);
    impl Wake for Bell {
        fn wake(self: Arc<Bell>) {
            *self.0.lock().expect("a lock") = true;
            self.1.notify_one();
        }
    }
    let bell = Arc::new(Bell::default());
    let (waker, mut future) = (Waker::from(bell.clone()), pin!(future));
    while future
        .as_mut()
        .poll(&mut Context::from_waker(&waker))
        .is_pending()
    {
        let rung = bell
            .1
            .wait_while(bell.0.lock().expect("a lock"), |rung| !*rung);
        *rung.expect("a lock") = false;
    }
}
