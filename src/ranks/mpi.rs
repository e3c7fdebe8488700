//! Ranks that `mpirun` has started, on one host or several.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use mpi::Tag;
use mpi::environment::{Universe, processor_name};
use mpi::point_to_point::{Destination, MatchedReceiveVec, Source};
use mpi::request::{Request, Scope, scope};
use mpi::topology::{Communicator, SimpleCommunicator};
use mpi::traits::CommunicatorCollectives;
use mpi::{Threading, initialize_with_threading};
use sharpi_ir::plain::line;

use super::transport::{ExchangeError, Transport};

/// How long a rank may take for its part of an exchange, or to take a message.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long one who waits looks for a message without sleeping in between.
const AWAKE: Duration = Duration::from_millis(2);
const NAP: Duration = Duration::from_micros(200);

/// Messages longer than MPI counts go in pieces.
const PIECE: usize = 1 << 30;

/// Bytes of a host's name that the others are told.
const NAME: usize = 64;

const EXCHANGE: Tag = 1;
const MESSAGE: Tag = 2;

/// This process as one of those that `mpirun` has started. Dropping it ends MPI in this process: the
/// thread that has begun it does so, when nobody uses the transport any more.
pub struct Mpi {
    transport: Arc<World>,
    _universe: Universe,
}

struct World {
    rank: usize,
    /// The host of each rank.
    hosts: Vec<String>,
}

/// Why MPI cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MpiError {
    /// It has begun before.
    #[error("MPI has begun already")]
    Begun,
    /// It takes calls from one thread alone.
    #[error("this MPI library takes calls from one thread alone, expected MPI_THREAD_SERIALIZED")]
    Threads,
}

impl Mpi {
    /// Begins MPI. One thread at a time talks to it.
    ///
    /// # Errors
    /// MPI that has begun before, or a library that is not made for threads.
    pub fn begin() -> Result<Mpi, MpiError> {
        let (universe, threading) =
            initialize_with_threading(Threading::Serialized).ok_or(MpiError::Begun)?;
        if threading < Threading::Serialized {
            return Err(MpiError::Threads);
        }
        let world = SimpleCommunicator::world();
        let ranks = world.size() as usize;
        let mut own = [0u8; NAME];
        let name = processor_name().unwrap_or_default();
        let bytes = name.bytes().take(NAME);
        own.iter_mut().zip(bytes).for_each(|(to, byte)| *to = byte);
        let mut all = vec![0u8; ranks * NAME];
        world.all_gather_into(&own[..], &mut all[..]);
        let hosts = all.chunks_exact(NAME).map(|name| {
            let name = String::from_utf8_lossy(name);
            name.trim_end_matches('\0').to_string()
        });
        Ok(Mpi {
            transport: Arc::new(World {
                rank: world.rank() as usize,
                hosts: hosts.collect(),
            }),
            _universe: universe,
        })
    }

    /// The way to the other processes.
    pub fn transport(&self) -> Arc<dyn Transport> {
        self.transport.clone()
    }
}

impl World {
    fn late(&self, rank: usize) -> ExchangeError {
        ExchangeError {
            rank,
            message: format!(
                "on host {} has not answered for {} s",
                self.hosts[rank],
                PATIENCE.as_secs()
            ),
        }
    }

    /// Waits for the end of what was begun with each of these ranks. What never ends cannot be taken
    /// back: then all ranks end.
    fn finish<'a, S: Scope<'a>>(&self, begun: Vec<(usize, Request<'a, [u8], S>)>) {
        let start = Instant::now();
        for (rank, mut request) in begun {
            while let Err(still) = request.test() {
                request = still;
                if start.elapsed() > PATIENCE {
                    self.abandon(&self.late(rank).to_string());
                }
                if start.elapsed() > AWAKE {
                    thread::yield_now();
                }
            }
        }
    }

    fn peers(&self) -> impl Iterator<Item = usize> + use<> {
        let own = self.rank;
        (0..self.hosts.len()).filter(move |rank| *rank != own)
    }
}

impl Transport for World {
    fn rank(&self) -> usize {
        self.rank
    }

    fn ranks(&self) -> usize {
        self.hosts.len()
    }

    fn exchange(&self, own: &[u8], others: &mut [Vec<u8>]) -> Result<(), ExchangeError> {
        let world = SimpleCommunicator::world();
        scope(|scope| {
            let mut begun = Vec::new();
            for (rank, given) in others.iter_mut().enumerate() {
                if rank != self.rank && !given.is_empty() {
                    let from = world.process_at_rank(rank as i32);
                    let request =
                        from.immediate_receive_into_with_tag(scope, &mut given[..], EXCHANGE);
                    begun.push((rank, request));
                }
            }
            let mut sent = Vec::new();
            if !own.is_empty() {
                for rank in self.peers() {
                    let to = world.process_at_rank(rank as i32);
                    sent.push((rank, to.immediate_send_with_tag(scope, own, EXCHANGE)));
                }
            }
            self.finish(begun);
            self.finish(sent);
        });
        Ok(())
    }

    fn send(&self, to: usize, message: &[u8]) -> Result<(), ExchangeError> {
        let world = SimpleCommunicator::world();
        let process = world.process_at_rank(to as i32);
        let length = (message.len() as u64).to_le_bytes();
        for piece in std::iter::once(&length[..]).chain(message.chunks(PIECE)) {
            scope(|scope| {
                let request = process.immediate_send_with_tag(scope, piece, MESSAGE);
                self.finish(vec![(to, request)]);
            });
        }
        Ok(())
    }

    fn receive(&self, from: usize) -> Result<Vec<u8>, ExchangeError> {
        let length = next_piece(from);
        let length = length.try_into().map_or(0, u64::from_le_bytes) as usize;
        let mut message = Vec::with_capacity(length);
        while message.len() < length {
            message.extend(next_piece(from));
        }
        Ok(message)
    }

    /// Says why on stderr, and ends all processes.
    fn abandon(&self, why: &str) {
        let (rank, host) = (self.rank, &self.hosts[self.rank]);
        eprintln!("error: on rank {rank}, host {}: {}", line(host), line(why));
        SimpleCommunicator::world().abort(1);
    }
}

/// The next message of a rank, however long that takes.
fn next_piece(from: usize) -> Vec<u8> {
    let world = SimpleCommunicator::world();
    let process = world.process_at_rank(from as i32);
    let start = Instant::now();
    loop {
        if let Some(found) = process.immediate_matched_probe_with_tag(MESSAGE) {
            return found.matched_receive_vec().0;
        }
        if start.elapsed() > AWAKE {
            thread::sleep(NAP);
        }
    }
}
