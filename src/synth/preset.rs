//! The shapes of known models, and small ones of every architecture.

use std::fmt;

use sharpi_ir::{NgramHash, RopeScaling};

use crate::lower::{
    Arch, BlockKind, DeltaNet, Experts, Gating, Hparams, Indexer, Ngrams, Routing, Streams,
};

use super::Weights;
use super::micro::{self, micro, rope_factor};

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
    /// Qwen3-0.6B.
    Qwen3_0_6B,
    /// Qwen3-30B-A3B, a mixture of experts.
    Qwen3_30B,
    /// Qwen3-Next-80B-A3B, a mixture of experts.
    Qwen3Next80B,
    /// Qwen2.5-1.5B.
    Qwen25_1_5B,
    /// Llama-3.2-1B.
    Llama32_1B,
    /// Mixtral-8x7B, a mixture of experts.
    Mixtral8x7B,
    /// SmolLM3-3B.
    SmolLm3_3B,
    /// Qwen3.8-Flash-Next, a mixture of experts; of its n-grams a thousandth, as each token reads but
    /// sixteen rows of their table.
    Qwen38FlashNext,
    /// GLM-4.5-Air, a mixture of experts.
    Glm45Air,
    /// A small model of random weights.
    Micro(Arch),
    /// One as Mixtral: Llama with a mixture of experts.
    MicroMixtral,
}

/// Every how many trunk blocks one is attention, of those of both kinds.
pub(super) const INTERVAL: usize = 4;

impl Preset {
    /// Every preset.
    pub const ALL: [Preset; 26] = [
        Preset::Dense0_8B,
        Preset::Dense2B,
        Preset::Dense4B,
        Preset::Dense9B,
        Preset::Dense27B,
        Preset::Moe35B,
        Preset::Qwen3_0_6B,
        Preset::Qwen3_30B,
        Preset::Qwen3Next80B,
        Preset::Qwen38FlashNext,
        Preset::Glm45Air,
        Preset::Qwen25_1_5B,
        Preset::Llama32_1B,
        Preset::Mixtral8x7B,
        Preset::SmolLm3_3B,
        Preset::Micro(Arch::GLM4MOE),
        Preset::Micro(Arch::LLAMA),
        Preset::MicroMixtral,
        Preset::Micro(Arch::QWEN2),
        Preset::Micro(Arch::QWEN3),
        Preset::Micro(Arch::QWEN35),
        Preset::Micro(Arch::QWEN35MOE),
        Preset::Micro(Arch::QWEN3MOE),
        Preset::Micro(Arch::QWEN3NEXT),
        Preset::Micro(Arch::QWEN4EXP),
        Preset::Micro(Arch::SMOLLM3),
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
            Preset::Qwen3_0_6B => "qwen3-0.6b",
            Preset::Qwen3_30B => "qwen3-30b-a3b",
            Preset::Qwen3Next80B => "qwen3-next-80b-a3b",
            Preset::Qwen38FlashNext => "qwen3.8-flash-next",
            Preset::Glm45Air => "glm-4.5-air",
            Preset::Qwen25_1_5B => "qwen2.5-1.5b",
            Preset::Llama32_1B => "llama-3.2-1b",
            Preset::Mixtral8x7B => "mixtral-8x7b",
            Preset::SmolLm3_3B => "smollm3-3b",
            Preset::Micro(arch) => arch.family().micro,
            Preset::MicroMixtral => "micro-mixtral",
        }
    }

    /// The one of that name.
    pub fn named(name: &str) -> Option<Preset> {
        Preset::ALL.into_iter().find(|preset| preset.name() == name)
    }

    /// Whether it is one of the small models of random weights.
    pub fn is_micro(self) -> bool {
        matches!(self, Preset::Micro(_) | Preset::MicroMixtral)
    }

    /// What the weights are.
    pub fn weights(self, mtp_acceptance: f64) -> Weights {
        match self.is_micro() {
            true => Weights::Random,
            false => Weights::Counting { mtp_acceptance },
        }
    }

    /// The sizes of the model.
    pub fn hparams(self) -> Hparams {
        match self {
            Preset::Dense0_8B => qwen35(1024, 24, Some(3584), [8, 2, 16]),
            Preset::Dense2B => qwen35(2048, 24, Some(6144), [8, 2, 16]),
            Preset::Dense4B => qwen35(2560, 32, Some(9216), [16, 4, 32]),
            Preset::Dense9B => qwen35(4096, 32, Some(12288), [16, 4, 32]),
            Preset::Dense27B => qwen35(5120, 64, Some(17408), [24, 4, 48]),
            Preset::Moe35B => qwen35(2048, 40, None, [16, 2, 32]),
            Preset::Qwen3_0_6B => qwen3(1024, 28, [16, 8], None),
            Preset::Qwen3_30B => qwen3(2048, 48, [32, 4], Some(128)),
            Preset::Qwen3Next80B => Hparams {
                arch: Arch::QWEN3NEXT,
                vocabulary: 151_936,
                experts: Some(Experts {
                    count: 512,
                    used: 10,
                    width: 512,
                    shared_width: 512,
                }),
                ..qwen35(2048, 48, None, [16, 2, 32])
            },
            Preset::Qwen38FlashNext => qwen38_flash_next(),
            Preset::Glm45Air => glm45_air(),
            Preset::Qwen25_1_5B => attention(Arch::QWEN2, 1536, 28, [12, 2, 128], Some(8960)),
            Preset::Llama32_1B => Hparams {
                vocabulary: 128_256,
                rms_eps: 1e-5,
                freq_base: 5e5,
                rope_scaling: RopeScaling {
                    factors: (0..32).map(rope_factor).collect(),
                    neighbours: true,
                    ..RopeScaling::default()
                },
                ..attention(Arch::LLAMA, 2048, 16, [32, 8, 64], Some(8192))
            },
            Preset::Mixtral8x7B => Hparams {
                vocabulary: 32_000,
                rms_eps: 1e-5,
                experts: Some(Experts {
                    count: 8,
                    used: 2,
                    width: 14_336,
                    shared_width: 0,
                }),
                ..attention(Arch::LLAMA, 4096, 32, [32, 8, 128], None)
            },
            Preset::SmolLm3_3B => Hparams {
                vocabulary: 128_256,
                freq_base: 5e6,
                ..attention(Arch::SMOLLM3, 2048, 36, [16, 4, 128], Some(11_008))
            },
            Preset::Micro(arch) => micro(arch),
            Preset::MicroMixtral => Hparams {
                ffn_width: None,
                experts: Some(micro::EXPERTS),
                ..micro(Arch::LLAMA)
            },
        }
    }
}

