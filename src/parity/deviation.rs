//! How far a value is from the reference's tensor.

use serde::Serialize;

use super::golden::{Tensor, fingerprint};

/// Most that the norms may differ by, of the reference's.
const NORM: f64 = 2e-4;
/// Most that an element may differ by, of the reference's root mean square.
const ELEMENT: f64 = 1e-3;

/// How far a tensor may be off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tolerance {
    /// As far as rounding explains.
    Rounding,
    /// By no bit, where the dump tells them.
    Bits,
}

/// How far a tensor is from the reference's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Deviation {
    /// Elements of the value and of the reference's tensor.
    pub elements: (usize, usize),
    /// Difference of the norms, of the reference's.
    pub norm: f64,
    /// Largest difference among the first and last eight elements, of the root mean square.
    pub element: f64,
    /// Whether all bits are the same, where the dump tells.
    pub same_bits: Option<bool>,
}

impl Deviation {
    pub(super) fn new(made: &[f32], tensor: &Tensor) -> Deviation {
        let elements = (made.len(), tensor.elements());
        if elements.0 != elements.1 {
            let (norm, element) = (f64::INFINITY, f64::INFINITY);
            return Deviation {
                elements,
                norm,
                element,
                same_bits: Some(false),
            };
        }
        let squares = made.iter().map(|&x| f64::from(x).powi(2));
        let norm = squares.sum::<f64>().sqrt();
        let rms = tensor.l2 / (elements.1.max(1) as f64).sqrt();
        let (first, last) = (&tensor.first, &tensor.last);
        let ends = made[..first.len()].iter().zip(first);
        let ends = ends.chain(made[made.len() - last.len()..].iter().zip(last));
        let off = ends.map(|(x, y)| share(f64::from((x - y).abs()), rms));
        Deviation {
            elements,
            norm: share((norm - tensor.l2).abs(), tensor.l2),
            // A NaN is as far off as can be.
            element: off.fold(0.0, |a, b| if b <= a { a } else { b }),
            same_bits: tensor.bits.map(|bits| bits == fingerprint(made)),
        }
    }

    /// Whether it is more than that.
    pub fn exceeds(&self, tolerance: Tolerance) -> bool {
        match (tolerance, self.same_bits) {
            (Tolerance::Bits, Some(same)) => !same,
            // Written so that a NaN exceeds.
            _ => !(self.norm <= NORM && self.element <= ELEMENT),
        }
    }
}

fn share(difference: f64, of: f64) -> f64 {
    if difference == 0.0 {
        0.0
    } else {
        difference / of
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(values: &[f32]) -> Tensor {
        let squares = values.iter().map(|&x| f64::from(x).powi(2));
        Tensor {
            name: "x".into(),
            op: "MUL".into(),
            ne: vec![values.len()],
            sum: 0.0,
            l2: squares.sum::<f64>().sqrt(),
            first: values[..values.len().min(8)].to_vec(),
            last: values[values.len().saturating_sub(8)..].to_vec(),
            bits: Some(fingerprint(values)),
        }
    }

    #[test]
    fn the_norm_and_the_ends_are_compared() {
        let reference = [1f32; 100];
        let changed = |i: usize, x: f32| {
            let mut made = reference;
            made[i] = x;
            Deviation::new(&made, &tensor(&reference))
        };
        assert!(!changed(50, 1.0).exceeds(Tolerance::Rounding));
        assert!(!changed(7, 1.0009).exceeds(Tolerance::Rounding));
        assert!(changed(7, 1.0011).exceeds(Tolerance::Rounding));
        assert!(changed(92, 0.9989).exceeds(Tolerance::Rounding));
        assert!(
            !changed(50, 1.01).exceeds(Tolerance::Rounding),
            "1e-4 of the norm"
        );
        assert!(
            changed(50, 1.03).exceeds(Tolerance::Rounding),
            "3e-4 of the norm"
        );
        assert!(changed(50, f32::NAN).exceeds(Tolerance::Rounding));
        assert!(changed(0, f32::NAN).exceeds(Tolerance::Rounding));
    }

    #[test]
    fn a_last_bit_differs_where_bits_are_asked_for() {
        let mut made = [1f32; 100];
        assert!(!Deviation::new(&made, &tensor(&[1.0; 100])).exceeds(Tolerance::Bits));
        made[50] = 1f32.next_up();
        let off = Deviation::new(&made, &tensor(&[1.0; 100]));
        assert!(off.exceeds(Tolerance::Bits) && !off.exceeds(Tolerance::Rounding));
        let silent = Tensor {
            bits: None,
            ..tensor(&[1.0; 100])
        };
        assert!(!Deviation::new(&made, &silent).exceeds(Tolerance::Bits));
        assert!(!Deviation::new(&[-0.0], &tensor(&[0.0])).exceeds(Tolerance::Bits));
    }

    #[test]
    fn another_size_exceeds_and_nothing_equals_nothing() {
        assert!(Deviation::new(&[1.0], &tensor(&[1.0, 1.0])).exceeds(Tolerance::Rounding));
        assert!(!Deviation::new(&[], &tensor(&[])).exceeds(Tolerance::Rounding));
        assert!(!Deviation::new(&[0.0], &tensor(&[0.0])).exceeds(Tolerance::Rounding));
        assert!(Deviation::new(&[1.0], &tensor(&[0.0])).exceeds(Tolerance::Rounding));
    }
}
