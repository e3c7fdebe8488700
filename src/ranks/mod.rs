//! Several processes or threads that run one model together, each with a share of the weights.
//!
//! The compiler divides the graphs ([`shard`](sharpi_passes::shard)); here is what goes between the
//! ranks. Rank 0 leads ([`Ranks`]): it lowers the model, sends the graphs to the others, and then
//! whatever its executors and sessions are told to do, so that whoever uses these needs to know of
//! no other rank. The others [`follow`]. What ranks compute they exchange within a run, by the op
//! `all_gather`, over a [`Transport`].

mod command;
mod file_hash;
mod follower;
mod leader;
mod local;
mod measure;
#[cfg(feature = "mpi")]
mod mpi;
mod numa;
mod transport;

use std::sync::Arc;

#[cfg(feature = "mpi")]
pub use self::mpi::{Mpi, MpiError};
pub(crate) use command::{Command, Compile, Numbers, Origin, SequenceRun};
pub(crate) use file_hash::file_hash;
pub use leader::Ranks;
pub(crate) use leader::{Leader, Remote, Talk};
pub use local::local;
pub use measure::ExchangeTime;
pub use transport::{ExchangeError, Transport};

/// Does what rank 0 says, which leads over the other end of the transport ([`Ranks::lead`]), until
/// it has nothing more to do.
///
/// # Errors
/// A rank that has ended, or something that cannot go on here: then the others hear of it.
pub fn follow(transport: &Arc<dyn Transport>) -> Result<(), ExchangeError> {
    follower::follow(transport, None)
}
