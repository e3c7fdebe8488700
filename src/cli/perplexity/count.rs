//! What has been counted so far.

use sharpi_compile::perplexity::{
    BaseFile, BaseWriter, Compared, Divergence, Judge, Perplexity, Piece, Place,
};

use crate::cli::failure::Failure;

/// Sums over the chunks that are done, and the positions of the one that is not.
pub(super) struct Count {
    perplexity: Perplexity,
    divergence: Option<Divergence>,
    /// What was known after each chunk.
    after: Vec<After>,
    nlls: Vec<f64>,
    compared: Vec<(Place, Compared)>,
    rows: Vec<u8>,
}

/// A line of the running print: values with their errors.
#[derive(Clone, Copy)]
pub(super) struct After {
    pub(super) perplexity: (f64, f64),
    pub(super) divergence: Option<Apart>,
}

/// How far the base is after some chunks: values with their errors.
#[derive(Clone, Copy)]
pub(super) struct Apart {
    pub(super) log_ratio: (f64, f64),
    pub(super) kl: (f64, f64),
    pub(super) gained_rms: (f64, f64),
    pub(super) same_best: (f64, f64),
}

impl Count {
    pub(super) fn new(compares: bool) -> Count {
        Count {
            perplexity: Perplexity::default(),
            divergence: compares.then(Divergence::default),
            after: Vec::new(),
            nlls: Vec::new(),
            compared: Vec::new(),
            rows: Vec::new(),
        }
    }

    /// Judges the rows of a run, beside the base or into a file if there is one.
    pub(super) fn take(
        &mut self,
        judge: &Judge,
        piece: &Piece<'_>,
        base: Option<&mut BaseFile>,
        writer: Option<&mut BaseWriter>,
    ) -> Result<(), Failure> {
        if let Some(base) = base {
            base.read_rows(piece.next.len(), &mut self.rows)?;
            let compared = judge.compare(piece, &self.rows)?;
            self.nlls.extend(compared.iter().map(|c| c.nll));
            let chunk = piece.chunk;
            let place = (piece.first..).map(|token| Place { chunk, token });
            self.compared.extend(place.zip(compared));
        } else if let Some(writer) = writer {
            for (nll, row) in judge.encode(piece)? {
                self.nlls.push(nll);
                writer.row(&row)?;
            }
        } else {
            self.nlls.extend(judge.likelihoods(piece)?);
        }
        Ok(())
    }

    /// Takes in the positions of a chunk, in their order: sums do not depend on threads.
    pub(super) fn end_chunk(&mut self) {
        self.nlls.drain(..).for_each(|x| self.perplexity.push(x));
        if let Some(divergence) = &mut self.divergence {
            let compared = self.compared.drain(..);
            compared.for_each(|(place, compared)| divergence.push(place, compared));
        }
        let apart = |d: &Divergence| Apart {
            log_ratio: d.log_ratio(),
            kl: (d.mean().value(), d.mean().error()),
            gained_rms: d.gained_rms(),
            same_best: d.same_best(),
        };
        self.after.push(After {
            perplexity: (self.perplexity.value(), self.perplexity.error()),
            divergence: self.divergence.as_ref().map(apart),
        });
    }

    pub(super) fn chunks(&self) -> usize {
        self.after.len()
    }

    pub(super) fn after(&self) -> &[After] {
        &self.after
    }

    /// The perplexity so far.
    pub(super) fn value(&self) -> f64 {
        self.perplexity.value()
    }

    pub(super) fn perplexity(&self) -> &Perplexity {
        &self.perplexity
    }

    pub(super) fn divergence(&self) -> Option<&Divergence> {
        self.divergence.as_ref()
    }
}
