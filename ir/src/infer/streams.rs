//! Shape rules of residual streams, and of the n-grams that come to them.

use super::convolution::channels;
use super::{Args, Result, ResultTypes, one};
use crate::ngram::NgramHash;
use crate::op::slot;
use crate::signature::SlotName;
use crate::types::{DType, Dim, Index, StateType, TensorType};

/// States hold ids, each plus one, as f32, which holds whole numbers up to this one without a gap.
const MOST_IDS: usize = 1 << f32::MANTISSA_DIGITS;

/// One stream or more of a token.
fn of_streams<'a>(a: &Args<'a>, name: SlotName) -> Result<&'a TensorType> {
    let (count, _) = a.heads(name)?;
    match count {
        0 => a.mismatch(name, "f32[T, S, E] of one stream or more"),
        _ => Ok(a.tensor(name)),
    }
}

pub(super) fn streams(a: &Args, count: usize) -> Result<ResultTypes> {
    use slot::Streams::x;
    let given = a.f32(x, 2)?;
    let [tokens, width] = given.shape[..] else {
        return a.mismatch(x, "f32[T, E] for one stream or more");
    };
    if count == 0 {
        return a.mismatch(x, "f32[T, E] for one stream or more");
    }
    let dims = [tokens, Dim::Fixed(count), width];
    one(TensorType::new(DType::F32, dims))
}

pub(super) fn mix(a: &Args) -> Result<ResultTypes> {
    use slot::StreamMix::{gate, x};
    let streams = of_streams(a, x)?;
    a.exactly(gate, streams)?;
    let dims = [streams.shape[0], streams.shape[2]];
    one(TensorType::new(DType::F32, dims))
}

pub(super) fn add(a: &Args) -> Result<ResultTypes> {
    use slot::StreamAdd::{inject, streams, x};
    let given = of_streams(a, streams)?;
    let [tokens, count, width] = given.shape[..] else {
        return a.mismatch(streams, "f32[T, S, E]");
    };
    let of = |last| TensorType::new(DType::F32, [tokens, last]);
    a.exactly(x, &of(width))?;
    a.exactly(inject, &of(count))?;
    one(given.clone())
}

pub(super) fn gate(a: &Args) -> Result<ResultTypes> {
    use slot::StreamGate::{key, query, value};
    let keys = of_streams(a, key)?;
    a.exactly(query, keys)?;
    let row = TensorType::new(DType::F32, [keys.shape[0], keys.shape[2]]);
    a.exactly(value, &row)?;
    one(keys.clone())
}

pub(super) fn conv(a: &Args, dilation: usize) -> Result<ResultTypes> {
    use slot::StreamConv::{gated, streams as to, weight, window, x};
    let all_channels = channels(a, (x, weight, window), dilation)?;
    let (count, width) = a.heads(to)?;
    let streams = a.tensor(to);
    let all = count.checked_mul(width) == Some(all_channels);
    if !all || streams.shape[0] != a.tensor(x).shape[0] {
        return a.mismatch(to, &format!("streams of {all_channels} elements a token"));
    }
    a.exactly(gated, streams)?;
    one(streams.clone())
}

pub(super) fn ngram_rows(a: &Args, hash: &NgramHash) -> Result<ResultTypes> {
    use slot::NgramRows::{ids, window};
    if let Some(fault) = hash.fault() {
        fail!("{fault}");
    }
    let given = a.tensor(ids);
    let (1, Some(Index::Below(Dim::Fixed(..=MOST_IDS)))) = (given.rank(), given.index) else {
        let expected = format!("index<tokens of a vocabulary of {MOST_IDS} or fewer>[T]");
        return a.mismatch(ids, &expected);
    };
    let kept = TensorType::fixed(DType::F32, &[hash.before()]);
    if *a.state(window) != StateType::Recurrent(kept.clone()) {
        return a.mismatch(window, &kept.to_string());
    }
    let heads = Dim::Fixed(hash.sizes.len());
    one(TensorType::index(hash.rows(), [given.shape[0], heads]))
}
