//! `@mtp`: the multi-token-prediction head, one attention block around the trunk's hidden states.

use sharpi_ir::{DType, Dim, Graph, Op, Sums, Symbol, Symbols, TensorType, Value};

use super::context::{Context, Naming, TOKEN_TABLE};
use super::source::Source;
use super::streams::{Mixer, Streams};
use super::{BlockKind, Hparams, LowerError, LowerOptions};

/// `(ids: index<N>[T], h: f32[T, E], pos: position[T], rows: index<T>[R]) -> (h_next: f32[T, E],
/// logits: f32[R, V])`, with S residual streams `h` and `h_next: f32[T, S · E]`.
/// Row p pairs token `x_p` with the trunk's hidden state of position `p-1` (zeros for position 0)
/// and predicts `x_{p+1}`, one of V ids, or of those that are drafted.
pub(super) fn lower(
    source: &Source,
    hp: &Hparams,
    options: &LowerOptions,
    symbols: &mut Symbols,
) -> Result<Graph, LowerError> {
    let mut cx = Context::new(source, hp, options, symbols, Naming::Mtp);
    let (tokens, rows) = (Dim::Sym(Symbol::TOKENS), Dim::Sym(Symbol::ROWS));
    let ids = TensorType::index(hp.vocabulary, [tokens]);
    let ids = cx.builder.input("ids", ids);
    let h = TensorType::new(DType::F32, [tokens, hp.hidden().into()]);
    let h = cx.builder.input("h", h);
    let pos = cx.builder.input("pos", TensorType::position([tokens]));
    let rows = cx.builder.input("rows", TensorType::index(tokens, [rows]));

    let width = hp.embedding;
    let own_table = cx.in_block("nextn.embed_tokens.weight");
    let e = cx.embed(ids, cx.first_of(&[&own_table], TOKEN_TABLE))?;
    cx.name(e, "", "mtp_tok_embd");
    let e = cx.rmsnorm(e, &cx.in_block("nextn.enorm.weight"), width)?;
    let (e, h, axis) = side_by_side(&mut cx, e, h)?;
    cx.name(e, "", "mtp_enorm");
    cx.name(h, "", "mtp_hnorm");
    // The embedding half comes first; swapped halves still run, and predict nothing.
    let joined = cx.op(Op::Concat { axis }, &[e.into(), h.into()])?;
    cx.name(joined, "", "mtp_concat");
    let eh_proj = cx.in_block("nextn.eh_proj.weight");
    let w = cx.weight(&eh_proj, &[width, 2 * width])?;
    let x = cx.op(Op::EhProj {}, &[joined.into(), w.into()])?;
    let x = cx.scaled(x, &eh_proj)?;
    cx.name(x, "", "mtp_eh_proj");

    let (last, h_next) = match hp.streams {
        None => {
            let h_next = one_stream(&mut cx, x, pos)?;
            (h_next, h_next)
        }
        Some(streams) => several_streams(&mut cx, x, pos, streams)?,
    };
    let own_head = cx.in_block("nextn.shared_head_head.weight");
    let head = cx.first_of(&[&own_head, "output.weight"], TOKEN_TABLE);
    let chosen = options.draft_vocabulary.as_ref();
    let ids = chosen.map(|ids| ids.rows(source.gguf(), hp)).transpose()?;
    let name = match hp.streams {
        None => "mtp_shared_head_norm",
        Some(_) => "result_norm",
    };
    cx.builder.output("h_next", h_next);
    cx.finish(last, (name, rows), (head, ids))
}

/// The normed embedding, for each stream if there are several, the normed hidden state, and the axis
/// along which they are joined.
fn side_by_side(
    cx: &mut Context<'_, '_>,
    e: Value,
    h: Value,
) -> Result<(Value, Value, u32), LowerError> {
    let (norm, width) = (cx.in_block("nextn.hnorm.weight"), cx.hp.embedding);
    let Some(streams) = cx.hp.streams else {
        return Ok((e, cx.rmsnorm(h, &norm, width)?, 1));
    };
    let h = cx.reshape(h, &[streams.count, width])?;
    let e = cx.streams(e, streams)?;
    Ok((e, cx.stream_norm(h, &norm, streams)?, 2))
}

/// The block and its norm: `[T, E] -> [T, E]`.
fn one_stream(cx: &mut Context<'_, '_>, x: Value, pos: Value) -> Result<Value, LowerError> {
    let x = cx.residual_block(x, pos, BlockKind::Attention)?;
    // What the head lacks it shares with the trunk.
    let own_norm = cx.in_block("nextn.shared_head_norm.weight");
    let norm = cx.first_of(&[&own_norm], "output_norm.weight");
    let h_next = cx.rmsnorm(x, norm, cx.hp.embedding)?;
    Ok(cx.builder.name(h_next, "h_nextn"))
}

/// The block around several streams: the last mixer's result, `[T, E]`, and the streams, `[T, S · E]`.
fn several_streams(
    cx: &mut Context<'_, '_>,
    x: Value,
    pos: Value,
    streams: Streams,
) -> Result<(Value, Value), LowerError> {
    let x = cx.stream_block(x, (pos, BlockKind::Attention), streams)?;
    cx.name(x, "", "hc_combine");
    let h_next = cx.reshape(x, &[cx.hp.hidden()])?;
    cx.name(h_next, "", "h_nextn");
    let own = cx.in_block("nextn.hc_head");
    let (last, _) = cx.mix_streams(x, Mixer::Last(&own, Sums::Fused), streams)?;
    Ok((last, h_next))
}
