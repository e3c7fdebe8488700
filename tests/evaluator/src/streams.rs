//! Residual streams that blocks read and add to in parallel.

use crate::elementwise::sigmoid;
use crate::tensor::Tensor;

/// `[T, E]` as often as there are streams.
pub(crate) fn streams(x: &Tensor, count: usize) -> Tensor {
    let width = x.last();
    Tensor::from_fn(vec![x.dims()[0], count, width], |place| {
        x.row(place / (count * width))[place % width]
    })
}

/// The mean of the gated streams, `[T, E]`.
pub(crate) fn mix(x: &Tensor, gate: &Tensor) -> Tensor {
    let (count, width) = (x.dims()[1], x.dims()[2]);
    Tensor::from_fn(vec![x.dims()[0], width], |place| {
        let (t, column) = (place / width, place % width);
        let gated = |s: usize| {
            let row = t * count + s;
            x.row(row)[column] * sigmoid(gate.row(row)[column])
        };
        (0..count).map(gated).sum::<f64>() / count as f64
    })
}

/// The streams, each with its part of `x`.
pub(crate) fn add(streams: &Tensor, x: &Tensor, inject: &Tensor) -> Tensor {
    let (count, width) = (streams.dims()[1], streams.dims()[2]);
    Tensor::from_fn(streams.dims().to_vec(), |place| {
        let (row, column) = (place / width, place % width);
        let (t, s) = (row / count, row % count);
        let weight = 2.0 * sigmoid(inject.row(t)[s] / count as f64);
        streams.row(row)[column] + x.row(t)[column] * weight
    })
}

/// The root of what x is, or of `min` if that is more, with the sign of x.
pub(crate) fn signed_sqrt(x: f64, min: f64) -> f64 {
    match x == 0.0 {
        true => 0.0,
        false => x.signum() * x.abs().max(min).sqrt(),
    }
}

/// `value` for each stream, by how its key and query agree.
pub(crate) fn gate(key: &Tensor, query: &Tensor, value: &Tensor, (by, min): (f32, f32)) -> Tensor {
    let (count, width) = (key.dims()[1], key.dims()[2]);
    Tensor::from_fn(key.dims().to_vec(), |place| {
        let (row, column) = (place / width, place % width);
        let dot: f64 = key
            .row(row)
            .iter()
            .zip(query.row(row))
            .map(|(k, q)| k * q)
            .sum();
        let root = signed_sqrt(dot * f64::from(by), f64::from(min));
        value.row(row / count)[column] * sigmoid(root)
    })
}
