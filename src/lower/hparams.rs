//! Hyperparameters, read from the metadata, with llama.cpp's defaults for what converters leave out.

use sharpi_ir::RopeScaling;

use crate::gguf::Gguf;

use super::LowerError;
use super::arch::{Arch, FeedForward, MoeKind, Shared};
use super::block_kinds::{BlockKind, block_kinds};
use super::file_kind::not_a_model;
use super::indexer::Indexer;
use super::keys::Keys;
use super::ngrams::Ngrams;
use super::rope::Rope;
use super::routing::Routing;
use super::source::Source;
use super::streams::Streams;

/// Sizes of the DeltaNet mixer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DeltaNet {
    /// Taps of the causal convolution.
    pub conv_kernel: usize,
    /// Elements of a q, k or v head.
    pub head_dim: usize,
    /// Heads of q and k.
    pub k_heads: usize,
    /// Heads of v.
    pub v_heads: usize,
}

impl DeltaNet {
    /// Elements of all v heads of a token.
    pub fn v_width(&self) -> usize {
        self.v_heads * self.head_dim
    }

    /// Elements of `[q ‖ k ‖ v]` of a token.
    pub fn conv_width(&self) -> usize {
        2 * self.k_heads * self.head_dim + self.v_width()
    }
}

/// Sizes of the mixture of experts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Experts {
    /// Experts of a block.
    pub count: usize,
    /// Experts that a token uses.
    pub used: usize,
    /// Inner width of an expert.
    pub width: usize,
    /// Inner width of the expert that takes every token, 0 for none.
    pub shared_width: usize,
}

/// Sizes and constants of a model.
#[derive(Clone, PartialEq, Debug)]
pub struct Hparams {
    /// Architecture.
    pub arch: Arch,
    /// Kind of each trunk block.
    pub blocks: Vec<BlockKind>,
    /// MTP blocks after the trunk: 0 or 1.
    pub mtp_blocks: usize,
    /// Whether the metadata declares an MTP block of which the file has no tensor.
    pub mtp_absent: bool,
    /// Tokens the model was trained to see at once.
    pub context_length: usize,
    /// Model width.
    pub embedding: usize,
    /// Rows of the embedding table.
    pub vocabulary: usize,
    /// Query heads.
    pub heads: usize,
    /// Key-value heads.
    pub kv_heads: usize,
    /// Elements of an attention head.
    pub head_dim: usize,
    /// Epsilon of every RMSNorm.
    pub rms_eps: f32,
    /// Elements of a head that RoPE turns.
    pub n_rot: usize,
    /// RoPE's frequency base.
    pub freq_base: f32,
    /// How RoPE's angles are scaled.
    pub rope_scaling: RopeScaling,
    /// Factor of attention's scores.
    pub attention_scale: f32,
    /// Factor of the logits.
    pub logit_scale: f32,
    /// DeltaNet sizes (models with such blocks).
    pub deltanet: Option<DeltaNet>,
    /// Inner width of the dense feed-forward blocks, if there are such.
    pub ffn_width: Option<usize>,
    /// Expert sizes (mixture-of-experts models).
    pub experts: Option<Experts>,
    /// Blocks before the first with experts (mixture-of-experts models).
    pub dense_blocks: usize,
    /// How experts are chosen and weighted.
    pub routing: Routing,
    /// The residual streams, if there are several.
    pub streams: Option<Streams>,
    /// Embeddings of n-grams, if there are such.
    pub ngrams: Option<Ngrams>,
    /// What chooses the positions that attention sees, if something does.
    pub indexer: Option<Indexer>,
}

impl Hparams {
    /// Reads and cross-checks the metadata.
    pub fn read(gguf: &Gguf) -> Result<Hparams, LowerError> {
        Hparams::of(&Source::new(gguf))
    }

    /// Reads and cross-checks the metadata of a model, marking what is used.
    pub(super) fn of(source: &Source) -> Result<Hparams, LowerError> {
        match not_a_model(source.gguf()) {
            Some(what) => Err(LowerError::NoModel(what)),
            None => Hparams::of_any(source),
        }
    }

