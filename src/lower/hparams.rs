//! Hyperparameters, read from the metadata; nothing is assumed that a key can say.

use crate::gguf::{Gguf, Value};

use super::LowerError;

/// Supported architectures.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arch {
    /// Dense feed-forward blocks.
    Qwen35,
    /// Mixture-of-experts feed-forward blocks.
    Qwen35Moe,
}

impl Arch {
    /// The name in `general.architecture`, which prefixes the metadata keys.
    pub fn name(self) -> &'static str {
        match self {
            Arch::Qwen35 => "qwen35",
            Arch::Qwen35Moe => "qwen35moe",
        }
    }
}

/// What mixes tokens in a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BlockKind {
    /// Softmax attention with a KV cache.
    Attention,
    /// Gated DeltaNet with a recurrent state.
    DeltaNet,
}

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
    /// Inner width of the shared expert.
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
    /// DeltaNet sizes.
    pub deltanet: DeltaNet,
    /// Inner width of the dense feed-forward block (dense models).
    pub ffn_width: Option<usize>,
    /// Expert sizes (mixture-of-experts models).
    pub experts: Option<Experts>,
}

/// Reads keys under the architecture's prefix.
struct Keys<'g> {
    gguf: &'g Gguf,
    prefix: &'static str,
}

impl<'g> Keys<'g> {
    fn find(&self, key: &str) -> Option<(String, &'g Value)> {
        let key = format!("{}.{key}", self.prefix);
        let value = self.gguf.get(&key)?;
        Some((key, value))
    }

    fn need(&self, key: &str, expected: &'static str) -> Result<(String, &'g Value), LowerError> {
        self.find(key).ok_or_else(|| LowerError::MissingKey {
            key: format!("{}.{key}", self.prefix),
            expected,
        })
    }

    fn count_of(key: String, value: &Value) -> Result<usize, LowerError> {
        // Far above any real model, and products of several stay within usize.
        const MOST: u64 = 1 << 24;
        match value.as_u64() {
            Some(n) if n <= MOST => Ok(n as usize),
            _ => Err(bad(key, value, format!("a whole number up to {MOST}"))),
        }
    }

    /// A whole number above zero.
    fn size(&self, key: &str) -> Result<usize, LowerError> {
        let (key, value) = self.need(key, "a whole number above 0")?;
        match Keys::count_of(key.clone(), value)? {
            0 => Err(bad(key, value, "a whole number above 0")),
            n => Ok(n),
        }
    }

    fn optional_count(&self, key: &str) -> Result<Option<usize>, LowerError> {
        let found = self.find(key);
        found.map(|(k, v)| Keys::count_of(k, v)).transpose()
    }

    fn positive_float(&self, key: &str) -> Result<f32, LowerError> {
        let (key, value) = self.need(key, "a number above 0")?;
        match value.as_f32() {
            Some(x) if x.is_finite() && x > 0.0 => Ok(x),
            _ => Err(bad(key, value, "a finite number above 0")),
        }
    }

    /// The value of `key` is wrong in the light of others.
    fn conflict(&self, key: &str, expected: impl Into<String>) -> LowerError {
        match self.find(key) {
            Some((key, value)) => bad(key, value, expected),
            None => LowerError::MissingKey {
                key: format!("{}.{key}", self.prefix),
                expected: "a value",
            },
        }
    }
}

fn bad(key: String, value: &Value, expected: impl Into<String>) -> LowerError {
    LowerError::BadKey {
        key,
        found: value.to_string(),
        expected: expected.into(),
    }
}

impl Hparams {
    /// Reads and cross-checks the metadata.
    pub fn read(gguf: &Gguf) -> Result<Hparams, LowerError> {
        let arch = architecture(gguf)?;
        let keys = Keys {
            gguf,
            prefix: arch.name(),
        };
        let block_count = keys.size("block_count")?;
        let mtp_blocks = mtp_blocks(&keys, block_count)?;
        let (heads, kv_heads, head_dim) = attention_heads(&keys)?;
        let embedding = keys.size("embedding_length")?;
        Ok(Hparams {
            arch,
            blocks: block_kinds(&keys, block_count - mtp_blocks)?,
            mtp_blocks,
            context_length: keys.size("context_length")?,
            embedding,
            vocabulary: vocabulary(gguf, embedding)?,
            heads,
            kv_heads,
            head_dim,
            rms_eps: keys.positive_float("attention.layer_norm_rms_epsilon")?,
            n_rot: rotated(&keys, head_dim)?,
            freq_base: keys.positive_float("rope.freq_base")?,
            deltanet: deltanet(&keys)?,
            ffn_width: match arch {
                Arch::Qwen35 => Some(keys.size("feed_forward_length")?),
                Arch::Qwen35Moe => None,
            },
            experts: match arch {
                Arch::Qwen35 => None,
                Arch::Qwen35Moe => Some(experts(&keys)?),
            },
        })
    }

