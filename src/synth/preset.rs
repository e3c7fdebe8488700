//! The shapes of the Qwen3.5 and Qwen3.6 models.

use std::fmt;

use sharpi_ir::RopeScaling;

use crate::lower::{Arch, BlockKind, DeltaNet, Experts, Hparams, Routing};

/// A model whose shape is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// Qwen3.5-0.8B.
    Dense0_8B,
    /// Qwen3.5-2B.
    Dense2B,
    /// Qwen3.5-4B.
    Dense4B,
    /// Qwen3.5-9B.
    Dense9B,
    /// Qwen3.5-27B and Qwen3.6-27B.
    Dense27B,
    /// Qwen3.5-35B-A3B and Qwen3.6-35B-A3B, a mixture of experts.
    Moe35B,
}

/// Every how many trunk blocks one is attention.
const INTERVAL: usize = 4;

impl Preset {
    /// Every preset.
    pub const ALL: [Preset; 6] = [
        Preset::Dense0_8B,
        Preset::Dense2B,
        Preset::Dense4B,
        Preset::Dense9B,
        Preset::Dense27B,
        Preset::Moe35B,
    ];

    /// The name, such as `27b`.
    pub fn name(self) -> &'static str {
        match self {
            Preset::Dense0_8B => "0.8b",
            Preset::Dense2B => "2b",
            Preset::Dense4B => "4b",
            Preset::Dense9B => "9b",
            Preset::Dense27B => "27b",
            Preset::Moe35B => "35b-a3b",
        }
    }

    /// The sizes of the model, with one MTP block.
    pub fn hparams(self) -> Hparams {
        // Width, trunk blocks, feed-forward width, query heads, K/V heads, v-heads.
        let (embedding, blocks, ffn, heads, kv_heads, v_heads) = match self {
            Preset::Dense0_8B => (1024, 24, Some(3584), 8, 2, 16),
            Preset::Dense2B => (2048, 24, Some(6144), 8, 2, 16),
            Preset::Dense4B => (2560, 32, Some(9216), 16, 4, 32),
            Preset::Dense9B => (4096, 32, Some(12288), 16, 4, 32),
            Preset::Dense27B => (5120, 64, Some(17408), 24, 4, 48),
            Preset::Moe35B => (2048, 40, None, 16, 2, 32),
        };
        let experts = Experts {
            count: 256,
            used: 8,
            width: 512,
            shared_width: 512,
        };
        Hparams {
            arch: match ffn {
                Some(_) => Arch::Qwen35,
                None => Arch::Qwen35Moe,
            },
            blocks: (1..=blocks).map(kind).collect(),
            mtp_blocks: 1,
            mtp_absent: false,
            context_length: 262_144,
            embedding,
            vocabulary: 248_320,
            heads,
            kv_heads,
            head_dim: 256,
            rms_eps: 1e-6,
            n_rot: 64,
            freq_base: 1e7,
            rope_scaling: RopeScaling::default(),
            attention_scale: 1.0 / 256f32.sqrt(),
            logit_scale: 1.0,
            deltanet: DeltaNet {
                conv_kernel: 4,
                head_dim: 128,
                k_heads: 16,
                v_heads,
            },
            ffn_width: ffn,
            experts: ffn.is_none().then_some(experts),
            routing: Routing::default(),
        }
    }
}

/// What mixes tokens in the `n`-th block, counted from 1.
fn kind(n: usize) -> BlockKind {
    match n.is_multiple_of(INTERVAL) {
        true => BlockKind::Attention,
        false => BlockKind::DeltaNet,
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
