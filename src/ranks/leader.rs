//! Rank 0: tells the others what to do.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use serde::de::DeserializeOwned;

use super::command::{Answer, Command};
use super::follower::follow;
use super::local::local;
use super::numa::stay_on_node;
use super::transport::{ExchangeError, Transport};
use crate::gguf::Gguf;

/// Who runs a model: this thread's process alone, or together with other ranks, which it leads.
#[derive(Clone, Default)]
pub struct Ranks(Option<Arc<Leader>>);

/// The way to the other ranks. They are told to end when it is dropped.
pub(crate) struct Leader {
    transport: Arc<dyn Transport>,
    /// Who talks to them.
    turn: Mutex<()>,
    next: AtomicU64,
    ended: AtomicBool,
    /// The file, for ranks of this process.
    shared: Option<SharedFile>,
    threads: Vec<JoinHandle<()>>,
}

/// The model file that ranks of one process share.
pub(super) type SharedFile = Arc<Mutex<Option<Arc<Gguf>>>>;

impl Ranks {
    /// So many ranks in this process, each of the others with a thread of its own that starts its
    /// workers. With `numa` each stays on the processors of one memory node, the caller's thread, which
    /// is rank 0, too.
    ///
    /// # Errors
    /// A thread that cannot be started.
    pub fn in_process(ranks: usize, numa: bool) -> std::io::Result<Ranks> {
        let mut transports = local(ranks.max(1)).into_iter();
        let Some(transport) = transports.next().filter(|_| ranks > 1) else {
            return Ok(Ranks(None));
        };
        let shared = SharedFile::default();
        let mut threads = Vec::new();
        for transport in transports {
            let shared = shared.clone();
            let builder = thread::Builder::new().name(format!("sharpi-rank-{}", transport.rank()));
            threads.push(builder.spawn(move || {
                if numa {
                    stay_on_node(transport.rank());
                }
                // Rank 0 hears of it.
                follow(&transport, Some(&shared)).ok();
            })?);
        }
        if numa {
            stay_on_node(0);
        }
        Ok(Ranks(Some(Arc::new(Leader {
            transport,
            turn: Mutex::default(),
            next: AtomicU64::default(),
            ended: AtomicBool::default(),
            shared: Some(shared),
            threads,
        }))))
    }

    /// The ranks at the other ends of a transport, of which this is rank 0; the others
    /// [`follow`](super::follow).
    pub fn lead(transport: Arc<dyn Transport>) -> Ranks {
        let leader = Leader {
            turn: Mutex::default(),
            next: AtomicU64::default(),
            ended: AtomicBool::default(),
            shared: None,
            threads: Vec::new(),
            transport,
        };
        Ranks((leader.transport.ranks() > 1).then(|| Arc::new(leader)))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.as_ref().map_or(1, |leader| leader.transport.ranks())
    }

    /// Tells the others that there is nothing more to do, whoever still holds them.
    pub fn end(&self) {
        if let Some(leader) = &self.0 {
            leader.end();
        }
    }

    pub(crate) fn leader(&self) -> Option<&Arc<Leader>> {
        self.0.as_ref()
    }
}

impl std::fmt::Debug for Ranks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ranks({})", self.count())
    }
}

/// The right to talk to the other ranks.
pub(crate) struct Talk<'l> {
    leader: &'l Leader,
    _turn: MutexGuard<'l, ()>,
}

impl Leader {
    pub(crate) fn transport(&self) -> &Arc<dyn Transport> {
        &self.transport
    }

    /// Waits until nobody else talks to them.
    pub(crate) fn talk(&self) -> Talk<'_> {
        Talk {
            leader: self,
            _turn: self.turn.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// Shares a file with the ranks of this process; whether there are none in others.
    pub(crate) fn share(&self, gguf: &Arc<Gguf>) -> bool {
        if let Some(shared) = &self.shared {
            *shared.lock().unwrap_or_else(PoisonError::into_inner) = Some(gguf.clone());
        }
        self.shared.is_some()
    }

    fn end(&self) {
        let talk = self.talk();
        // Those that have failed need not be told.
        talk.tell(&Command::Quit).ok();
        self.ended.store(true, Ordering::Relaxed);
    }

    /// A number for something that the other ranks make.
    pub(crate) fn number(self: &Arc<Leader>) -> Remote {
        Remote {
            leader: self.clone(),
            id: self.next.fetch_add(1, Ordering::Relaxed),
        }
    }
}

impl Talk<'_> {
    fn others(&self) -> std::ops::Range<usize> {
        1..self.leader.transport.ranks()
    }

    /// Tells all others something.
    pub(crate) fn tell(&self, command: &Command) -> Result<(), ExchangeError> {
        if self.leader.ended.load(Ordering::Relaxed) {
            return Err(ExchangeError {
                rank: 0,
                message: "the others have been told to end".into(),
            });
        }
        let message = bytes_of(command)?;
        let mut others = self.others();
        others.try_for_each(|rank| self.leader.transport.send(rank, &message))
    }

    /// [`Talk::ask`] of something else for each rank.
    pub(crate) fn ask_each<T: DeserializeOwned>(
        &self,
        command: impl Fn(usize) -> Command,
    ) -> Result<Vec<T>, ExchangeError> {
        for rank in self.others() {
            self.leader
                .transport
                .send(rank, &bytes_of(&command(rank))?)?;
        }
        self.answers()
    }

    /// The answer of each to what was told last.
    pub(crate) fn answers<T: DeserializeOwned>(&self) -> Result<Vec<T>, ExchangeError> {
        // All answers are taken before one of them counts.
        let answers = self.others().map(|rank| {
            let bytes = self.leader.transport.receive(rank)?;
            Ok((rank, postcard::from_bytes::<Answer<T>>(&bytes)))
        });
        let answers = answers.collect::<Result<Vec<_>, ExchangeError>>()?;
        let answers = answers.into_iter().map(|(rank, answer)| {
            let failed = |message| ExchangeError { rank, message };
            answer.map_err(|e| failed(e.to_string()))?.map_err(failed)
        });
        answers.collect()
    }

    /// Tells all something, and waits until each has answered.
    pub(crate) fn ask<T: DeserializeOwned>(
        &self,
        command: &Command,
    ) -> Result<Vec<T>, ExchangeError> {
        self.tell(command)?;
        self.answers()
    }
}

fn bytes_of(command: &Command) -> Result<Vec<u8>, ExchangeError> {
    postcard::to_stdvec(command).map_err(|e| ExchangeError {
        rank: 0,
        message: e.to_string(),
    })
}

impl Drop for Leader {
    fn drop(&mut self) {
        self.end();
        for thread in self.threads.drain(..) {
            thread.join().ok();
        }
    }
}

/// Something that every other rank has too, until this is dropped.
pub(crate) struct Remote {
    pub(crate) leader: Arc<Leader>,
    pub(crate) id: u64,
}

impl Drop for Remote {
    fn drop(&mut self) {
        let forget = Command::Forget { id: self.id };
        self.leader.talk().tell(&forget).ok();
    }
}
