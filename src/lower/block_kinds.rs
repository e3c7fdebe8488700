//! Which blocks are attention, and which Gated DeltaNet.

use super::LowerError;
use super::keys::Keys;

/// What mixes tokens in a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BlockKind {
    /// Softmax attention with a KV cache.
    Attention,
    /// Gated DeltaNet with a recurrent state.
    DeltaNet,
}

/// Where neither a key nor the tensors say it, as in llama.cpp.
const INTERVAL: usize = 4;

/// `attention.recurrent_layers` where present, else every `full_attention_interval`-th block is
/// attention. Where both are left out, each block's own tensors tell what it is.
pub(super) fn block_kinds(keys: &Keys, blocks: usize) -> Result<Vec<BlockKind>, LowerError> {
    let kind = |recurrent| match recurrent {
        true => BlockKind::DeltaNet,
        false => BlockKind::Attention,
    };
    let interval = keys.optional_size("full_attention_interval");
    if let Some(flags) = keys.optional_flags("attention.recurrent_layers", blocks)? {
        return Ok(flags.into_iter().map(kind).collect());
    }
    let declared = interval?;
    let has = |block, tensor| keys.source().has(&format!("blk.{block}.{tensor}"));
    let recurrent = |block: usize| {
        let by_interval = !(block + 1).is_multiple_of(declared.unwrap_or(INTERVAL));
        match (has(block, "ssm_a"), has(block, "attn_q.weight")) {
            (true, false) if declared.is_none() => true,
            (false, true) if declared.is_none() => false,
            _ => by_interval,
        }
    };
    Ok((0..blocks).map(|block| kind(recurrent(block))).collect())
}
