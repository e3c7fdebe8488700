//! Gated DeltaNet (Yang et al. 2024, "Gated Delta Networks"): short convolution, gated delta
//! rule, gated norm.

use sharpi_ir::{DType, Op, ScanGate, StateType, TensorType, Value};

use super::arch::DeltaNetKind;
use super::context::Context;
use super::{DeltaNet, LowerError};

impl Context<'_, '_> {
    /// `norm: [T, E] -> [T, E]`; reads and replaces the block's window and matrix.
    pub(super) fn deltanet(
        &mut self,
        norm: Value,
        (d, kind): (DeltaNet, DeltaNetKind),
    ) -> Result<Value, LowerError> {
        let width = self.hp.embedding;
        let joint = kind.joint_inputs && self.has(&self.in_block("ssm_in.weight"));
        let (mixed, z) = match joint {
            true => self.joint_inputs(norm, d)?,
            false => {
                let mixed = self.project(norm, "attn_qkv.weight", d.conv_width(), width)?;
                (self.name(mixed, "linear_attn_qkv_mixed", ""), None)
            }
        };
        let u = self.short_conv(mixed, d)?;

        let k_width = d.k_heads * d.head_dim;
        let [q, k, v] = self.split(u, 1, [k_width, k_width, d.v_width()])?;
        let q = self.qk_heads(q, d, ("q_conv", "q_conv_predelta"))?;
        let k = self.qk_heads(k, d, ("k_conv", "k_conv_predelta"))?;
        let v = self.reshape(v, &[d.v_heads, d.head_dim])?;
        self.name(v, "v_conv_predelta", "");

        let (alpha, beta) = match kind.joint_gates {
            true => self.joint_gates(norm, d)?,
            false => {
                let alpha = self.project(norm, "ssm_alpha.weight", d.v_heads, width)?;
                (alpha, None)
            }
        };
        let g = self.decay(alpha, d)?;
        let beta = match beta {
            Some(beta) => beta,
            None => self.project(norm, "ssm_beta.weight", d.v_heads, width)?,
        };
        self.name(beta, "beta", "");
        let beta = self.sigmoid(beta)?;
        self.name(beta, "beta_sigmoid", "");

        let matrix = TensorType::fixed(DType::F32, &[d.v_heads, d.head_dim, d.head_dim]);
        let matrix = self.state("scan", StateType::Recurrent(matrix))?;
        let operands = [
            q.into(),
            k.into(),
            v.into(),
            g.into(),
            beta.into(),
            matrix.into(),
        ];
        let keys = kind.keys;
        let o = self.op(Op::GdnScan { keys }, &operands)?;
        self.name(o, "attn_output", "");
        let z = match z {
            Some(z) => z,
            None => self.project(norm, "attn_gate.weight", d.v_width(), width)?,
        };
        self.name(z, "z", "");
        self.gated_norm(o, z, (d, kind.gate))
    }

    /// `[q ‖ k ‖ v]` and the gates of the result by one matrix: for each k-head its q and k, then v of
    /// its v-heads, then their gates.
    fn joint_inputs(
        &mut self,
        norm: Value,
        d: DeltaNet,
    ) -> Result<(Value, Option<Value>), LowerError> {
        let shared = d.v_width() / d.k_heads;
        let sizes = [d.head_dim, d.head_dim, shared, shared];
        let all = sizes.iter().sum::<usize>();
        let width = self.hp.embedding;
        let joint = self.project(norm, "ssm_in.weight", d.k_heads * all, width)?;
        self.name(joint, "linear_attn_mixed_qkvz", "");
        let joint = self.reshape(joint, &[d.k_heads, all])?;
        let [q, k, v, z] = self.split(joint, 2, sizes)?;
        let q = self.flat(q, d.k_heads * d.head_dim, ("q", "query_flat"))?;
        let k = self.flat(k, d.k_heads * d.head_dim, ("k", "key_flat"))?;
        let v = self.flat(v, d.v_width(), ("v", "value_flat"))?;
        let z = self.flat(z, d.v_width(), ("", ""))?;
        let mixed = self.concat(q, k)?;
        let mixed = self.concat(mixed, v)?;
        Ok((self.name(mixed, "qkv_mixed", ""), Some(z)))
    }

    /// The elements of all heads of a part, one after another.
    fn flat(
        &mut self,
        part: Value,
        width: usize,
        (heads, flat): (&str, &str),
    ) -> Result<Value, LowerError> {
        self.name(part, heads, "");
        let all = self.reshape(part, &[width])?;
        Ok(self.name(all, flat, ""))
    }

