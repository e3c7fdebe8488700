//! How a router's logits become the choice and the weights of experts.

use sharpi_ir::{Bias, Op, Operand, Value};

use super::arch::MoeKind;
use super::context::Context;
use super::keys::Keys;
use super::{Experts, LowerError};

/// The router's probabilities are divided by their sum, which is held above f16's smallest
/// normal number.
const SMALLEST_WEIGHT_SUM: f32 = 6.103_515_6e-5;

/// What makes weights of a router's logits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Gating {
    /// Softmax over all experts, before the choice.
    Softmax,
    /// A sigmoid of each logit.
    Sigmoid,
    /// Softmax over the logits of the chosen experts.
    SoftmaxOfChosen,
}

/// How a router's logits become the weights of experts.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Routing {
    /// What makes weights of the logits.
    pub gating: Gating,
    /// Whether the weights of the chosen experts are divided by their sum.
    pub normalised: bool,
    /// Factor of the weights.
    pub scale: f32,
}

impl Default for Routing {
    fn default() -> Routing {
        Routing {
            gating: Gating::Softmax,
            normalised: true,
            scale: 1.0,
        }
    }
}

impl Routing {
    /// Reads `expert_gating_func`, `expert_weights_norm` and `expert_weights_scale`; what the file
    /// does not say is as usual for the architecture.
    pub(super) fn read(keys: &Keys, kind: MoeKind) -> Result<Routing, LowerError> {
        let gating = match keys.optional_count("expert_gating_func")? {
            None | Some(0) => kind.gating,
            Some(1) => Gating::Softmax,
            Some(2) => Gating::Sigmoid,
            Some(3) => Gating::SoftmaxOfChosen,
            Some(_) => {
                let expected = "1 (softmax), 2 (sigmoid) or 3 (softmax of the chosen)";
                let found = keys.conflict("expert_gating_func", expected);
                return Err(LowerError::NotCarriedOut(Box::new(found)));
            }
        };
        let scale = keys.optional_float("expert_weights_scale")?;
        Ok(Routing {
            gating,
            normalised: keys
                .optional_flag("expert_weights_norm")?
                .unwrap_or(kind.normalised),
            scale: scale.filter(|x| *x != 0.0).unwrap_or(1.0),
        })
    }
}

impl Context<'_, '_> {
    /// Each token's experts and their weights: `i32[T, k], f32[T, k, 1]`.
    pub(super) fn route(
        &mut self,
        logits: Value,
        sizes: Experts,
    ) -> Result<(Value, Value), LowerError> {
        let routing = self.hp.routing;
        let scores = match routing.gating {
            Gating::Softmax => self.op(Op::Softmax {}, &[logits.into()])?,
            Gating::Sigmoid => self.sigmoid(logits)?,
            Gating::SoftmaxOfChosen => logits,
        };
        if scores != logits {
            self.name(scores, "ffn_moe_probs", "ffn_moe_probs");
        }
        let k = sizes.used as u32;
        let (biased, mut operands) = (self.biased_choice(), vec![Operand::from(scores)]);
        if biased == Bias::Added {
            let bias = self.in_block("exp_probs_b.bias");
            operands.push(self.weight_f32(&bias, &[sizes.count])?.into());
        }
        let node = self.builder.op(Op::TopkRouter { k, biased }, &operands)?;
        let (experts, mut weights) = (Value { node, result: 0 }, Value { node, result: 1 });
        self.name(weights, "ffn_moe_weights", "ffn_moe_weights");
        if routing.gating == Gating::SoftmaxOfChosen {
            weights = self.op(Op::Softmax {}, &[weights.into()])?;
            self.name(
                weights,
                "ffn_moe_weights_softmax",
                "ffn_moe_weights_softmax",
            );
        }
        if routing.normalised {
            weights = self.normalised(weights)?;
        }
        if routing.scale != 1.0 {
            weights = self.op(Op::Scale { by: routing.scale }, &[weights.into()])?;
            self.name(weights, "ffn_moe_weights_scaled", "ffn_moe_weights_scaled");
        }
        Ok((experts, self.reshape(weights, &[sizes.used, 1])?))
    }

    /// Whether a bias is added to what the experts are chosen by.
    fn biased_choice(&self) -> Bias {
        match self.hp.arch.family().feed_forward.experts() {
            Some(kind) if kind.biased_choice => Bias::Added,
            Some(_) | None => Bias::None,
        }
    }

    /// Weights divided by their sum.
    fn normalised(&mut self, weights: Value) -> Result<Value, LowerError> {
        let sum = self.op(Op::RowSum {}, &[weights.into()])?;
        self.name(sum, "ffn_moe_weights_sum", "ffn_moe_weights_sum");
        let min = SMALLEST_WEIGHT_SUM;
        let sum = self.op(Op::ClampMin { min }, &[sum.into()])?;
        let name = "ffn_moe_weights_sum_clamped";
        self.name(sum, name, name);
        let weights = self.op(Op::Div {}, &[weights.into(), sum.into()])?;
        Ok(self.name(weights, "ffn_moe_weights_norm", "ffn_moe_weights_norm"))
    }
}
