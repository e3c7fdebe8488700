//! Choice of experts.

use std::cmp::Ordering;

/// Puts the indices of the `chosen.len()` largest of `probabilities` into `chosen`, largest
/// first; of equal ones the lower index comes first, and a NaN comes last.
///
/// # Panics
/// If there are fewer probabilities than places.
pub fn top_k(probabilities: &[f32], chosen: &mut [u32]) {
    assert!(
        chosen.len() <= probabilities.len(),
        "enough experts to choose from"
    );
    let before = |a: u32, b: u32| {
        let (a_value, b_value) = (probabilities[a as usize], probabilities[b as usize]);
        match a_value.partial_cmp(&b_value) {
            Some(Ordering::Equal) => a < b,
            Some(order) => order == Ordering::Greater,
            None => (a_value.is_nan(), a) < (b_value.is_nan(), b),
        }
    };
    let mut count = 0;
    for candidate in 0..probabilities.len() as u32 {
        let mut place = count;
        while place > 0 && before(candidate, chosen[place - 1]) {
            place -= 1;
        }
        if place < chosen.len() {
            count = chosen.len().min(count + 1);
            chosen[place..count].rotate_right(1);
            chosen[place] = candidate;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_come_first_and_ties_keep_their_order() {
        let mut chosen = [0; 4];
        top_k(&[0.1, 0.3, 0.2, 0.3, f32::NAN, 0.2], &mut chosen);
        assert_eq!(chosen, [1, 3, 2, 5]);
    }

    #[test]
    fn nan_is_chosen_only_when_nothing_else_is_left() {
        let mut chosen = [9; 3];
        top_k(&[f32::NAN, 0.5, f32::NAN], &mut chosen);
        assert_eq!(chosen, [1, 0, 2]);
    }
}