    /// Of each token the elements of `a`, then those of `b`.
    fn concat(&mut self, a: Value, b: Value) -> Result<Value, LowerError> {
        self.op(Op::Concat { axis: 1 }, &[a.into(), b.into()])
    }

    /// Alpha and beta by one matrix: for each k-head beta of its v-heads, then alpha of them.
    fn joint_gates(
        &mut self,
        norm: Value,
        d: DeltaNet,
    ) -> Result<(Value, Option<Value>), LowerError> {
        let (width, shared) = (self.hp.embedding, d.v_heads / d.k_heads);
        let both = self.project(norm, "ssm_ba.weight", 2 * d.v_heads, width)?;
        self.name(both, "linear_attn_mixed_ba", "");
        let both = self.reshape(both, &[d.k_heads, 2 * shared])?;
        let [beta, alpha] = self.split(both, 2, [shared, shared])?;
        self.name(beta, "b", "");
        self.name(alpha, "a", "");
        let beta = self.reshape(beta, &[d.v_heads])?;
        Ok((self.reshape(alpha, &[d.v_heads])?, Some(beta)))
    }

    /// Causal convolution over time, then SiLU.
    fn short_conv(&mut self, mixed: Value, d: DeltaNet) -> Result<Value, LowerError> {
        let (channels, taps) = (d.conv_width(), d.conv_kernel);
        let w = self.weight_f32(&self.in_block("ssm_conv1d.weight"), &[channels, taps])?;
        let window = TensorType::fixed(DType::F32, &[taps - 1, channels]);
        let window = self.state("conv", StateType::Recurrent(window))?;
        let u = self.op(Op::CausalConv {}, &[mixed.into(), w.into(), window.into()])?;
        let u = self.biased(u, &self.in_block("ssm_conv1d.bias"), channels)?;
        self.name(u, "conv_output_raw", "");
        let u = self.silu(u)?;
        Ok(self.name(u, "conv_output_silu", ""))
    }

    fn qk_heads(
        &mut self,
        x: Value,
        d: DeltaNet,
        (heads, normed): (&str, &str),
    ) -> Result<Value, LowerError> {
        let x = self.reshape(x, &[d.k_heads, d.head_dim])?;
        self.name(x, heads, "");
        let eps = self.hp.rms_eps;
        let x = self.op(Op::L2norm { eps }, &[x.into()])?;
        Ok(self.name(x, normed, ""))
    }

    /// `g = softplus(alpha + ssm_dt.bias) · ssm_a`, the logarithm of the decay;
    /// `ssm_a` is negative already.
    fn decay(&mut self, alpha: Value, d: DeltaNet) -> Result<Value, LowerError> {
        let heads = d.v_heads;
        self.name(alpha, "alpha", "");
        // Some writers leave the suffix away.
        let (bias, short) = (self.in_block("ssm_dt.bias"), self.in_block("ssm_dt"));
        let bias = self.first_of(&[&bias, &short], &bias);
        let bias = self.weight_f32(bias, &[heads])?;
        let biased = self.op(Op::Add {}, &[alpha.into(), bias.into()])?;
        let rate = self.op(Op::Softplus {}, &[biased.into()])?;
        self.name(rate, "a_softplus", "");
        let a = self.weight_f32(&self.in_block("ssm_a"), &[heads])?;
        let g = self.op(Op::Mul {}, &[rate.into(), a.into()])?;
        Ok(self.name(g, "gate", ""))
    }

    /// `rmsnorm(o) · silu(z)`, or of the sigmoid, per head, projected back to the model width.
    fn gated_norm(
        &mut self,
        o: Value,
        z: Value,
        (d, gate): (DeltaNet, ScanGate),
    ) -> Result<Value, LowerError> {
        let width = self.hp.embedding;
        let normed = self.rmsnorm(o, &self.in_block("ssm_norm.weight"), d.head_dim)?;
        let normed = self.reshape(normed, &[d.v_width()])?;
        let gate = match gate {
            ScanGate::Silu => self.silu(z)?,
            ScanGate::Sigmoid => self.sigmoid(z)?,
        };
        let gated = self.mul(normed, gate)?;
        self.name(gated, "final_output", "");
        let out = self.project(gated, "ssm_out.weight", width, d.v_width())?;
        Ok(self.name(out, "linear_attn_out", ""))
    }
}
