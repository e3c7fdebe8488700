//! Models of the real shapes with made-up weights, whose greedy continuation is known: each token
//! is followed by its successor. So speed can be measured, and that it is not bought with faults,
//! without a download.
//!
//! A row of the head is the embedding of the token before, so that what the embedding puts into
//! the residual stream predicts the successor. The blocks do the full work of a real model, on
//! random weights so small that what they add never wins. The MTP block predicts the same, and
//! adds noise of a chosen strength, which makes it err at a chosen rate.
//!
//! Small models are of random weights altogether, so that every part has its say in what they
//! continue with: for comparing engines.

mod acceptance;
mod block;
mod fill;
mod metadata;
mod micro;
mod preset;
mod tensors;

use std::io::{self, Write};
use std::sync::Arc;

use crate::gguf::write::Writer;
use crate::lower::Hparams;

pub use preset::Preset;

use fill::Pools;
use tensors::Tensor;

/// A model to be made.
#[derive(Clone, Debug)]
pub struct Synth {
    /// Its sizes. The vocabulary has more than 257 tokens, and of blocks of both kinds every k-th
    /// is attention.
    pub hparams: Hparams,
    /// What its weights are.
    pub weights: Weights,
    /// What the random weights begin from.
    pub seed: u64,
}

/// The weights of a made-up model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Weights {
    /// As in a Q4_K_M file, for which the model's width is a multiple of 256, and all others of 32:
    /// each token is followed by its successor.
    Counting {
        /// How often the MTP head, if there is one, is right, above 0 and up to 1.
        mtp_acceptance: f64,
    },
    /// Random numbers, f32.
    Random,
}

impl Synth {
    /// The whole file. The weights are made while it is written; tens of megabytes are held.
    ///
    /// # Errors
    /// As [`io::ErrorKind::InvalidInput`], if a width is no whole number of blocks.
    pub fn writer(&self) -> io::Result<Writer<'static>> {
        let pools = Arc::new(Pools::new(self.seed));
        let mut writer = self.metadata();
        let tensors = tensors::all(&self.hparams, self.weights);
        for (index, tensor) in tensors.into_iter().enumerate() {
            let Tensor {
                name,
                ty,
                dims,
                fill,
            } = tensor;
            let (pools, shape) = (Arc::clone(&pools), dims.clone());
            let make = move |out: &mut dyn Write| fill.write(index, ty, &shape, &pools, out);
            writer.made(name, ty, &dims, make)?;
        }
        Ok(writer)
    }

    /// The same metadata and tensor table, all weights zero: for what looks at shapes alone.
    /// [`Writer::write_sparse`] makes a file of it that takes next to no room.
    ///
    /// # Errors
    /// As for [`writer`](Synth::writer).
    pub fn header(&self) -> io::Result<Writer<'static>> {
        let mut writer = self.metadata();
        for tensor in tensors::all(&self.hparams, self.weights) {
            writer.zeros(tensor.name, tensor.ty, &tensor.dims)?;
        }
        Ok(writer)
    }

    fn metadata(&self) -> Writer<'static> {
        let mut writer = Writer::new();
        for (key, value) in metadata::all(&self.hparams, self.weights) {
            writer.metadata(key, value);
        }
        writer
    }
}