    /// Reads the metadata of a file that need not be a whole model.
    pub(super) fn of_any(source: &Source) -> Result<Hparams, LowerError> {
        let arch = architecture(source)?;
        let family = arch.family();
        let keys = &Keys::new(source, arch.name());
        let block_count = keys.size("block_count")?;
        let declared = match family.head {
            true => declared_mtp_blocks(keys, block_count)?,
            false => 0,
        };
        check_held(keys, block_count - declared)?;
        let blocks = match family.recurrent {
            Some(_) => block_kinds(keys, block_count - declared)?,
            None => vec![BlockKind::Attention; block_count - declared],
        };
        let mtp_absent = declared > 0 && !has_block(source.gguf(), blocks.len());
        let mtp_blocks = if mtp_absent { 0 } else { declared };
        let attending = attention_blocks(&blocks, mtp_blocks);
        let embedding = keys.size("embedding_length")?;
        let (heads, kv_heads, head_dim) =
            attention_heads(keys, embedding, &attending, blocks.len())?;
        let freq_base = keys.optional_positive("rope.freq_base")?;
        let rope = Rope {
            n_rot: rotated(keys, head_dim)?,
            freq_base: freq_base.unwrap_or(FREQ_BASE),
            context_length: keys.size("context_length")?,
        };
        let all: Vec<usize> = (0..blocks.len() + mtp_blocks).collect();
        let ffn_width = keys.optional_size_in("feed_forward_length", &all, blocks.len());
        let missing = || keys.missing("feed_forward_length", "a whole number above 0");
        let mut mixture = None;
        let (mut dense_blocks, mut routing) = (0, Routing::default());
        if let Some(kind) = mixture_of(keys, &family.feed_forward)? {
            // Only a default for what is missing: 0 is as good as none.
            let default = ffn_width.as_ref().ok().copied().flatten();
            mixture = Some(experts(keys, (&all, blocks.len()), kind, default)?);
            dense_blocks = leading_dense_blocks(keys, kind, blocks.len())?;
            routing = Routing::read(keys, kind)?;
        }
        let ffn_width = match mixture {
            Some(_) if dense_blocks == 0 => None,
            _ => Some(ffn_width?.ok_or_else(missing)?),
        };
        let ngrams = match family.streams {
            true => Ngrams::read(keys, &blocks, embedding)?,
            false => None,
        };
        Ok(Hparams {
            arch,
            blocks,
            ngrams,
            mtp_blocks,
            mtp_absent,
            context_length: rope.context_length,
            embedding,
            vocabulary: vocabulary(source.gguf(), embedding)?,
            heads,
            kv_heads,
            head_dim,
            rms_eps: keys.positive_float("attention.layer_norm_rms_epsilon")?,
            n_rot: rope.n_rot,
            freq_base: rope.freq_base,
            rope_scaling: rope.scaling(keys, &family.attention)?,
            attention_scale: factor(keys, "attention.scale", 1.0 / (head_dim as f32).sqrt())?,
            logit_scale: factor(keys, "logit_scale", 1.0)?,
            routing,
            deltanet: family.recurrent.map(|_| deltanet(keys)).transpose()?,
            ffn_width,
            experts: mixture,
            dense_blocks,
            indexer: (family.attention.indexer)
                .then(|| Indexer::read(keys, all.len()))
                .transpose()?,
            streams: family.streams.then(|| Streams::read(keys)).transpose()?,
        })
    }

    /// Values of a hidden state, which the head takes: of all residual streams.
    pub fn hidden(&self) -> usize {
        self.streams.map_or(1, |streams| streams.count) * self.embedding
    }

    /// The experts of a block, if it has any.
    pub(crate) fn experts_of(&self, block: usize) -> Option<Experts> {
        self.experts.filter(|_| block >= self.dense_blocks)
    }

    /// Whether a block turns its queries and keys.
    pub(super) fn turns(&self, block: usize) -> bool {
        let still_every = self.arch.family().attention.still_every;
        still_every.is_none_or(|n| !(block + 1).is_multiple_of(n))
    }

    /// Index of the MTP block in tensor names, if there is one.
    pub fn mtp_block(&self) -> Option<usize> {
        (self.mtp_blocks > 0).then_some(self.blocks.len())
    }
}

/// RoPE's frequency base where the file says none, as in llama.cpp.
const FREQ_BASE: f32 = 10_000.0;

/// A factor, or what stands for one that is 0 or that the file does not have.
fn factor(keys: &Keys, key: &str, default: f32) -> Result<f32, LowerError> {
    let found = keys.optional_float(key)?;
    Ok(found.filter(|x| *x != 0.0).unwrap_or(default))
}

