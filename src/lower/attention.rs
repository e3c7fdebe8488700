//! Full attention with grouped query heads; norms of queries and keys, an output gate, biases and
//! partial RoPE as the architecture has them.

use sharpi_ir::{Op, Operand, StateType, Value};

use super::LowerError;
use super::arch::{AttentionKind, Norms};
use super::context::Context;

impl Context<'_, '_> {
    /// `norm: [T, E] -> [T, E]`; reads and extends the block's KV cache.
    pub(super) fn attention(&mut self, norm: Value, pos: Value) -> Result<Value, LowerError> {
        let (heads, kv_heads, dim) = (self.hp.heads, self.hp.kv_heads, self.hp.head_dim);
        let width = self.hp.embedding;

        let [q, k, v] = self.queries_keys_values(norm)?;
        let (q, gate) = self.query_heads(q)?;
        self.name(k, "Kcur", "Kcur");
        let k = self.reshape(k, &[kv_heads, dim])?;
        self.name(v, "Vcur", "Vcur");
        let v = self.reshape(v, &[kv_heads, dim])?;
        self.name(v, "", "mtp_Vcur");

        let q = self.head_norm(q, "q")?;
        self.name(q, "Qcur_normed", "mtp_Qcur_normed");
        let k = self.head_norm(k, "k")?;
        self.name(k, "Kcur_normed", "mtp_Kcur_normed");
        let q = self.rope(q, pos, ("Qcur", "mtp_Qcur"))?;
        let k = self.rope(k, pos, ("Kcur", "mtp_Kcur"))?;

        let cache = self.state(
            "kv",
            StateType::Kv {
                k: self.options.cache_k,
                v: self.options.cache_v,
                heads: kv_heads,
                dim,
            },
        )?;
        let store = [k.into(), v.into(), pos.into(), cache.into()];
        self.builder.op(Op::KvStore {}, &store)?;
        let scale = self.hp.attention_scale;
        let blocks = self.chosen_blocks(norm, pos)?;
        let pool = blocks.map(|(_, pool)| pool);
        let mut operands: Vec<Operand> = vec![q.into(), pos.into(), cache.into()];
        operands.extend(blocks.map(|(blocks, _)| Operand::from(blocks)));
        let mixed = self.op(Op::Attention { scale, pool }, &operands)?;
        let mixed = self.reshape(mixed, &[heads * dim])?;
        let (mixed, name) = match gate {
            Some(gate) => (self.gated_result(mixed, gate)?, "attn_output"),
            None => (self.name(mixed, "kqv_out", "kqv_out"), "attn_out"),
        };
        let out = self.project(mixed, "attn_output.weight", width, heads * dim)?;
        Ok(self.name(out, name, "mtp_attn_out"))
    }

    /// The heads of the queries, and of their gates, if each is [query ‖ gate].
    fn query_heads(&mut self, q: Value) -> Result<(Value, Option<Value>), LowerError> {
        let (heads, dim) = (self.hp.heads, self.hp.head_dim);
        if !self.attention_kind().output_gate {
            self.name(q, "Qcur", "Qcur");
            return Ok((self.reshape(q, &[heads, dim])?, None));
        }
        self.name(q, "Qcur_full", "mtp_Qcur_full");
        let q_heads = self.reshape(q, &[heads, 2 * dim])?;
        let [q, gate] = self.split(q_heads, 2, [dim, dim])?;
        self.name(q, self.hp.arch.family().names.query, "");
        Ok((q, Some(gate)))
    }

    /// The result of attention times the sigmoid of its gate.
    fn gated_result(&mut self, mixed: Value, gate: Value) -> Result<Value, LowerError> {
        let width = self.hp.heads * self.hp.head_dim;
        self.name(mixed, "attn_pregate", "mtp_attn_pregate");
        let gate = self.reshape(gate, &[width])?;
        self.name(gate, self.hp.arch.family().names.gate, "mtp_gate");
        let gate = self.sigmoid(gate)?;
        self.name(gate, "gate_sigmoid", "");
        let gated = self.mul(mixed, gate)?;
        Ok(self.name(gated, "attn_gated", ""))
    }

    fn attention_kind(&self) -> &'static AttentionKind {
        &self.hp.arch.family().attention
    }

    /// The norm by heads of queries or keys, if they have one.
    fn head_norm(&mut self, heads: Value, of: &str) -> Result<Value, LowerError> {
        let weight = self.in_block(&format!("attn_{of}_norm.weight"));
        let normed = match self.attention_kind().norms {
            Norms::Never => false,
            Norms::Always => true,
            Norms::IfThere => self.has(&weight),
        };
        match normed {
            true => self.rmsnorm(heads, &weight, self.hp.head_dim),
            false => Ok(heads),
        }
    }

    /// By a matrix each, or by one for all with their biases apart or as one.
    fn queries_keys_values(&mut self, norm: Value) -> Result<[Value; 3], LowerError> {
        let (dim, width) = (self.hp.head_dim, self.hp.embedding);
        let kv = self.hp.kv_heads * dim;
        let parts = match self.attention_kind().output_gate {
            true => 2,
            false => 1,
        };
        let sizes = [parts * self.hp.heads * dim, kv, kv];
        let names = ["attn_q", "attn_k", "attn_v"];
        let mut parts = Vec::new();
        if self.has(&self.in_block("attn_qkv.weight")) {
            let all = self.project(norm, "attn_qkv.weight", sizes.iter().sum(), width)?;
            let split = self.split(all, 1, sizes)?;
            for ((part, name), size) in split.into_iter().zip(names).zip(sizes) {
                let bias = self.in_block(&format!("{name}.bias"));
                parts.push(self.biased(part, &bias, size)?);
            }
        } else {
            for (name, size) in names.into_iter().zip(sizes) {
                parts.push(self.project(norm, &format!("{name}.weight"), size, width)?);
            }
        }
        Ok([parts[0], parts[1], parts[2]])
    }

    fn rope(
        &mut self,
        x: Value,
        pos: Value,
        (trunk, mtp): (&str, &str),
    ) -> Result<Value, LowerError> {
        if !self.hp.turns(self.block) {
            return Ok(x);
        }
        let op = Op::Rope {
            n_rot: self.hp.n_rot as u32,
            freq_base: self.hp.freq_base,
            scaling: self.hp.rope_scaling.clone(),
        };
        let turned = self.op(op, &[x.into(), pos.into()])?;
        Ok(self.name(turned, trunk, mtp))
    }
}
