//! The indexer, by which attention chooses what of a long context it sees: keys of its own, pooled over
//! blocks of positions, of which each token chooses some.

use sharpi_ir::{Op, StateType, Value};

use super::LowerError;
use super::context::Context;
use super::keys::Keys;

/// Elements of a head are whole turns of so many, as products are added in the reference.
const TURN: usize = 64;

/// Sizes of the indexer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Indexer {
    /// Its query heads.
    pub heads: usize,
    /// Elements of a head.
    pub head_dim: usize,
    /// Most positions that a token chooses.
    pub top_k: usize,
    /// Positions of a block, if any block of the model chooses.
    pub pool: Option<usize>,
    /// Whether it chooses, for each block of the model.
    pub chooses: Vec<bool>,
}

impl Indexer {
    /// Reads `attention.indexer.*` and `attention.compress_ratios`.
    pub(super) fn read(keys: &Keys, blocks: usize) -> Result<Indexer, LowerError> {
        let ratios = "attention.compress_ratios";
        let pools = keys.optional_counts(ratios, blocks)?;
        let pools = pools.unwrap_or_else(|| vec![0; blocks]);
        let mut lengths: Vec<usize> = pools.iter().copied().filter(|n| *n > 0).collect();
        lengths.sort_unstable();
        lengths.dedup();
        let pool = match lengths[..] {
            [] => None,
            [pool] if pool > 1 => Some(pool),
            _ => {
                let expected = "0, or one number above 1, for each block";
                return Err(keys.conflict(ratios, expected));
            }
        };
        let indexer = Indexer {
            heads: keys.size("attention.indexer.head_count")?,
            head_dim: keys.size("attention.indexer.key_length")?,
            top_k: keys.size("attention.indexer.top_k")?,
            pool,
            chooses: pools.into_iter().map(|n| n > 0).collect(),
        };
        if let Some(pool) = pool {
            if !indexer.top_k.is_multiple_of(pool) {
                let expected = format!("a multiple of the {pool} positions of a block");
                return Err(keys.conflict("attention.indexer.top_k", expected));
            }
            if !indexer.head_dim.is_multiple_of(TURN) {
                let found = keys.conflict("attention.indexer.key_length", "a multiple of 64");
                return Err(LowerError::NotCarriedOut(Box::new(found)));
            }
        }
        Ok(indexer)
    }

    /// Positions of a block, if a block of the model chooses.
    fn pool_of(&self, block: usize) -> Option<usize> {
        self.pool.filter(|_| self.chooses.get(block) == Some(&true))
    }
}

impl Context<'_, '_> {
    /// The blocks of positions that each token sees, and how long they are, if not all are seen:
    /// `norm: [T, E] -> index[T, blocks]`.
    pub(super) fn chosen_blocks(
        &mut self,
        norm: Value,
        pos: Value,
    ) -> Result<Option<(Value, u32)>, LowerError> {
        let Some(indexer) = &self.hp.indexer else {
            return Ok(None);
        };
        let Some(pool) = indexer.pool_of(self.block) else {
            return Ok(None);
        };
        let (dim, width, ty) = (indexer.head_dim, self.hp.embedding, self.options.cache_k);
        let cache = StateType::Kv {
            k: ty,
            v: ty,
            heads: 1,
            dim,
        };
        let cache = self.state("indexer", cache)?;
        let k = self.project(norm, "indexer.k_proj.weight", dim, width)?;
        self.name(k, "indexer_k_raw", "");
        let q = self.project(norm, "indexer.q_proj.weight", indexer.heads * dim, width)?;
        let norms = ["k", "q"].map(|of| self.in_block(&format!("indexer.{of}_norm.weight")));
        let k_norm = self.weight_f32(&norms[0], &[dim])?;
        let q_norm = self.weight_f32(&norms[1], &[dim])?;
        let most = (indexer.top_k / pool) as u32;
        let (pool, eps) = (pool as u32, self.hp.rms_eps);
        let (n_rot, freq_base) = (self.hp.n_rot as u32, self.hp.freq_base);
        let keys = Op::PoolKeys {
            pool,
            eps,
            n_rot,
            freq_base,
            scaling: self.hp.rope_scaling.clone(),
        };
        let stored = [k.into(), pos.into(), cache.into(), k_norm.into()];
        self.builder.op(keys, &stored)?;
        let choice = Op::ChooseBlocks {
            pool,
            most,
            eps,
            n_rot,
            freq_base,
            scaling: self.hp.rope_scaling.clone(),
        };
        let chosen = self.op(choice, &[q.into(), pos.into(), cache.into(), q_norm.into()])?;
        Ok(Some((chosen, pool)))
    }
}