fn architecture(source: &Source) -> Result<Arch, LowerError> {
    let key = "general.architecture";
    let value = source.key(key).ok_or_else(|| LowerError::MissingKey {
        key: key.into(),
        expected: "the name of an architecture",
    })?;
    let known = value.as_str().and_then(Arch::named);
    known.ok_or_else(|| LowerError::Architecture {
        found: value.as_str().map_or(value.to_string(), str::to_string),
        known: Arch::ALL
            .map(|arch| format!("`{}`", arch.name()))
            .join(", "),
    })
}

/// What the metadata says; the tensors say whether it is so.
fn declared_mtp_blocks(keys: &Keys, block_count: usize) -> Result<usize, LowerError> {
    match keys.optional_count("nextn_predict_layers")?.unwrap_or(0) {
        n if n < block_count && n <= 1 => Ok(n),
        _ => Err(keys.conflict(
            "nextn_predict_layers",
            format!("0 or 1, and fewer than the {block_count} blocks"),
        )),
    }
}

/// The file has at least one tensor of the last block of the trunk, or of one behind it.
fn check_held(keys: &Keys, trunk: usize) -> Result<(), LowerError> {
    let names = keys.source().gguf().tensors().keys();
    let block = |name: &String| name.strip_prefix("blk.")?.split('.').next()?.parse().ok();
    let held = names
        .filter_map(block)
        .max()
        .map_or(0, |last: usize| last.saturating_add(1));
    match trunk <= held {
        true => Ok(()),
        false => Err(keys.conflict(
            "block_count",
            format!("no more blocks than the file has, {held}"),
        )),
    }
}

/// Whether the file has any tensor of a block.
fn has_block(gguf: &Gguf, block: usize) -> bool {
    let prefix = format!("blk.{block}.");
    gguf.tensors().keys().any(|name| name.starts_with(&prefix))
}

/// The blocks that attend: of the trunk by their kind, and the head.
fn attention_blocks(trunk: &[BlockKind], mtp_blocks: usize) -> Vec<usize> {
    let attends = |i: &usize| trunk.get(*i).is_none_or(|k| *k == BlockKind::Attention);
    (0..trunk.len() + mtp_blocks).filter(attends).collect()
}

fn attention_heads(
    keys: &Keys,
    embedding: usize,
    attending: &[usize],
    trunk: usize,
) -> Result<(usize, usize, usize), LowerError> {
    let heads = keys.optional_size_in("attention.head_count", attending, trunk)?;
    let heads =
        heads.ok_or_else(|| keys.missing("attention.head_count", "a whole number above 0"))?;
    let head_dim = head_length(keys, "attention.key_length", embedding, heads)?;
    let kv_heads = match keys.optional_size_in("attention.head_count_kv", attending, trunk)? {
        Some(kv_heads) => kv_heads,
        None => kv_heads_of(keys.source().gguf(), attending, head_dim).unwrap_or(heads),
    };
    if !heads.is_multiple_of(kv_heads) {
        let expected = format!("a divisor of the {heads} query heads");
        return Err(keys.conflict("attention.head_count_kv", expected));
    }
    let value_length = head_length(keys, "attention.value_length", embedding, heads)?;
    if value_length != head_dim {
        let expected = format!("the key length, {head_dim}");
        return Err(keys.conflict("attention.value_length", expected));
    }
    Ok((heads, kv_heads, head_dim))
}

/// The key-value heads that the key projection of the first attention block makes.
fn kv_heads_of(gguf: &Gguf, attending: &[usize], head_dim: usize) -> Option<usize> {
    let tensor = |block| gguf.tensor(&format!("blk.{block}.attn_k.weight"));
    let tensor = attending.iter().find_map(tensor)?;
    let rows = usize::try_from(*tensor.dims.get(1)?).ok()?;
    (rows.is_multiple_of(head_dim)).then_some(rows / head_dim)
}

/// Elements of a head; where the file does not say, the heads share the model's width.
fn head_length(
    keys: &Keys,
    key: &str,
    embedding: usize,
    heads: usize,
) -> Result<usize, LowerError> {
    match keys.optional_size(key)? {
        Some(length) => Ok(length),
        None if embedding.is_multiple_of(heads) => Ok(embedding / heads),
        None => Err(keys.missing(key, "the elements of a head")),
    }
}

