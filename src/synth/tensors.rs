//! The tensors of a made-up model: names, types as in a Q4_K_M file, shapes, and what is in them.

use crate::gguf::GgmlType::{self, F32, Q4_K, Q5_0, Q5_K, Q6_K, Q8_0};
use crate::lower::{
    BlockKind, DeltaNet, Experts, Hparams, Indexer, MoeKind, Ngrams, Norms, Shared, Streams,
};

use super::fill::Fill;
use super::{Weights, acceptance};

/// Standard deviation of the weights that read the residual stream.
const READING: f64 = 0.02;
/// What a mixer or a feed-forward block adds to the residual stream, beside embeddings of
/// standard deviation 1, for inputs of that deviation.
const ADDED: f64 = 0.05;
/// Standard deviation of biases.
const BIAS: f64 = 0.1;

/// A tensor to be made.
pub(super) struct Tensor {
    pub(super) name: String,
    pub(super) ty: GgmlType,
    /// Fastest-varying first.
    pub(super) dims: Vec<u64>,
    pub(super) fill: Fill,
}

/// Every tensor, in the order of the file.
pub(super) fn all(hp: &Hparams, weights: Weights) -> Vec<Tensor> {
    let mut list = List {
        hp,
        random: weights == Weights::Random,
        prefix: String::new(),
        tensors: Vec::new(),
    };
    let (width, vocabulary) = (hp.embedding, hp.vocabulary);
    let table = [width, vocabulary];
    list.add("token_embd.weight", Q4_K, &table, Fill::Embedding);
    match hp.streams {
        None => list.ones("output_norm.weight", width),
        Some(streams) => list.mixer("output_hc", streams),
    }
    list.add("output.weight", Q6_K, &table, Fill::Head);
    if !hp.rope_scaling.factors.is_empty() {
        let pairs = hp.n_rot / 2;
        list.add("rope_freqs.weight", F32, &[pairs], Fill::RopeFactors);
    }
    if let Some(ngrams) = &hp.ngrams {
        let dims = [ngrams.row, ngrams.hash.rows()];
        list.add(
            "per_layer_token_embd.weight",
            Q4_K,
            &dims,
            Fill::Random(1.0),
        );
    }
    for (index, kind) in hp.blocks.iter().enumerate() {
        list.prefix = format!("blk.{index}.");
        list.block(*kind, index, ADDED);
    }
    if let Some(block) = hp.mtp_block() {
        let added = match weights {
            Weights::Counting { mtp_acceptance } => noise(hp, mtp_acceptance),
            Weights::Random => ADDED,
        };
        list.prefix = format!("blk.{block}.");
        list.block(BlockKind::Attention, block, added);
        list.mtp_head();
    }
    list.tensors
}

/// What the feed-forward block of the MTP head adds, for inputs of standard deviation 1.
fn noise(hp: &Hparams, acceptance: f64) -> f64 {
    if acceptance >= 1.0 {
        return ADDED;
    }
    let sigma = acceptance::noise(acceptance, hp.embedding, hp.vocabulary);
    // The shared expert's gate, if it has one, is held at sigmoid(0).
    let gate = match hp.arch.family().feed_forward.experts() {
        Some(kind) if kind.shared == Shared::Gated => 0.5,
        Some(_) | None => 1.0,
    };
    // The gates of residual streams, whose mean it reads, are about sigmoid(0).
    let read = if hp.streams.is_some() { 0.5 } else { 1.0 };
    let inputs = acceptance::swiglu_deviation(read * READING * (hp.embedding as f64).sqrt());
    sigma / (gate * inputs)
}

struct List<'h> {
    hp: &'h Hparams,
    /// Whether all is random, in f32.
    random: bool,
    prefix: String,
    tensors: Vec<Tensor>,
}

