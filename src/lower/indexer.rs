//! The indexer, by which attention chooses what of a long context it sees.

use super::LowerError;
use super::keys::Keys;

/// Sizes of the indexer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Indexer {
    /// Its query heads.
    pub heads: usize,
    /// Elements of a head.
    pub head_dim: usize,
    /// Most positions that a token chooses.
    pub top_k: usize,
}

impl Indexer {
    /// Reads `attention.indexer.*` and `attention.compress_ratios`.
    pub(super) fn read(keys: &Keys, blocks: usize) -> Result<Indexer, LowerError> {
        let ratios = "attention.compress_ratios";
        let pooled = keys.optional_counts(ratios, blocks)?.unwrap_or_default();
        if pooled.iter().any(|ratio| *ratio != 0) {
            let expected = "0 for every block: attention to chosen blocks of positions is not \
                            carried out";
            return Err(LowerError::NotCarriedOut(Box::new(
                keys.conflict(ratios, expected),
            )));
        }
        Ok(Indexer {
            heads: keys.size("attention.indexer.head_count")?,
            head_dim: keys.size("attention.indexer.key_length")?,
            top_k: keys.size("attention.indexer.top_k")?,
        })
    }
}
