//! What the lowering of a block works with: the builder, the file's tensors, the names.

use sharpi_ir::{
    Builder, DType, Graph, Op, Operand, RowSet, StateId, StateType, Symbol, Symbols, TensorType,
    Value, Weight, WeightId,
};

use super::source::Source;
use super::{Hparams, LowerError, LowerOptions};

/// The embedding table, which is the head as well where a file has no other.
pub(super) const TOKEN_TABLE: &str = "token_embd.weight";

/// Which graph is being lowered: the reference names the same tensor differently in the two.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Naming {
    Trunk,
    Mtp,
}

/// Lowers one graph.
pub(super) struct Context<'g, 'm> {
    pub(super) source: &'g Source<'g>,
    pub(super) hp: &'g Hparams,
    pub(super) options: &'g LowerOptions,
    pub(super) builder: Builder<'m>,
    /// Block being lowered, as in `blk.N.`.
    pub(super) block: usize,
    pub(super) naming: Naming,
}

impl<'g, 'm> Context<'g, 'm> {
    /// Begins a graph with its bounds declared.
    pub(super) fn new(
        source: &'g Source<'g>,
        hp: &'g Hparams,
        options: &'g LowerOptions,
        symbols: &'m mut Symbols,
        naming: Naming,
    ) -> Context<'g, 'm> {
        let mut builder = Builder::new(symbols);
        builder.bound(Symbol::TOKENS, 1..=options.max_tokens);
        builder.bound(Symbol::ROWS, 0..=options.max_rows);
        let block = match naming {
            Naming::Trunk => 0,
            Naming::Mtp => hp.blocks.len(),
        };
        Context {
            source,
            hp,
            options,
            builder,
            block,
            naming,
        }
    }

    /// Ends a graph: logits of the chosen rows of `h` by the matrix `head`, for all ids or some, the
    /// last output.
    pub(super) fn finish(
        mut self,
        h: Value,
        (chosen_name, rows): (&str, Value),
        (head, ids): (&str, Option<RowSet>),
    ) -> Result<Graph, LowerError> {
        let matrix = match ids {
            None => self.vocabulary_matrix(head)?,
            Some(ids) => self.rows_of_vocabulary_matrix(head, ids)?,
        };
        let chosen = self.op(Op::GetRows {}, &[h.into(), rows.into()])?;
        self.builder.name(chosen, chosen_name);
        let mut logits = self.op(Op::Matmul {}, &[chosen.into(), matrix.into()])?;
        // An embedding table that is also the head has no scale as such.
        if head != TOKEN_TABLE {
            logits = self.scaled(logits, head)?;
        }
        if self.hp.logit_scale != 1.0 {
            let by = self.hp.logit_scale;
            logits = self.op(Op::Scale { by }, &[logits.into()])?;
        }
        self.builder.name(logits, "result_output");
        self.builder.output("logits", logits);
        Ok(self.builder.finish())
    }

    /// Embeddings of token ids by the matrix `table`.
    pub(super) fn embed(&mut self, ids: Value, table: &str) -> Result<Value, LowerError> {
        let table = self.vocabulary_matrix(table)?;
        self.op(Op::Embed {}, &[ids.into(), table.into()])
    }

    fn vocabulary_matrix(&mut self, tensor: &str) -> Result<WeightId, LowerError> {
        self.weight(tensor, &[self.hp.vocabulary, self.hp.embedding])
    }

    /// A weight beside the whole matrix, with the rows of some ids.
    fn rows_of_vocabulary_matrix(
        &mut self,
        tensor: &str,
        ids: RowSet,
    ) -> Result<WeightId, LowerError> {
        let width = self.hp.embedding;
        let whole = self.declared(tensor, &[self.hp.vocabulary, width], false)?;
        let weight = Weight {
            ty: TensorType::fixed(whole.ty.dtype, &[ids.len(), width]),
            rows: Some(ids),
            ..whole
        };
        let symbol = format!("{}.drafted", symbol(tensor));
        Ok(self.builder.symbols().weight(&symbol, weight)?)
    }

