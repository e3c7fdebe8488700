//! Small models of random weights, one of every architecture.

use sharpi_ir::{NgramHash, RopeScaling};

use crate::lower::{
    Arch, BlockKind, DeltaNet, Experts, FeedForward, Hparams, Indexer, MoeKind, Ngrams, Routing,
    Shared, Streams,
};

use super::preset::{INTERVAL, MULTIPLIERS, kind, plain};

/// Of every architecture; as much as shows all that it is made of.
pub(super) fn micro(arch: Arch) -> Hparams {
    let family = arch.family();
    // llama.cpp holds Qwen2's queries to the model's width.
    let head_dim = if arch == Arch::QWEN2 { 16 } else { 32 };
    let experts = |kind: &MoeKind| Experts {
        shared_width: match kind.shared {
            Shared::None => 0,
            Shared::Counted | Shared::Gated => 32,
        },
        ..EXPERTS
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
        // Four rows of n-grams, each a whole block of Q8_0.
        embedding: if family.streams { 128 } else { 64 },
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
        ngrams: family.streams.then(ngrams),
        indexer: family.attention.indexer.then(indexer),
        ..plain(arch)
    }
}

/// Of every four positions a block, of which a token sees four, in the trunk and in the head.
fn indexer() -> Indexer {
    Indexer {
        heads: 2,
        head_dim: 64,
        top_k: 16,
        pool: Some(4),
        chooses: (1..=INTERVAL + 1).map(|n| n >= INTERVAL).collect(),
    }
}

/// Pairs and triples of tokens, two rows each, before the second block.
fn ngrams() -> Ngrams {
    Ngrams {
        block: 1,
        hash: NgramHash {
            // ` t`, which many a prompt has.
            end: 256,
            multipliers: MULTIPLIERS.to_vec(),
            offsets: vec![0, 61, 128, 199],
            sizes: vec![61, 67, 71, 73],
        },
        row: 32,
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

/// Experts of a small model, none of which takes every token.
pub(super) const EXPERTS: Experts = Experts {
    count: 8,
    used: 3,
    width: 32,
    shared_width: 0,
};
