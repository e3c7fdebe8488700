//! Functions of single values over whole rows, and the softmax of a row.
//!
//! Every function works on one row. The right-hand side of an operator is a row of the same
//! length or one value for the row ([`Rhs`]).

use super::isa::Isa;
use super::isa::reduce::add_lanes;
use super::math;
use super::simd::multiversion;

/// A right-hand side.
#[derive(Clone, Copy, Debug)]
pub enum Rhs<'a> {
    /// A value for each element.
    Row(&'a [f32]),
    /// One value for all elements.
    Value(f32),
}

multiversion! {
    /// `x += rhs`. Panics if a row has another length than `x`.
    pub fn add(x: &mut [f32], rhs: Rhs<'_>) = add_body;
}
multiversion! {
    /// `x *= rhs`. Panics if a row has another length than `x`.
    pub fn mul(x: &mut [f32], rhs: Rhs<'_>) = mul_body;
}
multiversion! {
    /// `x /= rhs`. Panics if a row has another length than `x`.
    pub fn div(x: &mut [f32], rhs: Rhs<'_>) = div_body;
}
multiversion! {
    /// `x += rhs · factor`, two roundings. Panics if a row has another length than `x`.
    pub fn add_scaled(x: &mut [f32], rhs: &[f32], factor: f32) = add_scaled_body;
}
multiversion! {
    /// SiLU in place.
    pub fn silu(x: &mut [f32]) = silu_body;
}
multiversion! {
    /// `out = silu(gate) · up`. Panics if the rows differ in length.
    pub fn swiglu(gate: &[f32], up: &[f32], out: &mut [f32]) = swiglu_body;
}
multiversion! {
    /// Softmax in place, as ggml computes it: `e^(x − max)` in f32, the sum in f64, then times
    /// `(1 / sum)` rounded to f32.
    pub fn softmax(x: &mut [f32]) = softmax_body;
}

multiversion! {
    /// [`math::sigmoid`] in place.
    pub fn sigmoid(x: &mut [f32]) = sigmoid_body;
}

/// [`math::softplus`] in place.
pub fn softplus(x: &mut [f32]) {
    x.iter_mut().for_each(|x| *x = math::softplus(*x));
}

/// `√max(|x|, min)` with the sign of x in place, 0 for 0.
pub fn signed_sqrt(x: &mut [f32], min: f32) {
    for x in x {
        let sign = f32::from(i8::from(*x > 0.0) - i8::from(*x < 0.0));
        *x = sign * x.abs().max(min).sqrt();
    }
}

/// The sum of products, each rounded to f32, in f64, rounded once.
///
/// # Panics
/// If the rows differ in length.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len(), "rows of one length");
    let products = a.iter().zip(b).map(|(a, b)| f64::from(a * b));
    products.sum::<f64>() as f32
}

#[inline(always)]
fn each(x: &mut [f32], rhs: Rhs<'_>, op: impl Fn(f32, f32) -> f32) {
    match rhs {
        Rhs::Row(rhs) => {
            assert_eq!(x.len(), rhs.len(), "rows of one length");
            x.iter_mut().zip(rhs).for_each(|(x, rhs)| *x = op(*x, *rhs));
        }
        Rhs::Value(rhs) => x.iter_mut().for_each(|x| *x = op(*x, rhs)),
    }
}

#[inline(always)]
fn add_body<I: Isa>(x: &mut [f32], rhs: Rhs<'_>) {
    each(x, rhs, |a, b| a + b);
}

#[inline(always)]
fn mul_body<I: Isa>(x: &mut [f32], rhs: Rhs<'_>) {
    each(x, rhs, |a, b| a * b);
}

#[inline(always)]
fn div_body<I: Isa>(x: &mut [f32], rhs: Rhs<'_>) {
    each(x, rhs, |a, b| a / b);
}

#[inline(always)]
fn add_scaled_body<I: Isa>(x: &mut [f32], rhs: &[f32], factor: f32) {
    each(x, Rhs::Row(rhs), |a, b| a + b * factor);
}

#[inline(always)]
fn silu_body<I: Isa>(x: &mut [f32]) {
    x.iter_mut().for_each(|x| *x = math::silu(*x));
}

#[inline(always)]
fn sigmoid_body<I: Isa>(x: &mut [f32]) {
    let (sixteens, rest) = x.as_chunks_mut::<16>();
    for x in sixteens {
        *x = math::sigmoids(*x);
    }
    rest.iter_mut().for_each(|x| *x = math::sigmoid(*x));
}

#[inline(always)]
fn swiglu_body<I: Isa>(gate: &[f32], up: &[f32], out: &mut [f32]) {
    assert!(
        gate.len() == up.len() && gate.len() == out.len(),
        "rows of one length"
    );
    for ((out, gate), up) in out.iter_mut().zip(gate).zip(up) {
        *out = math::silu(*gate) * up;
    }
}

#[inline(always)]
fn softmax_body<I: Isa>(x: &mut [f32]) {
    let sum = exponentials(x);
    let factor = (1.0 / sum) as f32;
    x.iter_mut().for_each(|x| *x *= factor);
}

/// Replaces x by `e^(x − max)` and returns the sum: of each whole 16 in f32 as a tree, of these
/// in f64. What is left over goes through the C library's exp, as in ggml.
#[inline(always)]
fn exponentials(x: &mut [f32]) -> f64 {
    let largest = largest(x);
    let (chunks, rest) = x.as_chunks_mut::<16>();
    for x in chunks.as_flattened_mut() {
        *x = math::exp_f32(*x - largest);
    }
    let mut sum = 0.0;
    for chunk in chunks {
        sum += f64::from(add_lanes(*chunk));
    }
    for x in rest {
        *x = math::exp(*x - largest);
        sum += f64::from(*x);
    }
    sum
}

/// The largest value; a NaN never is. Sixteen running maxima: the order cannot matter.
#[inline(always)]
fn largest(x: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; 16];
    let (chunks, rest) = x.as_chunks::<16>();
    for x in chunks {
        for (lane, x) in lanes.iter_mut().zip(x) {
            *lane = if *x > *lane { *x } else { *lane };
        }
    }
    let both = lanes.iter().chain(rest);
    both.copied().fold(f32::NEG_INFINITY, f32::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_take_a_row_or_one_value() {
        let mut x = [1.0, 2.0, 3.0];
        add(&mut x, Rhs::Row(&[1.0, 1.0, 2.0]));
        mul(&mut x, Rhs::Value(2.0));
        div(&mut x, Rhs::Row(&[4.0, 3.0, 5.0]));
        assert_eq!(x, [1.0, 2.0, 2.0]);
        add_scaled(&mut x, &[1.0, 2.0, 3.0], -0.5);
        assert_eq!(x, [0.5, 1.0, 0.5]);
    }

    #[test]
    fn softmax_sums_to_one_and_survives_large_inputs() {
        let mut x: [f32; 37] = std::array::from_fn(|i| 1e4 + i as f32);
        softmax(&mut x);
        assert!((x.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert!(x.is_sorted());
    }

    #[test]
    fn swiglu_is_silu_of_the_gate_times_up() {
        let mut out = [0.0; 3];
        swiglu(&[0.0, 1.0, -100.0], &[5.0, 2.0, 3.0], &mut out);
        let one = 2.0 / (1.0 + (-1.0f32).exp());
        assert_eq!(out[0], 0.0);
        assert!(
            (out[1] - one).abs() < 1e-6 && out[2].abs() < 1e-30,
            "{out:?}"
        );
    }
}