/// Width, trunk blocks, feed-forward width; query heads, K/V heads, v-heads.
fn qwen35(
    embedding: usize,
    blocks: usize,
    ffn: Option<usize>,
    [heads, kv_heads, v_heads]: [usize; 3],
) -> Hparams {
    Hparams {
        blocks: (1..=blocks).map(kind).collect(),
        embedding,
        vocabulary: 248_320,
        heads,
        kv_heads,
        head_dim: 256,
        n_rot: 64,
        freq_base: 1e7,
        attention_scale: 1.0 / 256f32.sqrt(),
        deltanet: Some(DeltaNet {
            conv_kernel: 4,
            head_dim: 128,
            k_heads: 16,
            v_heads,
        }),
        ffn_width: ffn,
        experts: ffn.is_none().then_some(Experts {
            count: 256,
            used: 8,
            width: 512,
            shared_width: 512,
        }),
        ..plain(match ffn {
            Some(_) => Arch::QWEN35,
            None => Arch::QWEN35MOE,
        })
    }
}

/// Width, blocks; query heads, K/V heads; experts, if it is a mixture.
fn qwen3(
    embedding: usize,
    blocks: usize,
    [heads, kv_heads]: [usize; 2],
    experts: Option<usize>,
) -> Hparams {
    let (arch, ffn) = match experts {
        None => (Arch::QWEN3, Some(3 * embedding)),
        Some(_) => (Arch::QWEN3MOE, None),
    };
    Hparams {
        context_length: 40_960,
        experts: experts.map(|count| Experts {
            count,
            used: 8,
            width: 768,
            shared_width: 0,
        }),
        ..attention(arch, embedding, blocks, [heads, kv_heads, 128], ffn)
    }
}

