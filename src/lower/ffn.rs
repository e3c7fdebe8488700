//! Feed-forward blocks: dense SwiGLU, and the mixture of experts with a shared one.

use sharpi_ir::{Op, Value};

use super::arch::Shared;
use super::context::Context;
use super::{Experts, LowerError};

impl Context<'_, '_> {
    /// `down(silu(gate(n)) · up(n))`.
    pub(super) fn dense_ffn(&mut self, norm: Value) -> Result<Value, LowerError> {
        let inner = self.hp.ffn_width.unwrap_or(0);
        let ffn = self.swiglu_ffn(norm, "", inner)?;
        Ok(self.name(ffn, "ffn_out", "mtp_ffn_out"))
    }

    /// Three projections of the block with a suffix: `ffn_gate{suffix}.weight` and so on.
    fn swiglu_ffn(&mut self, norm: Value, suffix: &str, inner: usize) -> Result<Value, LowerError> {
        let width = self.hp.embedding;
        let gate = self.project(norm, &format!("ffn_gate{suffix}.weight"), inner, width)?;
        self.name(gate, "ffn_gate", "ffn_gate");
        let up = self.project(norm, &format!("ffn_up{suffix}.weight"), inner, width)?;
        self.name(up, "ffn_up", "ffn_up");
        let act = self.swiglu(gate, up)?;
        self.name(act, "ffn_swiglu", "ffn_swiglu");
        self.project(act, &format!("ffn_down{suffix}.weight"), width, inner)
    }

    fn swiglu(&mut self, gate: Value, up: Value) -> Result<Value, LowerError> {
        let gate = self.silu(gate)?;
        self.mul(gate, up)
    }

    /// The weighted sum of each token's experts plus the one that takes every token, if there is
    /// one.
    pub(super) fn moe_ffn(&mut self, norm: Value, sizes: Experts) -> Result<Value, LowerError> {
        let routed = self.routed_experts(norm, sizes)?;
        self.name(routed, "ffn_moe_out", "mtp_ffn_moe_out");
        if sizes.shared_width == 0 {
            return Ok(routed);
        }
        let shared = self.swiglu_ffn(norm, "_shexp", sizes.shared_width)?;
        let names = self.hp.arch.family().names.shared;
        self.name(shared, names.0, names.1);
        let shared = match self.gates_shared_expert() {
            true => self.gated_expert(norm, shared)?,
            false => shared,
        };
        let ffn = self.add(routed, shared)?;
        Ok(self.name(ffn, "ffn_out", "mtp_ffn_out"))
    }

    /// Whether the expert that takes every token has a gate.
    fn gates_shared_expert(&self) -> bool {
        let experts = self.hp.arch.family().feed_forward.experts();
        experts.is_some_and(|kind| kind.shared == Shared::Gated)
    }

    /// What the expert that takes every token gives, times the sigmoid of its gate.
    fn gated_expert(&mut self, norm: Value, shared: Value) -> Result<Value, LowerError> {
        let gate = self.project(norm, "ffn_gate_inp_shexp.weight", 1, self.hp.embedding)?;
        self.name(gate, "shared_expert_gate", "");
        let gate = self.sigmoid(gate)?;
        let names = (
            "shared_expert_gate_sigmoid",
            "mtp_shared_expert_gate_sigmoid",
        );
        self.name(gate, names.0, names.1);
        let shared = self.mul(shared, gate)?;
        Ok(self.name(shared, "ffn_shexp_gated", "mtp_ffn_shexp_gated"))
    }

    fn routed_experts(&mut self, norm: Value, sizes: Experts) -> Result<Value, LowerError> {
        let width = self.hp.embedding;
        let logits = self.project(norm, "ffn_gate_inp.weight", sizes.count, width)?;
        self.name(logits, "ffn_moe_logits", "ffn_moe_logits");
        let (experts, weights) = self.route(logits, sizes)?;
        let (gate, up) = self.expert_gate_up(norm, experts, sizes)?;
        let act = self.swiglu(gate, up)?;
        self.name(act, "ffn_moe_swiglu", "ffn_moe_swiglu");
        let down = self.experts(
            act,
            experts,
            "ffn_down_exps.weight",
            [sizes.count, width, sizes.width],
        )?;
        self.name(down, "ffn_moe_down", "ffn_moe_down");
        let weighted = self.mul(down, weights)?;
        self.name(weighted, "ffn_moe_weighted", "ffn_moe_weighted");
        self.op(Op::ExpertSum {}, &[weighted.into()])
    }

    /// Some files carry gate and up as one tensor, gate first.
    fn expert_gate_up(
        &mut self,
        norm: Value,
        experts: Value,
        sizes: Experts,
    ) -> Result<(Value, Value), LowerError> {
        let (count, inner, width) = (sizes.count, sizes.width, self.hp.embedding);
        if self.has(&self.in_block("ffn_gate_up_exps.weight")) {
            let both = self.experts(
                norm,
                experts,
                "ffn_gate_up_exps.weight",
                [count, 2 * inner, width],
            )?;
            self.name(both, "ffn_moe_gate_up", "ffn_moe_gate_up");
            let [gate, up] = self.split(both, 2, [inner, inner])?;
            return Ok((gate, up));
        }
        let gate = self.experts(norm, experts, "ffn_gate_exps.weight", [count, inner, width])?;
        self.name(gate, "ffn_moe_gate", "ffn_moe_gate");
        let up = self.experts(norm, experts, "ffn_up_exps.weight", [count, inner, width])?;
        self.name(up, "ffn_moe_up", "ffn_moe_up");
        Ok((gate, up))
    }
}
