//! `@mtp`: the multi-token-prediction head, one attention block around the trunk's hidden states.

use sharpi_ir::{DType, Dim, Graph, Op, Symbol, Symbols, TensorType};

use super::context::{Context, Naming, TOKEN_TABLE};
use super::source::Source;
use super::{BlockKind, Hparams, LowerError, LowerOptions};

/// `(ids: index<N>[T], h: f32[T, E], pos: position[T], rows: index<T>[R]) -> (h_next: f32[T, E],
/// logits: f32[R, V])`.
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
    let h = TensorType::new(DType::F32, [tokens, hp.embedding.into()]);
    let h = cx.builder.input("h", h);
    let pos = cx.builder.input("pos", TensorType::position([tokens]));
    let rows = cx.builder.input("rows", TensorType::index(tokens, [rows]));

    let width = hp.embedding;
    let own_table = cx.in_block("nextn.embed_tokens.weight");
    let e = cx.embed(ids, cx.first_of(&[&own_table], TOKEN_TABLE))?;
    cx.name(e, "", "mtp_tok_embd");
    let e = cx.rmsnorm(e, &cx.in_block("nextn.enorm.weight"), width)?;
    cx.name(e, "", "mtp_enorm");
    let h = cx.rmsnorm(h, &cx.in_block("nextn.hnorm.weight"), width)?;
    cx.name(h, "", "mtp_hnorm");
    // The embedding half comes first; swapped halves still run, and predict nothing.
    let joined = cx.op(Op::Concat { axis: 1 }, &[e.into(), h.into()])?;
    cx.name(joined, "", "mtp_concat");
    let eh_proj = cx.in_block("nextn.eh_proj.weight");
    let w = cx.weight(&eh_proj, &[width, 2 * width])?;
    let x = cx.op(Op::EhProj {}, &[joined.into(), w.into()])?;
    let x = cx.scaled(x, &eh_proj)?;
    cx.name(x, "", "mtp_eh_proj");

    let x = cx.residual_block(x, pos, BlockKind::Attention)?;
    // What the head lacks it shares with the trunk.
    let own_norm = cx.in_block("nextn.shared_head_norm.weight");
    let h_next = cx.rmsnorm(x, cx.first_of(&[&own_norm], "output_norm.weight"), width)?;
    cx.builder.name(h_next, "h_nextn");
    let own_head = cx.in_block("nextn.shared_head_head.weight");
    let head = cx.first_of(&[&own_head, "output.weight"], TOKEN_TABLE);
    let chosen = options.draft_vocabulary.as_ref();
    let ids = chosen.map(|ids| ids.rows(source.gguf(), hp)).transpose()?;
    let chosen = ("mtp_shared_head_norm", rows);
    cx.builder.output("h_next", h_next);
    cx.finish(h_next, chosen, (head, ids))
}
