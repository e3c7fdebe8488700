//! Gated DeltaNet (Yang et al. 2024, "Gated Delta Networks"): short convolution, gated delta
//! rule, gated norm.

use sharpi_ir::{DType, Op, StateType, TensorType, Value};

use super::LowerError;
use super::context::Context;

impl Context<'_, '_> {
    /// `norm: [T, E] -> [T, E]`; reads and replaces the block's window and matrix.
    pub(super) fn deltanet(&mut self, norm: Value) -> Result<Value, LowerError> {
        let d = self.hp.deltanet;
        let width = self.hp.embedding;
        let mixed = self.project(norm, "attn_qkv.weight", d.conv_width(), width)?;
        self.name(mixed, "linear_attn_qkv_mixed", "");
        let u = self.short_conv(mixed)?;

        let k_width = d.k_heads * d.head_dim;
        let [q, k, v] = self.split(u, 1, [k_width, k_width, d.v_width()])?;
        let q = self.qk_heads(q, "q_conv", "q_conv_predelta")?;
        let k = self.qk_heads(k, "k_conv", "k_conv_predelta")?;
        let v = self.reshape(v, &[d.v_heads, d.head_dim])?;
        self.name(v, "v_conv_predelta", "");

        let g = self.decay(norm)?;
        let beta = self.project(norm, "ssm_beta.weight", d.v_heads, width)?;
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
        let o = self.op(Op::GdnScan {}, &operands)?;
        self.name(o, "attn_output", "");
        self.gated_norm(o, norm)
    }

    /// Causal convolution over time, then SiLU.
    fn short_conv(&mut self, mixed: Value) -> Result<Value, LowerError> {
        let (channels, taps) = (self.hp.deltanet.conv_width(), self.hp.deltanet.conv_kernel);
        let w = self.weight_f32(&self.in_block("ssm_conv1d.weight"), &[channels, taps])?;
        let window = TensorType::fixed(DType::F32, &[taps - 1, channels]);
        let window = self.state("conv", StateType::Recurrent(window))?;
        let u = self.op(Op::CausalConv {}, &[mixed.into(), w.into(), window.into()])?;
        let u = self.biased(u, &self.in_block("ssm_conv1d.bias"), channels)?;
        self.name(u, "conv_output_raw", "");
        let u = self.silu(u)?;
        Ok(self.name(u, "conv_output_silu", ""))
    }

    fn qk_heads(&mut self, x: Value, heads: &str, normed: &str) -> Result<Value, LowerError> {
        let x = self.reshape(x, &[self.hp.deltanet.k_heads, self.hp.deltanet.head_dim])?;
        self.name(x, heads, "");
        let eps = self.hp.rms_eps;
        let x = self.op(Op::L2norm { eps }, &[x.into()])?;
        Ok(self.name(x, normed, ""))
    }

    /// `g = softplus(n · ssm_alpha + ssm_dt.bias) · ssm_a`, the logarithm of the decay;
    /// `ssm_a` is negative already.
    fn decay(&mut self, norm: Value) -> Result<Value, LowerError> {
        let (heads, width) = (self.hp.deltanet.v_heads, self.hp.embedding);
        let alpha = self.project(norm, "ssm_alpha.weight", heads, width)?;
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

    /// `rmsnorm(o) · silu(z)` per head, projected back to the model width.
    fn gated_norm(&mut self, o: Value, norm: Value) -> Result<Value, LowerError> {
        let d = self.hp.deltanet;
        let width = self.hp.embedding;
        let z = self.project(norm, "attn_gate.weight", d.v_width(), width)?;
        self.name(z, "z", "");
        let normed = self.rmsnorm(o, &self.in_block("ssm_norm.weight"), d.head_dim)?;
        let normed = self.reshape(normed, &[d.v_width()])?;
        let gate = self.silu(z)?;
        let gated = self.mul(normed, gate)?;
        self.name(gated, "final_output", "");
        let out = self.project(gated, "ssm_out.weight", width, d.v_width())?;
        Ok(self.name(out, "linear_attn_out", ""))
    }
}