    /// Index of the MTP block in tensor names, if there is one.
    pub fn mtp_block(&self) -> Option<usize> {
        (self.mtp_blocks > 0).then_some(self.blocks.len())
    }
}

fn architecture(gguf: &Gguf) -> Result<Arch, LowerError> {
    let key = "general.architecture";
    let value = gguf.get(key).ok_or_else(|| LowerError::MissingKey {
        key: key.into(),
        expected: "`qwen35` or `qwen35moe`",
    })?;
    match value.as_str() {
        Some("qwen35") => Ok(Arch::Qwen35),
        Some("qwen35moe") => Ok(Arch::Qwen35Moe),
        _ => Err(LowerError::Architecture {
            found: value.as_str().map_or(value.to_string(), str::to_string),
        }),
    }
}

fn mtp_blocks(keys: &Keys, block_count: usize) -> Result<usize, LowerError> {
    match keys.optional_count("nextn_predict_layers")?.unwrap_or(0) {
        n if n < block_count && n <= 1 => Ok(n),
        _ => Err(keys.conflict(
            "nextn_predict_layers",
            format!("0 or 1, and fewer than the {block_count} blocks"),
        )),
    }
}

fn attention_heads(keys: &Keys) -> Result<(usize, usize, usize), LowerError> {
    let heads = keys.size("attention.head_count")?;
    let kv_heads = keys.size("attention.head_count_kv")?;
    let head_dim = keys.size("attention.key_length")?;
    if !heads.is_multiple_of(kv_heads) {
        let expected = format!("a divisor of the {heads} query heads");
        return Err(keys.conflict("attention.head_count_kv", expected));
    }
    if keys.size("attention.value_length")? != head_dim {
        let expected = format!("the key length, {head_dim}");
        return Err(keys.conflict("attention.value_length", expected));
    }
    Ok((heads, kv_heads, head_dim))
}

fn rotated(keys: &Keys, head_dim: usize) -> Result<usize, LowerError> {
    match keys.size("rope.dimension_count")? {
        n if n.is_multiple_of(2) && n <= head_dim => Ok(n),
        _ => Err(keys.conflict(
            "rope.dimension_count",
            format!("an even number up to the head size, {head_dim}"),
        )),
    }
}

/// `attention.recurrent_layers` where present, else every `full_attention_interval`-th block is
/// attention.
fn block_kinds(keys: &Keys, blocks: usize) -> Result<Vec<BlockKind>, LowerError> {
    let kind = |recurrent| match recurrent {
        true => BlockKind::DeltaNet,
        false => BlockKind::Attention,
    };
    if let Some((key, value)) = keys.find("attention.recurrent_layers") {
        let flags = value.as_array().and_then(|a| a.to_bools());
        return match flags {
            Some(flags) if flags.len() >= blocks => {
                Ok(flags[..blocks].iter().map(|&f| kind(f)).collect())
            }
            _ => Err(bad(key, value, format!("{blocks} or more booleans"))),
        };
    }
    let interval = keys.size("full_attention_interval")?;
    Ok((0..blocks)
        .map(|i| kind(!(i + 1).is_multiple_of(interval)))
        .collect())
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

fn experts(keys: &Keys) -> Result<Experts, LowerError> {
    let sizes = Experts {
        count: keys.size("expert_count")?,
        used: keys.size("expert_used_count")?,
        width: keys.size("expert_feed_forward_length")?,
        shared_width: keys.size("expert_shared_feed_forward_length")?,
    };
    if sizes.used > sizes.count {
        let expected = format!("at most the {} experts", sizes.count);
        return Err(keys.conflict("expert_used_count", expected));
    }
    Ok(sizes)
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
