//! Routing of tokens to experts, and what experts compute.

use sharpi_ir::DType;

use crate::products::{dot_rows, rounded_for};
use crate::tensor::Tensor;

/// The numbers of the `k` largest of each row and what they are, the lower number first on a tie.
pub(crate) fn topk(probs: &Tensor, bias: Option<&Tensor>, k: usize) -> [Tensor; 2] {
    let best = |row: &[f64]| {
        let by = |i: usize| row[i] + bias.map_or(0.0, |bias| bias.data()[i]);
        let mut order: Vec<usize> = (0..row.len()).collect();
        order.sort_by(|a, b| by(*b).total_cmp(&by(*a)));
        order.truncate(k);
        order
    };
    let numbers = |row: &[f64]| best(row).iter().map(|i| *i as f64).collect();
    let values = |row: &[f64]| best(row).iter().map(|i| row[*i]).collect();
    let of = |f: &dyn Fn(&[f64]) -> Vec<f64>| {
        let data = probs.rows().map(f).collect::<Vec<_>>().concat();
        Tensor::from_fn(vec![probs.dims()[0], k], |i| data[i])
    };
    [of(&numbers).with_dtype(DType::I32), of(&values)]
}

/// `[T, K]`, the same for all of a token's experts, or `[T, k, K]`, times `[X, N, K]`.
pub(crate) fn moe_matmul(x: &Tensor, chosen: &Tensor, weight: &Tensor) -> Result<Tensor, String> {
    let x = rounded_for(x, weight)?;
    let (experts, n) = (weight.dims()[0], weight.dims()[1]);
    let (tokens, used) = (chosen.dims()[0], chosen.dims()[1]);
    let mut data = Vec::new();
    for i in 0..tokens * used {
        let expert = chosen.index(i, experts)?;
        let row = if x.dims().len() == 2 { i / used } else { i };
        data.extend(dot_rows(x.row(row), weight, expert * n, n));
    }
    Tensor::new([tokens, used, n], data)
}

/// Rows of `[X, N]`, or single values of `[X]`.
pub(crate) fn expert_rows(chosen: &Tensor, table: &Tensor) -> Result<Tensor, String> {
    let n = table.width();
    let mut data = Vec::new();
    for i in 0..chosen.data().len() {
        data.extend_from_slice(table.entry(chosen.index(i, table.dims()[0])?));
    }
    Tensor::new([chosen.dims()[0], chosen.dims()[1], n], data)
}

/// `[T, k, E]` summed over k.
pub(crate) fn expert_sum(x: &Tensor) -> Tensor {
    let (used, width) = (x.dims()[1], x.dims()[2]);
    Tensor::from_fn(vec![x.dims()[0], width], |place| {
        let (t, column) = (place / width, place % width);
        (0..used).map(|j| x.row(t * used + j)[column]).sum()
    })
}
