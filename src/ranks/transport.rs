//! What ranks talk to each other through.

/// Messages between ranks that run one model together. A rank does one thing at a time: it is in at
/// most one of these calls.
pub trait Transport: Send + Sync {
    /// Which rank this is, from 0 on.
    fn rank(&self) -> usize;

    /// How many ranks there are.
    fn ranks(&self) -> usize;

    /// Gives `own` to every other rank and takes what each of them gives: as many bytes as its
    /// place in `others` holds, this rank's own left alone. All ranks call it together, one whose
    /// `own` is empty gives nothing.
    ///
    /// # Errors
    /// A rank that has ended, or does not answer for long.
    fn exchange(&self, own: &[u8], others: &mut [Vec<u8>]) -> Result<(), ExchangeError>;

    /// Sends a message to one rank.
    ///
    /// # Errors
    /// A rank that has ended.
    fn send(&self, to: usize, message: &[u8]) -> Result<(), ExchangeError>;

    /// The next message of one rank, however long that takes.
    ///
    /// # Errors
    /// A rank that has ended.
    fn receive(&self, from: usize) -> Result<Vec<u8>, ExchangeError>;

    /// Ends what the ranks do together, because this one cannot go on: the others get an error that
    /// says why.
    fn abandon(&self, why: &str);
}

/// Why ranks cannot go on together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("rank {rank}: {}", sharpi_ir::plain::line(message))]
pub struct ExchangeError {
    /// The rank that is in the way.
    pub rank: usize,
    /// What is wrong with it.
    pub message: String,
}
