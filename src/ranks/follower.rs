//! A rank that does what rank 0 says.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use serde::Serialize;
use sharpi_ir::text::parse;
use sharpi_passes::{Options, Shard};

use super::command::{Answer, Command, Compile, Origin, SequenceRun};
use super::file_hash::file_hash;
use super::leader::SharedFile;
use super::measure::exchange;
use super::transport::{ExchangeError, Transport};
use crate::exec::{Executor, ExecutorOptions, Input, LoadOptions};
use crate::gguf::Gguf;
use crate::{Executable, Model, SavedSession, Session};

/// What rank 0 has had made, by its number.
enum Held {
    Executable(Arc<Executable>),
    Executor(Arc<Executor>),
    Session(Session),
}

struct Follower<'a> {
    transport: &'a Arc<dyn Transport>,
    shared: Option<&'a SharedFile>,
    held: HashMap<u64, Held>,
}

/// Follows rank 0 until it has nothing more to do.
///
/// # Errors
/// A rank that has ended, or something that cannot go on here: then the others hear of it.
pub(super) fn follow(
    transport: &Arc<dyn Transport>,
    shared: Option<&SharedFile>,
) -> Result<(), ExchangeError> {
    let mut follower = Follower {
        transport,
        shared,
        held: HashMap::new(),
    };
    loop {
        let message = transport.receive(0)?;
        let command = postcard::from_bytes(&message).map_err(|e| e.to_string());
        let done = match command {
            Ok(Command::Quit) => return Ok(()),
            Ok(command) => follower.carry_out(command),
            Err(error) => Err(error),
        };
        if let Err(message) = done {
            transport.abandon(&message);
            let rank = transport.rank();
            return Err(ExchangeError { rank, message });
        }
    }
}

