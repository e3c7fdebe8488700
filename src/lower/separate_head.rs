//! A head that comes in a file of its own, as llama.cpp's converter writes it with `--mtp`: the
//! metadata of the whole model, its embedding table, output norm and output matrix, and of the
//! blocks only the head.

use std::fmt::Debug;

use crate::gguf::{Gguf, Value};

use super::source::Source;
use super::{Hparams, LowerError};

const TOKENS: &str = "tokenizer.ggml.tokens";

/// The model with the head of another file in the place of its own, if it has one.
///
/// # Errors
/// A model that cannot be read, a second file without a head, or one whose sizes, constants or
/// vocabulary are others.
pub(crate) fn with_head(mut model: Gguf, head: Gguf) -> Result<Gguf, LowerError> {
    let model_hp = Hparams::of(&Source::new(&model))?;
    let head_hp = Hparams::of_any(&Source::new(&head))?;
    let from = head_hp.mtp_block().ok_or(LowerError::NoHead)?;
    check_sizes(&model_hp, &head_hp)?;
    check_vocabularies(&model, &head)?;
    let to = model_hp.blocks.len();
    let moved = moved_tensors(&model, &head, from, to);
    let own = format!("blk.{to}.");
    model.remove_tensors(|name| name.starts_with(&own));
    let arch = model_hp.arch.name();
    model.set(format!("{arch}.block_count"), Value::U32(to as u32 + 1));
    model.set(format!("{arch}.nextn_predict_layers"), Value::U32(1));
    model.adopt(head, &moved);
    Ok(model)
}

fn check_sizes(model: &Hparams, head: &Hparams) -> Result<(), LowerError> {
    check("the architecture", model.arch.name(), head.arch.name())?;
    check("the width", model.embedding, head.embedding)?;
    check(
        "the size of the vocabulary",
        model.vocabulary,
        head.vocabulary,
    )?;
    check("the residual streams", model.streams, head.streams)?;
    check("the number of query heads", model.heads, head.heads)?;
    check(
        "the number of key-value heads",
        model.kv_heads,
        head.kv_heads,
    )?;
    check("the size of a head", model.head_dim, head.head_dim)?;
    check("the number of rotated elements", model.n_rot, head.n_rot)?;
    check("RoPE's frequency base", model.freq_base, head.freq_base)?;
    check("the norms' epsilon", model.rms_eps, head.rms_eps)?;
    check("the feed-forward width", model.ffn_width, head.ffn_width)?;
    check("the experts", model.experts, head.experts)
}

fn check<T: PartialEq + Debug>(what: &'static str, model: T, head: T) -> Result<(), LowerError> {
    match model == head {
        true => Ok(()),
        false => Err(LowerError::HeadMismatch {
            what,
            head: format!("{head:?}"),
            model: format!("{model:?}"),
        }),
    }
}

/// Two models of one shape may still number their tokens differently.
fn check_vocabularies(model: &Gguf, head: &Gguf) -> Result<(), LowerError> {
    let texts = |gguf: &Gguf| {
        let tokens = gguf.get(TOKENS).and_then(Value::as_array);
        tokens.and_then(|array| array.as_strs().map(<[String]>::to_vec))
    };
    let (Some(model), Some(head)) = (texts(model), texts(head)) else {
        return Ok(());
    };
    check("the number of tokens", model.len(), head.len())?;
    let differs = model.iter().zip(&head).find(|(a, b)| a != b);
    differs.map_or(Ok(()), |(a, b)| check("a token", a, b))
}

/// The head's tensors with the names they get: those of its block, and what it brings of what it
/// would else share with the trunk, where that is not the same.
fn moved_tensors(model: &Gguf, head: &Gguf, from: usize, to: usize) -> Vec<(String, String)> {
    let (own, new) = (format!("blk.{from}."), format!("blk.{to}."));
    let block = head.tensors().keys().filter_map(|name| {
        let rest = name.strip_prefix(&own)?;
        Some((name.clone(), format!("{new}{rest}")))
    });
    let mut moved: Vec<_> = block.collect();
    let table = ["token_embd.weight"].as_slice();
    let shared = [
        (table, "embed_tokens.weight"),
        (&["output_norm.weight"], "shared_head_norm.weight"),
        (
            &["output.weight", "token_embd.weight"],
            "shared_head_head.weight",
        ),
    ];
    for (names, nextn) in shared {
        let (has_own, name) = (format!("{own}nextn.{nextn}"), format!("{new}nextn.{nextn}"));
        let first = |gguf: &Gguf| {
            let found = names.iter().find(|name| gguf.tensor(name).is_some());
            found.copied()
        };
        if head.tensor(&has_own).is_none()
            && let (Some(theirs), Some(ours)) = (first(head), first(model))
            && !same(model, ours, head, theirs)
        {
            moved.push((theirs.into(), name));
        }
    }
    moved
}

/// Whether two tensors are the same bytes.
fn same(a: &Gguf, name_a: &str, b: &Gguf, name_b: &str) -> bool {
    match (a.tensor(name_a), b.tensor(name_b)) {
        (Some(x), Some(y)) => x.ty == y.ty && x.dims == y.dims && a.data(x) == b.data(y),
        _ => false,
    }
}
