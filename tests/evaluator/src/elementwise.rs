//! Functions of elements, and of rows along the last dimension.

use crate::tensor::Tensor;

pub(crate) fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

pub(crate) fn silu(x: f64) -> f64 {
    x / (1.0 + (-x).exp())
}

pub(crate) fn softplus(x: f64) -> f64 {
    if x > 20.0 { x } else { x.exp().ln_1p() }
}

pub(crate) fn softmax(x: &Tensor) -> Tensor {
    x.map_rows(|row| {
        let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let powers: Vec<f64> = row.iter().map(|x| (x - max).exp()).collect();
        let sum: f64 = powers.iter().sum();
        powers.iter().map(|power| power / sum).collect()
    })
}

pub(crate) fn row_sum(x: &Tensor) -> Tensor {
    let sums: Vec<f64> = x.rows().map(|row| row.iter().sum()).collect();
    let mut dims = x.dims().to_vec();
    if let Some(last) = dims.last_mut() {
        *last = 1;
    }
    Tensor::from_fn(dims, |i| sums[i])
}

pub(crate) fn rmsnorm(x: &Tensor, weight: &Tensor, eps: f32) -> Tensor {
    let normed = x.map_rows(|row| {
        let mean = row.iter().map(|x| x * x).sum::<f64>() / row.len() as f64;
        let scale = 1.0 / (mean + f64::from(eps)).sqrt();
        row.iter().map(|x| x * scale).collect()
    });
    mul(&normed, weight)
}

pub(crate) fn l2norm(x: &Tensor, eps: f32) -> Tensor {
    x.map_rows(|row| {
        let sum: f64 = row.iter().map(|x| x * x).sum();
        let scale = 1.0 / (sum + f64::from(eps)).sqrt();
        row.iter().map(|x| x * scale).collect()
    })
}

pub(crate) fn add(a: &Tensor, b: &Tensor) -> Tensor {
    broadcast(a, b, |a, b| a + b)
}

pub(crate) fn mul(a: &Tensor, b: &Tensor) -> Tensor {
    broadcast(a, b, |a, b| a * b)
}

pub(crate) fn div(a: &Tensor, b: &Tensor) -> Tensor {
    broadcast(a, b, |a, b| a / b)
}

/// `b` aligned at the right; where it has one element along a dimension, that one for all of `a`'s.
fn broadcast(a: &Tensor, b: &Tensor, f: impl Fn(f64, f64) -> f64) -> Tensor {
    Tensor::from_fn(a.dims().to_vec(), |place| {
        let (mut rest, mut at, mut stride) = (place, 0, 1);
        for (i, n) in a.dims().iter().rev().enumerate() {
            let along = rest % n;
            rest /= n;
            if let Some(n) = b.dims().iter().rev().nth(i) {
                at += if *n == 1 { 0 } else { along * stride };
                stride *= n;
            }
        }
        f(a.data()[place], b.data()[at])
    })
}