impl Follower<'_> {
    fn carry_out(&mut self, command: Command) -> Result<(), String> {
        match command {
            Command::Compile(compile) => {
                let id = compile.id;
                let made = self.compile(*compile);
                self.keep(id, made.map(|made| Held::Executable(Arc::new(made))))
            }
            Command::Executor {
                id,
                executable,
                threads,
                pin,
            } => {
                let made = self.executor(executable, threads, pin);
                self.keep(id, made.map(Held::Executor))
            }
            Command::Session {
                id,
                executor,
                context,
                rollback,
            } => {
                let made = match self.held.get(&executor) {
                    Some(Held::Executor(executor)) => executor.session(context, rollback),
                    _ => return Err(unknown(executor)),
                };
                self.keep(id, made.map(Held::Session).map_err(|e| e.to_string()))
            }
            Command::Run {
                executor,
                graph,
                sequences,
            } => self.run(executor, &graph, &sequences),
            Command::Truncate {
                session,
                graph,
                tokens,
            } => {
                let truncated = self.session(session)?.truncate(&graph, tokens);
                truncated.map_err(|e| e.to_string())
            }
            Command::Reset { session } => {
                self.session(session)?.reset();
                Ok(())
            }
            Command::Save { session, first } => {
                let saved = self.session(session)?.save_from(first).to_bytes();
                self.answer(&Ok(saved))
            }
            Command::Restore { session, pieces } => {
                let restored = restore(self.session(session)?, &pieces);
                self.answer(&restored)
            }
            Command::Measure { bytes, rounds } => {
                let measured = exchange(&**self.transport, bytes, rounds);
                measured.map(drop).map_err(|e| e.to_string())
            }
            Command::Forget { id } => {
                self.held.remove(&id);
                Ok(())
            }
            Command::Quit => Ok(()),
        }
    }

    fn answer<T: Serialize>(&self, answer: &Answer<T>) -> Result<(), String> {
        let bytes = postcard::to_stdvec(answer).map_err(|e| e.to_string())?;
        self.transport.send(0, &bytes).map_err(|e| e.to_string())
    }

    /// Keeps what was made, and tells whether it was.
    fn keep(&mut self, id: u64, made: Result<Held, String>) -> Result<(), String> {
        let answer = made.map(|made| drop(self.held.insert(id, made)));
        self.answer(&answer)
    }

    fn session(&mut self, id: u64) -> Result<&mut Session, String> {
        match self.held.get_mut(&id) {
            Some(Held::Session(session)) => Ok(session),
            _ => Err(unknown(id)),
        }
    }

    fn compile(&self, compile: Compile) -> Result<Executable, String> {
        let gguf = self.file(&compile.model)?;
        if compile
            .file_hash
            .is_some_and(|hash| hash != file_hash(&gguf))
        {
            return Err("its model file is another than that of rank 0".into());
        }
        let module = parse(&compile.module).map_err(|e| e.to_string())?;
        let shard = Shard {
            ranks: self.transport.ranks(),
            rank: self.transport.rank(),
        };
        let options = Options::default()
            .only(compile.only)
            .skip(compile.skip)
            .fuel(compile.fuel)
            .shard(Some(shard));
        let compiled = sharpi_passes::compile(module, &options).map_err(|e| e.to_string())?;
        let load = LoadOptions::default()
            .repack(compile.repack)
            .cache(compile.cache)
            .lock(compile.lock)
            .threads(own_threads(compile.threads));
        let executable = Executable::new(compiled, &gguf, &load, &|_, _| ());
        let mut executable = executable.map_err(|e| e.to_string())?;
        executable.follow(self.transport.clone());
        Ok(executable)
    }

    fn file(&self, model: &Origin) -> Result<Arc<Gguf>, String> {
        if let Some(shared) = self.shared {
            let shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
            return shared.clone().ok_or_else(|| "there is no file".into());
        }
        let model = match model {
            Origin::Files(model, None) => Model::open(model),
            Origin::Files(model, Some(head)) => Model::open_with_head(model, head),
            #[cfg(feature = "embedded")]
            Origin::Embedded => Model::embedded(),
            #[cfg(not(feature = "embedded"))]
            Origin::Embedded => return Err("no model is part of the program".into()),
            Origin::Memory => {
                return Err(
                    "only a model that was opened from a file can be run by several processes"
                        .into(),
                );
            }
        };
        Ok(model.map_err(|e| e.to_string())?.shared_gguf().clone())
    }

    fn executor(
        &self,
        executable: u64,
        threads: usize,
        pin: bool,
    ) -> Result<Arc<Executor>, String> {
        let Some(Held::Executable(executable)) = self.held.get(&executable) else {
            return Err(unknown(executable));
        };
        let options = ExecutorOptions::default()
            .threads(own_threads(threads))
            .pin(pin);
        Executor::new(executable.clone(), &options).map_err(|e| e.to_string())
    }

    fn run(&mut self, executor: u64, graph: &str, sequences: &[SequenceRun]) -> Result<(), String> {
        let executor = match self.held.get(&executor) {
            Some(Held::Executor(executor)) => executor.clone(),
            _ => return Err(unknown(executor)),
        };
        // A run borrows several sessions at once.
        let taken = sequences
            .iter()
            .map(|sequence| match self.held.remove(&sequence.session) {
                Some(Held::Session(session)) => Ok(session),
                _ => Err(unknown(sequence.session)),
            });
        let mut sessions = taken.collect::<Result<Vec<Session>, String>>()?;
        let mut batch = executor.batch(graph).map_err(|e| e.to_string())?;
        for (session, sequence) in sessions.iter_mut().zip(sequences) {
            let inputs = sequence
                .inputs
                .iter()
                .map(|(name, numbers)| (&**name, numbers.as_input()));
            let inputs: Vec<(&str, Input<'_>)> = inputs.collect();
            let pushed = match sequence.tentative {
                true => batch.push_tentative(session, &inputs),
                false => batch.push(session, &inputs),
            };
            pushed.map_err(|e| e.to_string())?;
        }
        batch.run_then(|_| ()).map_err(|e| e.to_string())?;
        for (session, sequence) in sessions.into_iter().zip(sequences) {
            self.held.insert(sequence.session, Held::Session(session));
        }
        Ok(())
    }
}

fn restore(session: &mut Session, pieces: &[Vec<u8>]) -> Result<(), String> {
    let read = |bytes: &Vec<u8>| SavedSession::from_bytes(bytes).map_err(|e| e.to_string());
    let pieces = pieces
        .iter()
        .map(read)
        .collect::<Result<Vec<_>, String>>()?;
    let pieces: Vec<&SavedSession> = pieces.iter().collect();
    session.restore_own(&pieces).map_err(|e| e.to_string())
}

fn unknown(id: u64) -> String {
    format!("rank 0 speaks of {id}, which is nothing here")
}

/// As many threads as rank 0 has, if this machine runs as many at once.
fn own_threads(threads: usize) -> usize {
    let most = std::thread::available_parallelism().map_or(threads, |n| n.get());
    threads.min(most)
}
