//! `@trunk`: token ids to hidden states and logits.

use sharpi_ir::{Dim, Graph, Sums, Symbol, Symbols, TensorType, Value};

use super::context::{Context, Naming, TOKEN_TABLE};
use super::source::Source;
use super::streams::{Mixer, Streams};
use super::{Hparams, LowerError, LowerOptions};

/// `(ids: index<V>[T], pos: position[T], rows: index<T>[R]) -> (h: f32[T, E], logits: f32[R, V])`,
/// with S residual streams `h: f32[T, S · E]`. `rows` are the tokens of the run whose logits are wanted.
/// Only a head takes `h`.
pub(super) fn lower(
    source: &Source,
    hp: &Hparams,
    options: &LowerOptions,
    symbols: &mut Symbols,
    head: bool,
) -> Result<Graph, LowerError> {
    let mut cx = Context::new(source, hp, options, symbols, Naming::Trunk);
    let (tokens, rows) = (Dim::Sym(Symbol::TOKENS), Dim::Sym(Symbol::ROWS));
    let ids = TensorType::index(hp.vocabulary, [tokens]);
    let ids = cx.builder.input("ids", ids);
    let pos = cx.builder.input("pos", TensorType::position([tokens]));
    let rows = cx.builder.input("rows", TensorType::index(tokens, [rows]));

    let x = cx.embed(ids, TOKEN_TABLE)?;
    cx.builder.name(x, hp.arch.family().names.embedding);
    let (last, h) = match hp.streams {
        None => {
            let h = one_stream(&mut cx, x, pos)?;
            (h, h)
        }
        Some(streams) => several_streams(&mut cx, (x, ids, pos), streams)?,
    };
    cx.builder.name(h, "h_nextn");
    // A file without an output matrix ties it to the embedding table.
    let matrix = cx.first_of(&["output.weight"], TOKEN_TABLE);
    if head {
        cx.builder.output("h", h);
    }
    cx.finish(last, ("result_norm", rows), (matrix, None))
}

/// All blocks and the last norm: `[T, E] -> [T, E]`.
fn one_stream(cx: &mut Context<'_, '_>, mut x: Value, pos: Value) -> Result<Value, LowerError> {
    for (block, kind) in cx.hp.blocks.iter().enumerate() {
        cx.block = block;
        x = cx.residual_block(x, pos, *kind)?;
    }
    cx.rmsnorm(x, "output_norm.weight", cx.hp.embedding)
}

/// All blocks around several streams, with what n-grams bring to them; the last mixer's result,
/// `[T, E]`, and the streams, `[T, S · E]`.
fn several_streams(
    cx: &mut Context<'_, '_>,
    (x, ids, pos): (Value, Value, Value),
    streams: Streams,
) -> Result<(Value, Value), LowerError> {
    let embedded = match &cx.hp.ngrams {
        Some(of) => Some((of, cx.ngrams(ids, of)?)),
        None => None,
    };
    let mut x = cx.streams(x, streams)?;
    cx.builder.name(x, "hc_init");
    for (block, kind) in cx.hp.blocks.iter().enumerate() {
        cx.block = block;
        if let Some((of, embedded)) = embedded.filter(|(of, _)| of.block == block) {
            x = cx.add_ngrams(x, embedded, (of, streams))?;
        }
        x = cx.stream_block(x, (pos, *kind), streams)?;
        cx.name(x, "l_last", "");
    }
    let h = cx.reshape(x, &[cx.hp.hidden()])?;
    let (last, _) = cx.mix_streams(x, Mixer::Last("output_hc", Sums::Rounded), streams)?;
    Ok((last, h))
}
