//! The shapes of known models, and small ones of every architecture.

use std::fmt;

use sharpi_ir::{NgramHash, RopeScaling};

use crate::lower::{
    Arch, BlockKind, DeltaNet, Experts, FeedForward, Gating, Hparams, Indexer, MoeKind, Ngrams,
    Routing, Shared, Streams,
};

use super::Weights;

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
    /// GLM-4.5-Air, a mixture of experts.
    Glm45Air,
    /// A small model of random weights.
    Micro(Arch),
    /// One as Mixtral: Llama with a mixture of experts.
    MicroMixtral,
}

/// Every how many trunk blocks one is attention, of those of both kinds.
const INTERVAL: usize = 4;

impl Preset {
    /// Every preset.
    pub const ALL: [Preset; 21] = [
        Preset::Dense0_8B,
        Preset::Dense2B,
        Preset::Dense4B,
        Preset::Dense9B,
        Preset::Dense27B,
        Preset::Moe35B,
        Preset::Qwen3_0_6B,
        Preset::Qwen3_30B,
        Preset::Qwen3Next80B,
        Preset::Glm45Air,
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
            Preset::Glm45Air => "glm-4.5-air",
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
            Preset::Glm45Air => glm45_air(),
            Preset::Micro(arch) => micro(arch),
            Preset::MicroMixtral => Hparams {
                ffn_width: None,
                experts: Some(MICRO_EXPERTS),
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
    Hparams {
        blocks: vec![BlockKind::Attention; blocks],
        context_length: 40_960,
        embedding,
        vocabulary: 151_936,
        heads,
        kv_heads,
        ffn_width: experts.is_none().then_some(3 * embedding),
        experts: experts.map(|count| Experts {
            count,
            used: 8,
            width: 768,
            shared_width: 0,
        }),
        ..plain(match experts {
            None => Arch::QWEN3,
            Some(_) => Arch::QWEN3MOE,
        })
    }
}

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

/// Experts of a small model, none of which takes every token.
const MICRO_EXPERTS: Experts = Experts {
    count: 8,
    used: 3,
    width: 32,
    shared_width: 0,
};

/// Of every architecture; as much as shows all that it is made of.
fn micro(arch: Arch) -> Hparams {
    let family = arch.family();
    // llama.cpp holds Qwen2's queries to the model's width.
    let head_dim = if arch == Arch::QWEN2 { 16 } else { 32 };
    let experts = |kind: &MoeKind| Experts {
        shared_width: match kind.shared {
            Shared::None => 0,
            Shared::Counted | Shared::Gated => 32,
        },
        ..MICRO_EXPERTS
    };
    let (experts, dense_blocks, routing) = match &family.feed_forward {
        FeedForward::Dense | FeedForward::Either(_) => (None, 0, Routing::default()),
        FeedForward::Experts(kind) => {
            let routing = Routing {
                gating: kind.gating,
                normalised: true,
                scale: if kind.biased_choice { 1.5 } else { 1.0 },
            };
            (Some(experts(kind)), usize::from(kind.dense_lead), routing)
        }
    };
    let blocks = (1..=INTERVAL).map(|n| match family.recurrent {
        Some(_) => kind(n),
        None => BlockKind::Attention,
    });
    let factors = match family.attention.factors {
        true => (0..16).map(rope_factor).collect(),
        false => Vec::new(),
    };
    Hparams {
        blocks: blocks.collect(),
        context_length: 1024,
        embedding: 64,
        vocabulary: 320,
        heads: 4,
        kv_heads: 2,
        head_dim,
        rms_eps: 1e-6,
        n_rot: match family.recurrent.is_some() || dense_blocks > 0 {
            true => head_dim / 2,
            false => head_dim,
        },
        freq_base: 10_000.0,
        rope_scaling: RopeScaling {
            factors,
            neighbours: family.attention.neighbours,
            ..RopeScaling::default()
        },
        attention_scale: 1.0 / (head_dim as f32).sqrt(),
        deltanet: family.recurrent.map(|_| DeltaNet {
            conv_kernel: 4,
            head_dim: 32,
            k_heads: 2,
            v_heads: 4,
        }),
        ffn_width: (experts.is_none() || dense_blocks > 0).then_some(96),
        experts,
        dense_blocks,
        routing,
        streams: family.streams.then_some(Streams { count: 4, rank: 32 }),
        ngrams: family.streams.then(micro_ngrams),
        indexer: family.attention.indexer.then(micro_indexer),
        ..plain(arch)
    }
}

/// Of every four positions a block, of which a token sees four, in the trunk and in the head.
fn micro_indexer() -> Indexer {
    Indexer {
        heads: 2,
        head_dim: 64,
        top_k: 16,
        pool: Some(4),
        chooses: (1..=INTERVAL + 1).map(|n| n >= INTERVAL).collect(),
    }
}

/// Pairs and triples of tokens, two rows each, before the second block.
fn micro_ngrams() -> Ngrams {
    Ngrams {
        block: 1,
        hash: NgramHash {
            // ` t`, which many a prompt has.
            end: 256,
            multipliers: vec![
                0x9e37_79b9_7f4a_7c15,
                0xc2b2_ae3d_27d4_eb4f,
                0x1656_67b1_9e37_79f9,
            ],
            offsets: vec![0, 61, 128, 199],
            sizes: vec![61, 67, 71, 73],
        },
        row: 16,
        taps: 3,
    }
}

/// What divides the angle of a pair where something does; as in Llama 3.1 slow pairs are slowed.
pub(super) fn rope_factor(pair: usize) -> f32 {
    match pair {
        0..8 => 1.0,
        _ => 1.0 + pair as f32 / 4.0,
    }
}

/// What most have in common.
fn plain(arch: Arch) -> Hparams {
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
