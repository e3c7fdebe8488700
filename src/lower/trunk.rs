//! `@trunk`: token ids to hidden states and logits.

use sharpi_ir::{Graph, Symbol, Symbols};

use super::context::{Context, Naming, TOKEN_TABLE};
use super::source::Source;
use super::{Hparams, LowerError, LowerOptions};

/// `(ids: i32[T], pos: i32[T], rows: i32[R]) -> (h: f32[T, E], logits: f32[R, V])`.
/// `rows` are the tokens of the run whose logits are wanted. Only a head takes `h`.
pub(super) fn lower(
    source: &Source,
    hp: &Hparams,
    options: &LowerOptions,
    symbols: &mut Symbols,
    head: bool,
) -> Result<Graph, LowerError> {
    let mut cx = Context::new(source, hp, options, symbols, Naming::Trunk);
    let ids = cx.input("ids", Symbol::TOKENS, None);
    let pos = cx.input("pos", Symbol::TOKENS, None);
    let rows = cx.input("rows", Symbol::ROWS, None);

    let mut x = cx.embed(ids, TOKEN_TABLE)?;
    cx.builder.name(x, "model.input_embed");
    for (block, kind) in hp.blocks.iter().enumerate() {
        cx.block = block;
        x = cx.residual_block(x, pos, *kind)?;
    }
    let h = cx.rmsnorm(x, "output_norm.weight", hp.embedding)?;
    cx.builder.name(h, "h_nextn");
    // A file without an output matrix ties it to the embedding table.
    let matrix = cx.first_of(&["output.weight"], TOKEN_TABLE);
    if head {
        cx.builder.output("h", h);
    }
    cx.finish(h, ("result_norm", rows), (matrix, None))
}
