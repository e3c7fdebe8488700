//! `@mtp`: the multi-token-prediction head, one attention block around the trunk's hidden states.

use sharpi_ir::{DType, Dim, Graph, Op, Sums, Symbol, Symbols, TensorType};

use super::context::{Context, Naming, TOKEN_TABLE};
use super::source::Source;
use super::streams::Mixer;
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
    let hnorm = cx.in_block("nextn.hnorm.weight");
    let (e, h, axis) = match hp.streams {
        None => (e, cx.rmsnorm(h, &hnorm, width)?, 1),
        Some(streams) => {
            let h = cx.reshape(h, &[streams.count, width])?;
            (
                cx.streams(e, streams)?,
                cx.stream_norm(h, &hnorm, streams)?,
                2,
            )
        }
    };
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

    let kind = BlockKind::Attention;
    let (last, h_next) = match hp.streams {
        None => {
            let x = cx.residual_block(x, pos, kind)?;
            // What the head lacks it shares with the trunk.
            let own_norm = cx.in_block("nextn.shared_head_norm.weight");
            let h_next = cx.rmsnorm(x, cx.first_of(&[&own_norm], "output_norm.weight"), width)?;
            cx.builder.name(h_next, "h_nextn");
            (h_next, h_next)
        }
        Some(streams) => {
            let x = cx.stream_block(x, (pos, kind), streams)?;
            cx.name(x, "", "hc_combine");
            let h_next = cx.reshape(x, &[hp.hidden()])?;
            cx.name(h_next, "", "h_nextn");
            let own = cx.in_block("nextn.hc_head");
            let (last, _) = cx.mix_streams(x, Mixer::Last(&own, Sums::Fused), streams)?;
            (last, h_next)
        }
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
