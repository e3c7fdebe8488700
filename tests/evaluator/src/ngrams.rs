//! N-grams of tokens, hashed to rows of a table.

use sharpi_ir::{DType, NgramHash};

use crate::tensor::Tensor;

/// `window` holds the tokens before, each plus one, the oldest first.
pub(crate) fn rows(ids: &Tensor, hash: &NgramHash, window: &mut Vec<f64>) -> Tensor {
    let heads = hash.sizes.len();
    let longest = hash.multipliers.len();
    let heads_of_length = heads / (longest - 1);
    let mut data = Vec::new();
    for id in ids.data() {
        let mut newest_first = vec![*id as u64];
        let mut ended = false;
        for before in window.iter().rev() {
            ended |= *before == 0.0 || *before - 1.0 == f64::from(hash.end);
            newest_first.push(if ended {
                u64::from(hash.end)
            } else {
                *before as u64 - 1
            });
        }
        for head in 0..heads {
            let length = 2 + head / heads_of_length;
            let terms = newest_first.iter().zip(&hash.multipliers).take(length);
            let mixed = terms.fold(0, |mixed, (id, by)| mixed ^ id.wrapping_mul(*by));
            let row = mixed % u64::from(hash.sizes[head]) + u64::from(hash.offsets[head]);
            data.push(row as f64);
        }
        window.push(id + 1.0);
        window.remove(0);
    }
    let tokens = ids.data().len();
    Tensor::from_fn(vec![tokens, heads], |i| data[i]).with_dtype(DType::I32)
}