impl List<'_> {
    fn add(&mut self, name: &str, ty: GgmlType, dims: &[usize], fill: Fill) {
        let (ty, fill) = match self.random {
            true => (F32, fill.as_random(dims)),
            false => (fitting(ty, dims[0]), fill),
        };
        self.tensors.push(Tensor {
            name: format!("{}{name}", self.prefix),
            ty,
            dims: dims.iter().map(|&n| n as u64).collect(),
            fill,
        });
    }

    fn ones(&mut self, name: &str, len: usize) {
        self.add(name, F32, &[len], Fill::Constant(1.0));
    }

    /// Random weights that read the residual stream.
    fn reading(&mut self, name: &str, ty: GgmlType, dims: &[usize]) {
        self.add(name, ty, dims, Fill::Random(READING));
    }

    /// Random weights that add to the residual stream as much as `added` says.
    fn adding(&mut self, name: &str, ty: GgmlType, dims: &[usize], added: f64) {
        self.add(
            name,
            ty,
            dims,
            Fill::Random(added / (dims[0] as f64).sqrt()),
        );
    }

    fn normal(&mut self, name: &str, dims: &[usize], mean: f64, deviation: f64) {
        self.add(name, F32, dims, Fill::Normal { mean, deviation });
    }

    /// `added` is for the feed-forward block.
    fn block(&mut self, kind: BlockKind, index: usize, added: f64) {
        let width = self.hp.embedding;
        match self.hp.streams {
            None => {
                self.ones("attn_norm.weight", width);
                self.ones(self.hp.arch.family().names.post_norm, width);
            }
            Some(streams) => {
                for part in ["hc_attn", "hc_ffn"] {
                    self.mixer(part, streams);
                    let dims = [streams.count * width, streams.count];
                    self.normal(&format!("{part}_inject.weight"), &dims, 0.0, READING);
                }
            }
        }
        if let Some(ngrams) = self.hp.ngrams.as_ref().filter(|of| of.block == index) {
            self.ngrams(ngrams);
        }
        match kind {
            BlockKind::Attention => self.attention(index),
            BlockKind::DeltaNet => self.hp.deltanet.map_or((), |d| self.deltanet(d, index)),
        }
        let kind = self.hp.arch.family().feed_forward.experts();
        match self.hp.experts_of(index).zip(kind) {
            None => self.ffn("", self.hp.ffn_width.unwrap_or(0), index, added),
            Some((experts, kind)) => self.moe((experts, *kind), index, added),
        }
    }

    /// What brings embeddings of n-grams to the residual streams.
    fn ngrams(&mut self, ngrams: &Ngrams) {
        let (width, all) = (self.hp.embedding, self.hp.hidden());
        self.reading("ple_key.weight", Q4_K, &[width, all]);
        self.adding("ple_value.weight", Q4_K, &[width, width], ADDED);
        for part in ["key", "query", "conv"] {
            self.ones(&format!("ple_norm_{part}.weight"), all);
        }
        self.normal("ple_conv1d.weight", &[ngrams.taps, all], 0.25, 0.25);
    }

    /// What mixes the residual streams.
    fn mixer(&mut self, stem: &str, Streams { count, rank }: Streams) {
        let all = count * self.hp.embedding;
        self.ones(&format!("{stem}_norm.weight"), all);
        self.reading(&format!("{stem}_down.weight"), Q4_K, &[all, rank]);
        self.reading(&format!("{stem}_up.weight"), Q4_K, &[rank, all]);
    }

    fn attention(&mut self, index: usize) {
        let hp = self.hp;
        let (width, q) = (hp.embedding, hp.heads * hp.head_dim);
        let kv = hp.kv_heads * hp.head_dim;
        let kind = &hp.arch.family().attention;
        let parts = if kind.output_gate { 2 } else { 1 };
        self.reading("attn_q.weight", Q4_K, &[width, parts * q]);
        self.reading("attn_k.weight", Q4_K, &[width, kv]);
        let attention = |blocks: &[BlockKind]| {
            let kinds = blocks.iter().filter(|k| **k == BlockKind::Attention);
            kinds.count()
        };
        let before = attention(&hp.blocks[..index]);
        let ty = mixed(before, attention(&hp.blocks), Q4_K);
        self.reading("attn_v.weight", ty, &[width, kv]);
        self.adding("attn_output.weight", Q4_K, &[q, width], ADDED);
        if kind.biases {
            for (name, len) in [("q", parts * q), ("k", kv), ("v", kv)] {
                self.normal(&format!("attn_{name}.bias"), &[len], 0.0, BIAS);
            }
        }
        if kind.norms == Norms::Always {
            self.ones("attn_q_norm.weight", hp.head_dim);
            self.ones("attn_k_norm.weight", hp.head_dim);
        }
        if let Some(Indexer {
            heads, head_dim, ..
        }) = hp.indexer
        {
            self.normal(
                "indexer.q_proj.weight",
                &[width, heads * head_dim],
                0.0,
                READING,
            );
            self.normal("indexer.k_proj.weight", &[width, head_dim], 0.0, READING);
            self.ones("indexer.q_norm.weight", head_dim);
            self.ones("indexer.k_norm.weight", head_dim);
        }
    }

    fn deltanet(&mut self, d: DeltaNet, index: usize) {
        let width = self.hp.embedding;
        let (heads, channels) = (d.v_heads, d.conv_width());
        let ty = mixed(index, self.hp.blocks.len(), Q5_K);
        self.reading("attn_qkv.weight", ty, &[width, channels]);
        self.reading("attn_gate.weight", Q4_K, &[width, d.v_width()]);
        self.normal("ssm_conv1d.weight", &[d.conv_kernel, channels], 0.25, 0.1);
        self.normal("ssm_dt.bias", &[heads], 0.0, 0.5);
        // From slow to fast decay.
        self.add("ssm_a", F32, &[heads], Fill::Uniform(-4.0, -0.05));
        if (self.hp.arch.family().recurrent).is_some_and(|kind| kind.joint_gates) {
            self.normal("ssm_ba.weight", &[width, 2 * heads], 0.0, READING);
        } else {
            self.normal("ssm_beta.weight", &[width, heads], 0.0, READING);
            self.normal("ssm_alpha.weight", &[width, heads], 0.0, READING);
        }
        self.ones("ssm_norm.weight", d.head_dim);
        self.adding("ssm_out.weight", Q5_K, &[d.v_width(), width], ADDED);
    }

    fn ffn(&mut self, suffix: &str, inner: usize, index: usize, added: f64) {
        let width = self.hp.embedding;
        let name = |part| format!("ffn_{part}{suffix}.weight");
        self.reading(&name("gate"), Q4_K, &[width, inner]);
        self.reading(&name("up"), Q4_K, &[width, inner]);
        let ty = mixed(index, self.hp.blocks.len(), Q4_K);
        self.adding(&name("down"), ty, &[inner, width], added);
    }

    fn moe(&mut self, (experts, kind): (Experts, MoeKind), index: usize, added: f64) {
        let Experts { count, width, .. } = experts;
        let embedding = self.hp.embedding;
        self.normal("ffn_gate_inp.weight", &[embedding, count], 0.0, READING);
        if kind.biased_choice {
            self.normal("exp_probs_b.bias", &[count], 0.0, BIAS);
        }
        for name in ["ffn_gate_exps.weight", "ffn_up_exps.weight"] {
            self.reading(name, Q4_K, &[embedding, width, count]);
        }
        let ty = mixed(index, self.hp.blocks.len(), Q4_K);
        let dims = [width, embedding, count];
        self.adding("ffn_down_exps.weight", ty, &dims, ADDED);
        if kind.shared == Shared::Gated {
            let gate = Fill::Constant(0.0);
            self.add("ffn_gate_inp_shexp.weight", F32, &[embedding], gate);
        }
        if experts.shared_width == 0 {
            return;
        }
        self.ffn("_shexp", experts.shared_width, index, added);
    }

    fn mtp_head(&mut self) {
        let width = self.hp.embedding;
        // The embedding goes through as it is, so that each draft depends on one token alone.
        let dims = [2 * width, width];
        self.add("nextn.eh_proj.weight", Q8_0, &dims, Fill::Identity);
        self.ones("nextn.enorm.weight", width);
        self.ones("nextn.hnorm.weight", self.hp.hidden());
        match self.hp.streams {
            None => self.ones("nextn.shared_head_norm.weight", width),
            Some(streams) => self.mixer("nextn.hc_head", streams),
        }
    }
}

/// Rows that are no whole blocks of 256 have blocks of 32, as llama.cpp falls back.
fn fitting(ty: GgmlType, width: usize) -> GgmlType {
    match ty {
        _ if (width as u64).is_multiple_of(ty.block_len()) => ty,
        Q4_K => Q5_0,
        _ => Q8_0,
    }
}

/// Q4_K_M files hold half of some matrices in Q6_K: the first and the last eighth of the blocks,
/// and every third between (llama.cpp's `use_more_bits`). So too the block after them.
fn mixed(index: usize, blocks: usize, other: GgmlType) -> GgmlType {
    let eighth = blocks / 8;
    let more = index < eighth || index >= 7 * blocks / 8 || (index - eighth) % 3 == 2;
    if more { Q6_K } else { other }
}
