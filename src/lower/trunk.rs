//! `@trunk`: token ids to hidden states and logits.

use sharpi_ir::{Builder, Graph, Op, Symbol, Symbols, Value, WeightId};

use crate::gguf::Gguf;

use super::context::{Context, Naming};
use super::{Hparams, LowerError, LowerOptions};

/// `(ids: i32[T], pos: i32[T], rows: i32[R]) -> (h: f32[T, E], logits: f32[R, V])`.
/// `rows` are the tokens of the run whose logits are wanted.
pub(super) fn lower(
    gguf: &Gguf,
    hp: &Hparams,
    options: &LowerOptions,
    symbols: &mut Symbols,
) -> Result<Graph, LowerError> {
    let mut cx = Context {
        gguf,
        hp,
        options,
        builder: Builder::new(symbols),
        block: 0,
        naming: Naming::Trunk,
    };
    cx.bounds();
    let ids = cx.input("ids", Symbol::TOKENS, None);
    let pos = cx.input("pos", Symbol::TOKENS, None);
    let rows = cx.input("rows", Symbol::ROWS, None);

    let table = cx.embedding_table()?;
    let mut x = cx.op(Op::Embed {}, &[ids.into(), table.into()])?;
    cx.builder.name(x, "model.input_embed");
    for (block, kind) in hp.blocks.iter().enumerate() {
        cx.block = block;
        x = cx.residual_block(x, pos, *kind)?;
    }
    let h = cx.rmsnorm(x, "output_norm.weight", hp.embedding)?;
    cx.builder.name(h, "h_nextn");
    let head = cx.head()?;
    let logits = cx.logits(h, rows, head, "result_norm")?;
    cx.builder.output("h", h);
    cx.builder.output("logits", logits);
    Ok(cx.builder.finish())
}

impl Context<'_, '_> {
    pub(super) fn embedding_table(&mut self) -> Result<WeightId, LowerError> {
        self.weight(
            "token_embd.weight",
            &[self.hp.vocabulary, self.hp.embedding],
        )
    }

    /// The output matrix; a file without one ties it to the embedding table.
    pub(super) fn head(&mut self) -> Result<WeightId, LowerError> {
        match self.has("output.weight") {
            true => self.weight("output.weight", &[self.hp.vocabulary, self.hp.embedding]),
            false => self.embedding_table(),
        }
    }

    /// Logits of the chosen rows of `h`.
    pub(super) fn logits(
        &mut self,
        h: Value,
        rows: Value,
        head: WeightId,
        chosen_name: &str,
    ) -> Result<Value, LowerError> {
        let chosen = self.op(Op::GetRows {}, &[h.into(), rows.into()])?;
        self.builder.name(chosen, chosen_name);
        let logits = self.op(Op::Matmul {}, &[chosen.into(), head.into()])?;
        Ok(self.builder.name(logits, "result_output"))
    }
}
