//! Embeddings of n-grams: rows of a table that is too large to learn whole, found by hashes of the
//! last tokens, gated by what they have to do with each residual stream, and convolved over time.

use sharpi_ir::{NgramHash, Op, StateType, TensorType, Value};

use super::block_kinds::BlockKind;
use super::context::Context;
use super::keys::Keys;
use super::{LowerError, Streams};
use sharpi_ir::DType;

/// The table, its rows one behind the other.
const TABLE: &str = "per_layer_token_embd.weight";

/// The least magnitude of what a gate is the root of.
const SMALLEST_AGREEMENT: f32 = 1e-6;

/// Sizes and constants of the embeddings of n-grams.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ngrams {
    /// The block before which they come to the streams.
    pub block: usize,
    /// How n-grams become rows.
    pub hash: NgramHash,
    /// Elements of a row.
    pub row: usize,
    /// Taps of the convolution.
    pub taps: usize,
}

impl Ngrams {
    /// Reads `ple.*`, if the file says that some block has them.
    pub(super) fn read(
        keys: &Keys,
        blocks: &[BlockKind],
        embedding: usize,
    ) -> Result<Option<Ngrams>, LowerError> {
        let layers = keys.optional_list("ple.layers")?.unwrap_or_default();
        let block = match layers[..] {
            [] => return Ok(None),
            [block] => usize::try_from(block).unwrap_or(usize::MAX),
            _ => return Err(keys.conflict("ple.layers", "one block at most")),
        };
        // Their past is kept with a block's recurrent states.
        if blocks.get(block) != Some(&BlockKind::DeltaNet) {
            return Err(keys.conflict("ple.layers", "a block that does not attend"));
        }
        let longest = keys.size("ple.ngram_size")?;
        if longest < 2 {
            return Err(keys.conflict("ple.ngram_size", "2 or more"));
        }
        let heads = (longest - 1) * keys.size("ple.heads_per_ngram")?;
        let row = keys.size("embedding_length_per_layer_input")?;
        if heads.checked_mul(row) != Some(embedding) {
            let expected = format!("the model's width, {embedding}, divided by the {heads} heads");
            return Err(keys.conflict("embedding_length_per_layer_input", expected));
        }
        // Images alone have it.
        keys.find("ple.image_token_id");
        let rows = |key: &str| -> Result<Vec<u32>, LowerError> {
            let list = first(keys, key, heads)?;
            let rows = list.into_iter().map(|n| u32::try_from(n).ok());
            let rows: Option<Vec<u32>> = rows.collect();
            rows.ok_or_else(|| keys.conflict(key, "numbers of rows"))
        };
        let hash = NgramHash {
            end: keys.count("ple.eos_token_id")? as u32,
            multipliers: first(keys, "ple.layer_multipliers", longest)?,
            offsets: rows("ple.head_offsets")?,
            sizes: rows("ple.head_vocab_sizes")?,
        };
        if hash.sizes.contains(&0) || hash.rows() > i32::MAX as usize {
            let expected = format!("1 or more rows for each head, in all up to {}", i32::MAX);
            return Err(keys.conflict("ple.head_vocab_sizes", expected));
        }
        let taps = keys.size("ple.conv_kernel")?;
        Ok(Some(Ngrams {
            block,
            hash,
            row,
            taps,
        }))
    }
}

/// The first numbers of a list that has as many or more.
fn first(keys: &Keys, key: &str, count: usize) -> Result<Vec<u64>, LowerError> {
    let mut list = keys.optional_list(key)?.unwrap_or_default();
    if list.len() < count {
        return Err(keys.conflict(key, format!("{count} or more whole numbers")));
    }
    list.truncate(count);
    Ok(list)
}

impl Context<'_, '_> {
    /// Embeddings of the n-grams that end with each token: `index<V>[T] -> f32[T, E]`.
    pub(super) fn ngrams(&mut self, ids: Value, of: &Ngrams) -> Result<Value, LowerError> {
        let window = TensorType::fixed(DType::F32, &[of.hash.before()]);
        self.block = of.block;
        let window = self.state("ids", StateType::Recurrent(window))?;
        let hash = of.hash.clone();
        let rows = self.op(Op::NgramRows { hash }, &[ids.into(), window.into()])?;
        let held = self
            .source
            .tensor(TABLE)
            .and_then(|table| table.dims.get(1));
        // A table may be longer than what is used of it.
        let held = held.map_or(of.hash.rows(), |rows| (*rows as usize).max(of.hash.rows()));
        let table = self.weight(TABLE, &[held, of.row])?;
        let embedded = self.op(Op::Embed {}, &[rows.into(), table.into()])?;
        let embedded = self.reshape(embedded, &[self.hp.embedding])?;
        Ok(self.builder.name(embedded, "ple_embd"))
    }

    /// The streams, and what the n-grams add to them: `[T, S, E], [T, E] -> [T, S, E]`.
    pub(super) fn add_ngrams(
        &mut self,
        x: Value,
        embedded: Value,
        (of, streams): (&Ngrams, Streams),
    ) -> Result<Value, LowerError> {
        let (count, width) = (streams.count, self.hp.embedding);
        let gated = self.gated_ngrams(x, embedded, streams)?;
        let normed = self.stream_norm(gated, &self.in_block("ple_norm_conv.weight"), streams)?;
        let normed = self.reshape(normed, &[count * width])?;
        let dilation = of.hash.multipliers.len();
        let window = TensorType::fixed(DType::F32, &[(of.taps - 1) * dilation, count * width]);
        let window = self.state("ngrams", StateType::Recurrent(window))?;
        let kernel = self.in_block("ple_conv1d.weight");
        let kernel = self.weight(&kernel, &[count * width, of.taps])?;
        let dilation = dilation as u32;
        let conv = Op::DilatedConv { dilation };
        let conv = self.op(conv, &[normed.into(), kernel.into(), window.into()])?;
        let conv = self.silu(conv)?;
        let conv = self.reshape(conv, &[count, width])?;
        self.name(conv, "ple_conv_out", "");
        let added = self.add(gated, conv)?;
        self.add(x, added)
    }

    /// A value for each stream, by how its key and query agree.
    fn gated_ngrams(
        &mut self,
        x: Value,
        embedded: Value,
        streams: Streams,
    ) -> Result<Value, LowerError> {
        let (count, width) = (streams.count, self.hp.embedding);
        let key = self.project(embedded, "ple_key.weight", count * width, width)?;
        let key = self.reshape(key, &[count, width])?;
        let value = self.project(embedded, "ple_value.weight", width, width)?;
        let key = self.stream_norm(key, &self.in_block("ple_norm_key.weight"), streams)?;
        let query = self.stream_norm(x, &self.in_block("ple_norm_query.weight"), streams)?;
        let products = self.mul(key, query)?;
        let dot = self.op(Op::RowSum {}, &[products.into()])?;
        let by = 1.0 / (width as f32).sqrt();
        let dot = self.op(Op::Scale { by }, &[dot.into()])?;
        let min = SMALLEST_AGREEMENT;
        let root = self.op(Op::SignedSqrt { min }, &[dot.into()])?;
        let gate = self.sigmoid(root)?;
        self.name(gate, "ple_gate", "");
        let value = self.streams(value, streams)?;
        let gated = self.mul(value, gate)?;
        Ok(self.name(gated, "ple_gated_value", ""))
    }
}
