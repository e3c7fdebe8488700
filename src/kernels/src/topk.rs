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

/// The numbers of the `k` largest values, or of all if there are not as many, in no order.
///
/// Of equal ones those are chosen that the reference chooses, by the heap of C++'s `partial_sort` in
/// GNU's library: the first `k` make a heap with the least on top, which each one that is larger than
/// it replaces.
pub fn heap_select(values: &[f32], k: usize, chosen: &mut Vec<u32>) {
    let k = k.min(values.len());
    chosen.clear();
    chosen.extend(0..k as u32);
    if k == 0 {
        return;
    }
    for parent in (0..k / 2).rev() {
        let value = chosen[parent];
        sift(values, chosen, parent, value);
    }
    for candidate in k..values.len() {
        if values[candidate] > values[chosen[0] as usize] {
            sift(values, chosen, 0, candidate as u32);
        }
    }
}

/// Puts `value` into the heap below `top`, whose place is free: the hole goes down to the end, from
/// the smaller child to the smaller child, and `value` up from there.
fn sift(values: &[f32], heap: &mut [u32], top: usize, value: u32) {
    let of = |index: u32| values[index as usize];
    let len = heap.len();
    let mut hole = top;
    while 2 * hole + 2 < len {
        let (left, right) = (2 * hole + 1, 2 * hole + 2);
        let child = if of(heap[right]) > of(heap[left]) {
            left
        } else {
            right
        };
        heap[hole] = heap[child];
        hole = child;
    }
    if 2 * hole + 2 == len {
        heap[hole] = heap[2 * hole + 1];
        hole = 2 * hole + 1;
    }
    while hole > top {
        let parent = (hole - 1) / 2;
        if of(heap[parent]) <= of(value) {
            break;
        }
        heap[hole] = heap[parent];
        hole = parent;
    }
    heap[hole] = value;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selected(values: &[f32], k: usize) -> Vec<u32> {
        let mut chosen = Vec::new();
        heap_select(values, k, &mut chosen);
        chosen.sort_unstable();
        chosen
    }

    #[test]
    fn a_heap_selects_the_largest() {
        let values = [3.0, 0.0, 5.0, 1.0, 4.0, 2.0];
        assert_eq!(selected(&values, 3), [0, 2, 4]);
        assert_eq!(selected(&values, 9), [0, 1, 2, 3, 4, 5]);
        assert_eq!(selected(&values, 0), Vec::<u32>::new());
    }

    #[test]
    fn of_equal_values_a_heap_keeps_what_the_reference_keeps() {
        // As std::partial_sort leaves them, compiled with g++ 12.
        assert_eq!(selected(&[0.0, 0.0, 0.0, 0.0, 1.0, 1.0], 4), [1, 3, 4, 5]);
        assert_eq!(
            selected(&[1.0, 0.0, 0.0, 0.0, 0.0, 2.0, 0.0, 3.0], 5),
            [0, 1, 3, 5, 7]
        );
    }

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
