//! Feeding chunks to a model.

use super::chunks::{Chunks, first_judged};
use crate::lower::TRUNK;
use crate::{Input, Outputs, RunError, Session};

/// Feeds chunk after chunk in runs, each chunk to a session that knows nothing of the others.
pub struct Evaluator {
    session: Session,
    /// Most tokens of a run.
    run: usize,
    /// Most tokens of a run whose logits are wanted.
    rows: usize,
    chunk: usize,
    tokens: Vec<u32>,
    fed: Vec<i32>,
}

/// What came of a run.
pub struct Piece<'a> {
    /// The chunk.
    pub chunk: usize,
    /// The first token of the chunk whose logits these are.
    pub first: usize,
    /// The tokens that follow each of those in the text; none in the half that is not judged.
    pub next: &'a [u32],
    /// Tokens that were fed.
    pub fed: usize,
    outputs: Outputs,
}

impl Piece<'_> {
    /// The logits, one row after another.
    pub fn logits(&self) -> &[f32] {
        self.outputs.get("logits").unwrap_or_default()
    }
}

impl Evaluator {
    /// With a session of a model that was compiled for runs of `run` tokens and `rows` rows of
    /// logits.
    pub fn new(session: Session, run: usize, rows: usize) -> Evaluator {
        Evaluator {
            session,
            run: run.max(1),
            rows: rows.max(1),
            chunk: 0,
            tokens: Vec::new(),
            fed: Vec::new(),
        }
    }

    /// Begins a chunk; [`Evaluator::piece`] feeds it.
    pub fn begin(&mut self, chunks: &Chunks, chunk: usize) {
        self.session.reset();
        self.chunk = chunk;
        self.tokens = chunks.chunk(chunk).to_vec();
        self.fed = chunks.fed(chunk).iter().map(|id| *id as i32).collect();
    }

    /// Runs the next tokens of the chunk; `None` once all that is judged has been.
    ///
    /// # Errors
    /// A run that is refused.
    pub fn piece(&mut self) -> Result<Option<Piece<'_>>, RunError> {
        let from = self.session.position(TRUNK);
        let (first, end) = (first_judged(self.tokens.len()), self.tokens.len() - 1);
        // The last token has nothing behind it to be judged by.
        if from >= end {
            return Ok(None);
        }
        let judging = from >= first;
        let to = match judging {
            true => (from + self.run.min(self.rows)).min(end),
            false => (from + self.run).min(first),
        };
        let positions: Vec<i32> = (from..to).map(|at| at as i32).collect();
        let rows = if judging { 0..to - from } else { 0..0 };
        let rows: Vec<i32> = rows.map(|row| row as i32).collect();
        let inputs = [
            ("ids", Input::I32(&self.fed[from..to])),
            ("pos", Input::I32(&positions)),
            ("rows", Input::I32(&rows)),
        ];
        let outputs = self.session.run(TRUNK, &inputs)?;
        Ok(Some(Piece {
            chunk: self.chunk,
            first: from,
            next: &self.tokens[from + 1..][..rows.len()],
            fed: to - from,
            outputs,
        }))
    }
}
