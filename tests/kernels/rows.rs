//! Functions of single rows.

use proptest::prelude::*;
use sharpi_kernels::{elementwise, norm, rope};

use super::{Stream, same_at_every_level};

/// Turns two thirds of `x` by some angles.
fn turn(x: &mut [f32], neighbours: bool) {
    let angles = (0..x.len() / 3).map(|i| (i as f32).sin_cos());
    let (sin, cos): (Vec<f32>, Vec<f32>) = angles.unzip();
    let rotation = rope::Rotation {
        n_rot: 2 * cos.len(),
        freq_base: 1e4,
        scaling: rope::Scaling::default(),
        neighbours,
    };
    rotation.turn(x, &cos, &sin);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn row_functions_give_the_same_bits_at_every_level(n in 1usize..300, seed: u64) {
        let seed = &mut Stream(seed);
        let x: Vec<f32> = seed.units(n).iter().map(|v| v * 30.0).collect();
        let w = seed.units(n);
        let changed = |f: fn(&mut [f32])| {
            let mut x = x.clone();
            f(&mut x);
            x
        };
        same_at_every_level("silu", || changed(elementwise::silu));
        same_at_every_level("sigmoid", || changed(elementwise::sigmoid));
        same_at_every_level("softplus", || changed(elementwise::softplus));
        same_at_every_level("rotation of halves", || changed(|x| turn(x, false)));
        same_at_every_level("rotation of neighbours", || changed(|x| turn(x, true)));
        same_at_every_level("softmax", || changed(elementwise::softmax));
        same_at_every_level("l2norm", || changed(|x| norm::l2norm(x, 1e-6)));
        same_at_every_level("rmsnorm", || {
            let mut out = vec![0.0; n];
            norm::rmsnorm(&x, &w, 1e-6, &mut out);
            out
        });
        same_at_every_level("swiglu", || {
            let mut out = vec![0.0; n];
            elementwise::swiglu(&x, &w, &mut out);
            out
        });
    }
}
