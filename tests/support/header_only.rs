//! Models of real shapes without their weights, for what looks at shapes alone.

#![allow(dead_code, missing_docs)]

use sharpi_compile::Model;
use sharpi_compile::lower::Hparams;
use sharpi_compile::synth::{Preset, Synth, Weights};

/// The dense 27B with another number of trunk blocks, a multiple of 4.
pub fn dense_27b(layers: usize) -> Model {
    let mut hparams = Preset::Dense27B.hparams();
    hparams.blocks = hparams.blocks[..4].repeat(layers / 4);
    model(hparams)
}

/// The mixture of experts 35B-A3B.
pub fn moe_35b() -> Model {
    model(Preset::Moe35B.hparams())
}

fn model(hparams: Hparams) -> Model {
    let synth = Synth {
        hparams,
        weights: Weights::Counting {
            mtp_acceptance: 1.0,
        },
        seed: 0,
    };
    // The file is gone once it is open; its zeros are holes, which take no room.
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let header = synth.header().expect("whole blocks");
    header.write_sparse(file.as_file()).expect("a model");
    Model::open(file.path()).expect("a sound file")
}
