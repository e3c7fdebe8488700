//! Logits as log probabilities, and those as they stand in a file.

/// What turns the logits of a position into log probabilities.
#[derive(Clone, Copy, Debug)]
pub(super) struct LogSoftmax {
    /// The largest logit.
    pub(super) max: f32,
    /// The logarithm of the sum of `exp(logit - max)`.
    pub(super) log_sum: f64,
}

impl LogSoftmax {
    pub(super) fn of(logits: &[f32]) -> LogSoftmax {
        let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        // Exponentials of f32, summed in f64, as the reference takes them.
        let sum: f64 = logits.iter().map(|x| f64::from((x - max).exp())).sum();
        LogSoftmax {
            max,
            log_sum: sum.ln(),
        }
    }

    /// The log probability of a logit.
    pub(super) fn log_prob(&self, logit: f32) -> f64 {
        f64::from(logit - self.max) - self.log_sum
    }
}

/// Numbers of 16 bits in front of the quants of a row: two f32, the step and the least value.
const HEAD: usize = 4;
/// The largest quant.
const STEPS: f32 = 65535.0;
/// Logits further below the largest are kept as if they lay so far below it.
const RANGE: f32 = 16.0;

/// Bytes of a row of so many log probabilities in a file; an odd number of them is rounded up.
pub(super) fn row_bytes(vocabulary: usize) -> u64 {
    2 * (vocabulary as u64).next_multiple_of(2) + 2 * HEAD as u64
}

/// The bytes of a row: log probabilities as even steps of 16 bits between the least and the largest.
pub(super) fn encode(logits: &[f32], softmax: &LogSoftmax) -> Vec<u8> {
    let least = logits.iter().copied().fold(f32::INFINITY, f32::min);
    let least = least.max(softmax.max - RANGE);
    let step = (softmax.max - least) / STEPS;
    let least_log_prob = least - softmax.max - softmax.log_sum as f32;
    let mut bytes = Vec::with_capacity(row_bytes(logits.len()) as usize);
    bytes.extend(step.to_le_bytes());
    bytes.extend(least_log_prob.to_le_bytes());
    let inverse = if step > 0.0 { 1.0 / step } else { 0.0 };
    for logit in logits {
        let quant = match *logit > least {
            true => (inverse * (logit - least)).round_ties_even() as u16,
            false => 0,
        };
        bytes.extend(quant.to_le_bytes());
    }
    bytes.resize(row_bytes(logits.len()) as usize, 0);
    bytes
}

/// Step and least value of a row, and its quants, two bytes each.
pub(super) fn split(row: &[u8], vocabulary: usize) -> (f32, f32, &[[u8; 2]]) {
    let float = |at: usize| f32::from_le_bytes([row[at], row[at + 1], row[at + 2], row[at + 3]]);
    let (quants, _) = row[2 * HEAD..].as_chunks::<2>();
    (float(0), float(4), &quants[..vocabulary])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_probabilities_are_those_worked_out_by_hand() {
        // exp(0), exp(ln 2), exp(ln 5): the sum is 8.
        let logits = [0.0, 2f32.ln(), 5f32.ln()];
        let softmax = LogSoftmax::of(&logits);
        for (logit, probability) in logits.iter().zip([1.0 / 8.0, 2.0 / 8.0, 5.0 / 8.0]) {
            let found = softmax.log_prob(*logit).exp();
            assert!((found - probability).abs() < 1e-7, "{found}");
        }
    }

    #[test]
    fn a_row_of_a_file_comes_back_within_half_a_step() {
        let logits = [3.0, -40.0, 1.5, 0.25, 2.75];
        let softmax = LogSoftmax::of(&logits);
        let row = encode(&logits, &softmax);
        assert_eq!(row.len(), 2 * (6 + 4), "five are rounded up to six");
        let (step, least, quants) = split(&row, 5);
        assert_eq!(step, 16.0 / 65535.0);
        let quants: Vec<u16> = quants.iter().map(|q| u16::from_le_bytes(*q)).collect();
        assert_eq!(
            quants[..2],
            [65535, 0],
            "the best, and one beyond the range"
        );
        for (logit, quant) in logits.iter().zip(&quants) {
            let expected = softmax.log_prob(logit.max(3.0 - 16.0)) as f32;
            let found = step * f32::from(*quant) + least;
            assert!((found - expected).abs() <= step / 2.0 + 1e-6, "{found}");
        }
    }

    #[test]
    fn logits_that_are_all_the_same_have_no_step() {
        let logits = [7.0; 4];
        let row = encode(&logits, &LogSoftmax::of(&logits));
        let (step, least, quants) = split(&row, 4);
        assert_eq!((step, quants), (0.0, &[[0, 0]; 4][..]));
        assert!((least - 0.25f32.ln()).abs() < 1e-6);
    }
}