fn rotated(keys: &Keys, head_dim: usize) -> Result<usize, LowerError> {
    match keys
        .optional_size("rope.dimension_count")?
        .unwrap_or(head_dim)
    {
        n if n.is_multiple_of(2) && n <= head_dim => Ok(n),
        _ => Err(keys.conflict(
            "rope.dimension_count",
            format!("an even number up to the head size, {head_dim}"),
        )),
    }
}

fn deltanet(keys: &Keys) -> Result<DeltaNet, LowerError> {
    let sizes = DeltaNet {
        conv_kernel: keys.size("ssm.conv_kernel")?,
        head_dim: keys.size("ssm.state_size")?,
        k_heads: keys.size("ssm.group_count")?,
        v_heads: keys.size("ssm.time_step_rank")?,
    };
    if sizes.conv_kernel < 2 {
        return Err(keys.conflict("ssm.conv_kernel", "2 or more"));
    }
    if !sizes.v_heads.is_multiple_of(sizes.k_heads) {
        let expected = format!("a multiple of the {} k-heads", sizes.k_heads);
        return Err(keys.conflict("ssm.time_step_rank", expected));
    }
    if keys.size("ssm.inner_size")? != sizes.v_width() {
        let expected = format!("time_step_rank · state_size = {}", sizes.v_width());
        return Err(keys.conflict("ssm.inner_size", expected));
    }
    Ok(sizes)
}

/// The mixture of experts that a file has.
fn mixture_of(keys: &Keys, feed_forward: &FeedForward) -> Result<Option<MoeKind>, LowerError> {
    Ok(match *feed_forward {
        FeedForward::Dense => None,
        FeedForward::Experts(kind) => Some(kind),
        FeedForward::Either(kind) => match keys.optional_count("expert_count")? {
            None | Some(0) => None,
            Some(_) => Some(kind),
        },
    })
}

/// What the file does not say of the widths follows from `ffn_width`, as in llama.cpp.
fn experts(
    keys: &Keys,
    (blocks, trunk): (&[usize], usize),
    kind: MoeKind,
    ffn_width: Option<usize>,
) -> Result<Experts, LowerError> {
    let in_all = |key: &str| keys.optional_size_in(key, blocks, trunk);
    let missing = |key: &str| keys.missing(key, "a whole number above 0");
    let used = in_all("expert_used_count")?.ok_or_else(|| missing("expert_used_count"))?;
    let width = match in_all(kind.width)? {
        Some(width) => Some(width),
        None => ffn_width.map(|width| width / used),
    };
    let width = width.ok_or_else(|| missing(kind.width))?;
    let shared_width = match kind.shared {
        Shared::None => 0,
        Shared::Counted => width * keys.optional_count("expert_shared_count")?.unwrap_or(0),
        Shared::Gated => {
            let found = keys.optional_count("expert_shared_feed_forward_length")?;
            let found = found.filter(|width| *width > 0).or(ffn_width);
            found.ok_or_else(|| missing("expert_shared_feed_forward_length"))?
        }
    };
    let sizes = Experts {
        count: keys.size("expert_count")?,
        used,
        width,
        shared_width,
    };
    if sizes.used > sizes.count {
        let expected = format!("at most the {} experts", sizes.count);
        return Err(keys.conflict("expert_used_count", expected));
    }
    Ok(sizes)
}

/// Blocks of the trunk before the first with experts.
fn leading_dense_blocks(keys: &Keys, kind: MoeKind, trunk: usize) -> Result<usize, LowerError> {
    if !kind.dense_lead {
        return Ok(0);
    }
    match keys
        .optional_count("leading_dense_block_count")?
        .unwrap_or(0)
    {
        n if n <= trunk => Ok(n),
        _ => {
            let expected = format!("at most the {trunk} blocks of the trunk");
            Err(keys.conflict("leading_dense_block_count", expected))
        }
    }
}

/// Rows of `token_embd.weight`: the vocabulary has no key of its own.
fn vocabulary(gguf: &Gguf, embedding: usize) -> Result<usize, LowerError> {
    let name = "token_embd.weight";
    let expected = || format!("[{embedding}, number of tokens]");
    let tensor = (gguf.tensor(name)).ok_or_else(|| LowerError::MissingTensor {
        name: name.into(),
        expected: expected(),
    })?;
    match tensor.dims[..] {
        [width, rows] if width == embedding as u64 => Ok(rows as usize),
        _ => Err(LowerError::TensorShape {
            name: name.into(),
            found: tensor.dims.clone(),
            expected: expected(),
        }),
    }
}
