//! Shape rules of convolutions over time.

use super::{Args, Result, ResultTypes, one};
use crate::op::slot;
use crate::signature::SlotName;
use crate::types::{DType, Dim, StateType, TensorType};

pub(super) fn causal(a: &Args) -> Result<ResultTypes> {
    use slot::CausalConv::{weight, window, x};
    let (inputs, w) = (a.f32(x, 2)?, a.f32(weight, 2)?);
    let (Some(channels), Some(taps)) = (w.shape[0].fixed(), w.shape[1].fixed()) else {
        return a.mismatch(weight, "f32[channels, taps]");
    };
    if taps == 0 {
        fail!("a convolution has at least one tap");
    }
    if inputs.rank() != 2 || inputs.shape[1] != Dim::Fixed(channels) {
        return a.mismatch(x, &format!("f32[T, {channels}]"));
    }
    let kept = TensorType::fixed(DType::F32, &[taps.saturating_sub(1), channels]);
    if *a.state(window) != StateType::Recurrent(kept.clone()) {
        return a.mismatch(window, &kept.to_string());
    }
    one(inputs.clone())
}

/// Channels and rows of the window of a dilated convolution.
pub(super) fn channels(
    a: &Args,
    (x, weight, window): (SlotName, SlotName, SlotName),
    dilation: usize,
) -> Result<usize> {
    let (inputs, w) = (a.f32(x, 2)?, a.tensor(weight));
    let dims = match w.shape[..] {
        [channels, taps] => channels.fixed().zip(taps.fixed()),
        _ => None,
    };
    let Some((channels, taps @ 1..)) = dims else {
        return a.mismatch(weight, "[channels, taps]");
    };
    let Some(kept) = (taps - 1).checked_mul(dilation).filter(|_| dilation > 0) else {
        fail!("dilation is {dilation}, expected 1 or more, and a window that can be counted");
    };
    if inputs.rank() != 2 || inputs.shape[1] != Dim::Fixed(channels) {
        return a.mismatch(x, &format!("f32[T, {channels}]"));
    }
    let kept = TensorType::fixed(DType::F32, &[kept, channels]);
    if *a.state(window) != StateType::Recurrent(kept.clone()) {
        return a.mismatch(window, &kept.to_string());
    }
    Ok(channels)
}

pub(super) fn dilated(a: &Args, dilation: usize) -> Result<ResultTypes> {
    use slot::DilatedConv::{weight, window, x};
    channels(a, (x, weight, window), dilation)?;
    one(a.tensor(x).clone())
}
