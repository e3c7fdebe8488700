//! Products with a weight of the file, and what its companions add to them: `X.scale` multiplies
//! the product of `X.weight`, `X.bias` is added to it.

use sharpi_ir::{Op, Value};

use super::LowerError;
use super::context::Context;

impl Context<'_, '_> {
    /// `x · Wᵀ` with a weight of the block, `[out, in]`.
    pub(super) fn project(
        &mut self,
        x: Value,
        tensor: &str,
        out: usize,
        width: usize,
    ) -> Result<Value, LowerError> {
        self.product(x, &self.in_block(tensor), out, width)
    }

    /// `x · Wᵀ` with any weight, `[out, in]`.
    pub(super) fn product(
        &mut self,
        x: Value,
        tensor: &str,
        out: usize,
        width: usize,
    ) -> Result<Value, LowerError> {
        let w = self.weight(tensor, &[out, width])?;
        let product = self.op(Op::Matmul {}, &[x.into(), w.into()])?;
        let product = self.scaled(product, tensor)?;
        self.biased(product, &companion(tensor, "bias"), out)
    }

    /// A product with a weight times its scale, where the file has one.
    pub(super) fn scaled(&mut self, product: Value, weight: &str) -> Result<Value, LowerError> {
        let scale = companion(weight, "scale");
        if !self.has(&scale) {
            return Ok(product);
        }
        let scale = self.weight_f32(&scale, &[1])?;
        self.op(Op::Mul {}, &[product.into(), scale.into()])
    }

    /// A value with a bias of so many elements, where the file has one.
    pub(super) fn biased(
        &mut self,
        x: Value,
        bias: &str,
        width: usize,
    ) -> Result<Value, LowerError> {
        if !self.has(bias) {
            return Ok(x);
        }
        let bias = self.weight_f32(bias, &[width])?;
        self.op(Op::Add {}, &[x.into(), bias.into()])
    }

    /// Each token times the weights of its experts, `[experts, out, in]`; scales and biases are
    /// by expert.
    pub(super) fn experts(
        &mut self,
        x: Value,
        experts: Value,
        tensor: &str,
        dims: [usize; 3],
    ) -> Result<Value, LowerError> {
        let tensor = self.in_block(tensor);
        let [count, out, _] = dims;
        let w = self.weight(&tensor, &dims)?;
        let mut y = self.op(Op::MoeMatmul {}, &[x.into(), experts.into(), w.into()])?;
        let scale = companion(&tensor, "scale");
        if self.has(&scale) {
            let of_chosen = self.of_experts(experts, &scale, &[count])?;
            y = self.mul(y, of_chosen)?;
        }
        let bias = companion(&tensor, "bias");
        if self.has(&bias) {
            let of_chosen = self.of_experts(experts, &bias, &[count, out])?;
            y = self.add(y, of_chosen)?;
        }
        Ok(y)
    }

    fn of_experts(
        &mut self,
        experts: Value,
        tensor: &str,
        dims: &[usize],
    ) -> Result<Value, LowerError> {
        let table = self.weight_f32(tensor, dims)?;
        self.op(Op::ExpertRows {}, &[experts.into(), table.into()])
    }
}

/// `X.scale` of `X.weight`.
fn companion(weight: &str, suffix: &str) -> String {
    let stem = weight.strip_suffix(".weight").unwrap_or(weight);
    format!("{stem}.{suffix}")
}