    /// The first of these tensors that the file has; the last if it has none, which then is
    /// missed.
    pub(super) fn first_of<'n>(&self, tensors: &[&'n str], last: &'n str) -> &'n str {
        let mut found = tensors.iter().filter(|name| self.has(name));
        found.next().copied().unwrap_or(last)
    }

    /// Adds an op of one result.
    pub(super) fn op(&mut self, op: Op, operands: &[Operand]) -> Result<Value, LowerError> {
        Ok(self.builder.value(op, operands)?)
    }

    /// Names a value `trunk-N` or `mtp-N` after the block; an empty name leaves it unnamed.
    pub(super) fn name(&mut self, v: Value, trunk: &str, mtp: &str) -> Value {
        let as_trunk = self.hp.arch.family().names.head_as_trunk && !trunk.is_empty();
        let name = match self.naming {
            Naming::Mtp if !as_trunk => mtp,
            Naming::Trunk | Naming::Mtp => trunk,
        };
        match name {
            "" => v,
            name => self.builder.name(v, format!("{name}-{}", self.block)),
        }
    }

    /// A tensor of the block: `blk.N.` before its name.
    pub(super) fn in_block(&self, name: &str) -> String {
        format!("blk.{}.{name}", self.block)
    }

    /// Whether the file has the tensor.
    pub(super) fn has(&self, tensor: &str) -> bool {
        self.source.has(tensor)
    }

    /// A matrix or stack of matrices for a matmul or an embedding: `dims` slowest first.
    pub(super) fn weight(&mut self, tensor: &str, dims: &[usize]) -> Result<WeightId, LowerError> {
        self.declare(tensor, dims, false)
    }

    /// A vector or table that elementwise ops read: always f32.
    pub(super) fn weight_f32(
        &mut self,
        tensor: &str,
        dims: &[usize],
    ) -> Result<WeightId, LowerError> {
        self.declare(tensor, dims, true)
    }

    /// As [`Context::weight_f32`] of a tensor that may be written as one vector.
    pub(super) fn flat_weight_f32(
        &mut self,
        tensor: &str,
        dims: &[usize],
    ) -> Result<WeightId, LowerError> {
        let all = dims.iter().product();
        let flat = (self.source.tensor(tensor)).is_some_and(|info| info.dims == [all as u64]);
        if !flat {
            return self.weight_f32(tensor, dims);
        }
        let mut weight = self.declared(tensor, &[all], true)?;
        weight.ty = TensorType::fixed(weight.ty.dtype, dims);
        Ok(self.builder.symbols().weight(symbol(tensor), weight)?)
    }

    fn declare(
        &mut self,
        tensor: &str,
        dims: &[usize],
        only_f32: bool,
    ) -> Result<WeightId, LowerError> {
        let weight = self.declared(tensor, dims, only_f32)?;
        Ok(self.builder.symbols().weight(symbol(tensor), weight)?)
    }

    /// What is to be declared, once the file is known to hold it.
    fn declared(&self, tensor: &str, dims: &[usize], only_f32: bool) -> Result<Weight, LowerError> {
        let expected: Vec<u64> = dims.iter().rev().map(|&n| n as u64).collect();
        let Some(info) = self.source.tensor(tensor) else {
            return Err(LowerError::MissingTensor {
                name: tensor.into(),
                expected: format!("{expected:?}"),
            });
        };
        // GGUF may leave out or write trailing dimensions of 1.
        let significant = |dims: &[u64]| {
            let ones = dims.iter().rev().take_while(|&&n| n == 1).count();
            dims[..dims.len() - ones].to_vec()
        };
        if significant(&info.dims) != significant(&expected) {
            return Err(LowerError::TensorShape {
                name: tensor.into(),
                found: info.dims.clone(),
                expected: format!("{expected:?}"),
            });
        }
        let accepted: Vec<DType> = (DType::ALL.into_iter())
            .filter(|d| d.activation().is_some() && (*d == DType::F32 || !only_f32))
            .collect();
        let dtype = DType::from_name(&info.ty.name().to_lowercase());
        let Some(dtype) = dtype.filter(|d| accepted.contains(d)) else {
            let names: Vec<String> = accepted.iter().map(|d| d.name().to_uppercase()).collect();
            return Err(LowerError::TensorType {
                name: tensor.into(),
                found: info.ty.name().into(),
                supported: names.join(", "),
            });
        };
        Ok(Weight {
            ty: TensorType::fixed(dtype, dims),
            source: tensor.into(),
            rows: None,
        })
    }

    /// A state of the block.
    pub(super) fn state(&mut self, name: &str, ty: StateType) -> Result<StateId, LowerError> {
        let name = self.in_block(name);
        Ok(self.builder.symbols().state(&name, ty)?)
    }

    /// RMSNorm with a weight vector of that name.
    pub(super) fn rmsnorm(
        &mut self,
        x: Value,
        tensor: &str,
        width: usize,
    ) -> Result<Value, LowerError> {
        let w = self.weight_f32(tensor, &[width])?;
        let eps = self.hp.rms_eps;
        self.op(Op::Rmsnorm { eps }, &[x.into(), w.into()])
    }

    pub(super) fn add(&mut self, a: Value, b: Value) -> Result<Value, LowerError> {
        self.op(Op::Add {}, &[a.into(), b.into()])
    }

    pub(super) fn mul(&mut self, a: Value, b: Value) -> Result<Value, LowerError> {
        self.op(Op::Mul {}, &[a.into(), b.into()])
    }

    pub(super) fn silu(&mut self, x: Value) -> Result<Value, LowerError> {
        self.op(Op::Silu {}, &[x.into()])
    }

    pub(super) fn sigmoid(&mut self, x: Value) -> Result<Value, LowerError> {
        self.op(Op::Sigmoid {}, &[x.into()])
    }

    /// The same elements as `dims` after the token axis.
    pub(super) fn reshape(&mut self, x: Value, dims: &[usize]) -> Result<Value, LowerError> {
        let dims = dims.iter().map(|&n| n as u32).collect();
        self.op(Op::Reshape { dims }, &[x.into()])
    }

    /// Parts of `x` along `axis`.
    pub(super) fn split<const N: usize>(
        &mut self,
        x: Value,
        axis: u32,
        sizes: [usize; N],
    ) -> Result<[Value; N], LowerError> {
        let op = Op::Split {
            axis,
            sizes: sizes.iter().map(|&n| n as u32).collect(),
        };
        let node = self.builder.op(op, &[x.into()])?;
        Ok(std::array::from_fn(|i| Value {
            node,
            result: i as u16,
        }))
    }

    /// What a block does first, mixing tokens: `norm: [T, E] -> [T, E]`.
    pub(super) fn mixer(
        &mut self,
        norm: Value,
        pos: Value,
        kind: super::BlockKind,
    ) -> Result<Value, LowerError> {
        let recurrent = self.hp.deltanet.zip(self.hp.arch.family().recurrent);
        match (kind, recurrent) {
            (super::BlockKind::DeltaNet, Some(of)) => self.deltanet(norm, of),
            _ => self.attention(norm, pos),
        }
    }

    /// What it does then, token by token.
    pub(super) fn feed_forward(&mut self, norm: Value) -> Result<Value, LowerError> {
        match self.hp.experts_of(self.block) {
            None => self.dense_ffn(norm),
            Some(experts) => self.moe_ffn(norm, experts),
        }
    }

    /// Norm, mixer, residual, norm, feed-forward, residual around one block.
    pub(super) fn residual_block(
        &mut self,
        x: Value,
        pos: Value,
        kind: super::BlockKind,
    ) -> Result<Value, LowerError> {
        let width = self.hp.embedding;
        let names = &self.hp.arch.family().names;
        let norm = self.rmsnorm(x, &self.in_block("attn_norm.weight"), width)?;
        let norm = self.name(norm, "attn_norm", "mtp_attn_norm");
        let mixed = self.mixer(norm, pos, kind)?;
        let x = self.add(x, mixed)?;
        self.name(x, names.residual.0, names.residual.1);
        let norm = self.rmsnorm(x, &self.in_block(names.post_norm), width)?;
        self.name(norm, names.normed.0, names.normed.1);
        let ffn = self.feed_forward(norm)?;
        let x = self.add(x, ffn)?;
        Ok(self.name(x, "l_out", "mtp_post_ffn"))
    }
}

/// What a tensor is called among the symbols.
fn symbol(tensor: &str) -> &str {
    tensor.strip_suffix(".weight").unwrap_or(tensor)
}
