//! Judging the logits of many positions on all threads.

use rayon::ThreadPool;
use rayon::prelude::*;

use super::base::BaseRow;
use super::divergence::{Compared, Place};
use super::evaluate::Piece;
use super::log_probs::{LogSoftmax, encode, row_bytes};
use crate::RunError;

/// Threads that judge; each position is one thread's, so that the results do not depend on them.
pub struct Judge {
    pool: ThreadPool,
}

/// Numbers that cannot be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotFinite {
    /// The model's logits.
    #[error("the logits of token {} of chunk {} are not all finite numbers", .0.token, .0.chunk + 1)]
    Logits(Place),
    /// The base's log probabilities.
    #[error(
        "token {} of chunk {} of the base has numbers that are no log probabilities of a vocabulary",
        .0.token, .0.chunk + 1
    )]
    Base(Place),
}

impl Judge {
    /// So many threads.
    ///
    /// # Errors
    /// Threads that cannot be started.
    pub fn new(threads: usize) -> Result<Judge, RunError> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let pool = pool.map_err(|error| RunError::Threads {
            threads,
            message: error.to_string(),
        })?;
        Ok(Judge { pool })
    }

    /// The negative log likelihood of the token behind each position.
    ///
    /// # Errors
    /// Logits that are no finite numbers.
    pub fn likelihoods(&self, piece: &Piece<'_>) -> Result<Vec<f64>, NotFinite> {
        self.each(piece, |at| Ok(at.nll()?.1))
    }

    /// The same, each with the position's row of a file of log probabilities.
    ///
    /// # Errors
    /// Logits that are no finite numbers.
    pub fn encode(&self, piece: &Piece<'_>) -> Result<Vec<(f64, Vec<u8>)>, NotFinite> {
        self.each(piece, |at| {
            let (softmax, nll) = at.nll()?;
            Ok((nll, encode(at.logits, &softmax)))
        })
    }

    /// Each position beside its row of the base; `rows` are their bytes.
    ///
    /// # Errors
    /// Logits that are no finite numbers, or rows that are no log probabilities.
    pub fn compare(&self, piece: &Piece<'_>, rows: &[u8]) -> Result<Vec<Compared>, NotFinite> {
        self.each(piece, |at| {
            let (softmax, _) = at.nll()?;
            let bytes = row_bytes(at.logits.len()) as usize;
            let row = &rows[at.row * bytes..][..bytes];
            let row = BaseRow::of(row, at.logits.len()).ok_or(NotFinite::Base(at.place))?;
            let compared = Compared::of(at.logits, &softmax, &row, at.next);
            let compared = compared.ok_or(NotFinite::Base(at.place))?;
            match compared.kl.is_finite() {
                true => Ok(compared),
                false => Err(NotFinite::Logits(at.place)),
            }
        })
    }

    fn each<T: Send>(
        &self,
        piece: &Piece<'_>,
        judge: impl Fn(At<'_>) -> Result<T, NotFinite> + Sync,
    ) -> Result<Vec<T>, NotFinite> {
        let rows = 0..piece.next.len();
        let logits = piece.logits();
        let vocabulary = logits.len() / rows.len().max(1);
        // Of the piece itself not all may be seen by other threads.
        let (chunk, first, next) = (piece.chunk, piece.first, piece.next);
        let at = |row| At {
            row,
            place: Place {
                chunk,
                token: first + row,
            },
            logits: &logits[row * vocabulary..][..vocabulary],
            next: next[row],
        };
        self.pool
            .install(|| rows.into_par_iter().map(|row| judge(at(row))).collect())
    }
}

/// One position.
struct At<'a> {
    row: usize,
    place: Place,
    logits: &'a [f32],
    next: u32,
}

impl At<'_> {
    fn nll(&self) -> Result<(LogSoftmax, f64), NotFinite> {
        let softmax = LogSoftmax::of(self.logits);
        let nll = -softmax.log_prob(self.logits[self.next as usize]);
        match softmax.log_sum.is_finite() && nll.is_finite() {
            true => Ok((softmax, nll)),
            false => Err(NotFinite::Logits(self.place)),
        }
    }
}