/// All blocks of which attend. Width, blocks; query heads, K/V heads, their elements; feed-forward width.
fn attention(
    arch: Arch,
    embedding: usize,
    blocks: usize,
    [heads, kv_heads, head_dim]: [usize; 3],
    ffn: Option<usize>,
) -> Hparams {
    Hparams {
        blocks: vec![BlockKind::Attention; blocks],
        context_length: 32_768,
        embedding,
        vocabulary: 151_936,
        heads,
        kv_heads,
        head_dim,
        n_rot: head_dim,
        attention_scale: 1.0 / (head_dim as f32).sqrt(),
        ffn_width: ffn,
        ..plain(arch)
    }
}

fn qwen38_flash_next() -> Hparams {
    const BLOCKS: usize = 48;
    Hparams {
        arch: Arch::QWEN4EXP,
        experts: Some(Experts {
            count: 512,
            used: 10,
            width: 640,
            shared_width: 640,
        }),
        streams: Some(Streams {
            count: 4,
            rank: 320,
        }),
        ngrams: Some(Ngrams {
            block: 1,
            hash: NgramHash {
                end: 248_319,
                multipliers: MULTIPLIERS.to_vec(),
                offsets: (0..16).map(|head| head * NGRAM_ROWS).collect(),
                sizes: vec![NGRAM_ROWS; 16],
            },
            row: 160,
            taps: 4,
        }),
        indexer: Some(Indexer {
            heads: 4,
            head_dim: 128,
            top_k: 2048,
            pool: Some(4),
            chooses: (1..=BLOCKS)
                .map(|n| kind(n) == BlockKind::Attention)
                .chain([true])
                .collect(),
        }),
        ..qwen35(2560, BLOCKS, None, [24, 2, 48])
    }
}

/// Rows of n-grams for each head, a prime number.
const NGRAM_ROWS: u32 = 20_011;

/// What the ids of an n-gram are multiplied with.
pub(super) const MULTIPLIERS: [u64; 3] = [
    0x9e37_79b9_7f4a_7c15,
    0xc2b2_ae3d_27d4_eb4f,
    0x1656_67b1_9e37_79f9,
];

fn glm45_air() -> Hparams {
    Hparams {
        blocks: vec![BlockKind::Attention; 46],
        context_length: 131_072,
        embedding: 4096,
        vocabulary: 151_552,
        heads: 96,
        kv_heads: 8,
        rms_eps: 1e-5,
        n_rot: 64,
        ffn_width: Some(10_944),
        experts: Some(Experts {
            count: 128,
            used: 8,
            width: 1408,
            shared_width: 1408,
        }),
        dense_blocks: 1,
        routing: Routing {
            gating: Gating::Sigmoid,
            normalised: true,
            scale: 1.0,
        },
        ..plain(Arch::GLM4MOE)
    }
}

/// What most have in common.
pub(super) fn plain(arch: Arch) -> Hparams {
    Hparams {
        arch,
        blocks: Vec::new(),
        mtp_blocks: usize::from(arch.family().head),
        mtp_absent: false,
        context_length: 262_144,
        embedding: 0,
        vocabulary: 0,
        heads: 0,
        kv_heads: 0,
        head_dim: 128,
        rms_eps: 1e-6,
        n_rot: 128,
        freq_base: 1e6,
        rope_scaling: RopeScaling {
            neighbours: arch.family().attention.neighbours,
            ..RopeScaling::default()
        },
        attention_scale: 1.0 / 128f32.sqrt(),
        logit_scale: 1.0,
        deltanet: None,
        ffn_width: None,
        experts: None,
        dense_blocks: 0,
        routing: Routing::default(),
        streams: None,
        ngrams: None,
        indexer: None,
    }
}

/// What mixes tokens in the `n`-th block, counted from 1.
pub(super) fn kind(n: usize) -> BlockKind {
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
