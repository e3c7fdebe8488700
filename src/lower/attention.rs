//! Full attention with an output gate, grouped query heads and partial RoPE.

use sharpi_ir::{Op, StateType, Value};

use super::LowerError;
use super::context::Context;

impl Context<'_, '_> {
    /// `norm: [T, E] -> [T, E]`; reads and extends the block's KV cache.
    pub(super) fn attention(&mut self, norm: Value, pos: Value) -> Result<Value, LowerError> {
        let (heads, kv_heads, dim) = (self.hp.heads, self.hp.kv_heads, self.hp.head_dim);
        let width = self.hp.embedding;

        // Each head of the queries is [query ‖ gate].
        let [q_full, k, v] = self.queries_keys_values(norm)?;
        self.name(q_full, "Qcur_full", "mtp_Qcur_full");
        let q_heads = self.reshape(q_full, &[heads, 2 * dim])?;
        let [q, gate] = self.split(q_heads, 2, [dim, dim])?;
        self.name(q, "Qcur_reshaped", "");

        self.name(k, "Kcur", "");
        let k = self.reshape(k, &[kv_heads, dim])?;
        self.name(v, "Vcur", "mtp_Vcur");
        let v = self.reshape(v, &[kv_heads, dim])?;

        let q = self.rmsnorm(q, &self.in_block("attn_q_norm.weight"), dim)?;
        self.name(q, "Qcur_normed", "mtp_Qcur_normed");
        let k = self.rmsnorm(k, &self.in_block("attn_k_norm.weight"), dim)?;
        self.name(k, "Kcur_normed", "mtp_Kcur_normed");
        let q = self.rope(q, pos, "Qcur")?;
        let k = self.rope(k, pos, "Kcur")?;

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
        let mixed = self.op(
            Op::Attention { scale },
            &[q.into(), pos.into(), cache.into()],
        )?;
        let mixed = self.reshape(mixed, &[heads * dim])?;
        self.name(mixed, "attn_pregate", "mtp_attn_pregate");

        let gate = self.reshape(gate, &[heads * dim])?;
        self.name(gate, "gate_reshaped", "mtp_gate");
        let gate = self.sigmoid(gate)?;
        self.name(gate, "gate_sigmoid", "");
        let gated = self.mul(mixed, gate)?;
        self.name(gated, "attn_gated", "");
        let out = self.project(gated, "attn_output.weight", width, heads * dim)?;
        Ok(self.name(out, "attn_output", "mtp_attn_out"))
    }

    /// By a matrix each, or by one for all with their biases apart or as one.
    fn queries_keys_values(&mut self, norm: Value) -> Result<[Value; 3], LowerError> {
        let (dim, width) = (self.hp.head_dim, self.hp.embedding);
        let kv = self.hp.kv_heads * dim;
        let sizes = [2 * self.hp.heads * dim, kv, kv];
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

    fn rope(&mut self, x: Value, pos: Value, name: &str) -> Result<Value, LowerError> {
        let op = Op::Rope {
            n_rot: self.hp.n_rot as u32,
            freq_base: self.hp.freq_base,
            scaling: self.hp.rope_scaling.clone(),
        };
        let turned = self.op(op, &[x.into(), pos.into()])?;
        Ok(self.name(turned, name, ""))
    }
}
