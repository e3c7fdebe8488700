//! The delta rule and the convolution before it.

use proptest::prelude::*;
use sharpi_kernels::columns::ColumnsMut;
use sharpi_kernels::{conv, gdn};

use super::{Stream, bits, dot, same_at_every_level};

/// Columns of a state, each contiguous, as the scan has them: sixteen side by side.
fn side_by_side(columns: &[f32], d: usize) -> Vec<f32> {
    let groups = columns.chunks(16 * d);
    let values = groups
        .flat_map(|group| (0..d).flat_map(move |i| group.chunks(d).map(move |column| column[i])));
    values.collect()
}

/// The delta rule as its documentation has it, for one column over all tokens of the rows of `d`.
fn delta_rule_one(
    state: &mut [f32],
    [q, k]: [&[f32]; 2],
    v: &[f32],
    [g, beta]: [&[f32]; 2],
) -> Vec<f32> {
    let d = state.len();
    let tokens = q.chunks(d).zip(k.chunks(d)).enumerate();
    let outs = tokens.map(|(t, (q, k))| {
        state.iter_mut().for_each(|s| *s *= g[t].exp());
        let delta = (v[t] - dot(state, k)) * beta[t];
        state
            .iter_mut()
            .zip(k)
            .for_each(|(s, k)| *s = k.mul_add(delta, *s));
        dot(state, q) * (1.0 / (d as f32).sqrt())
    });
    outs.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn the_delta_rule_is_the_same_at_every_level_by_ranges_of_columns_and_in_pieces(
        d in prop_oneof![Just(128usize), 1usize..140], columns in 1usize..100,
        split in 0usize..7, seed: u64,
    ) {
        let seed = &mut Stream(seed);
        // Between groups of columns.
        let (tokens, split) = (3, (16 * split).min(columns));
        let (q, k) = (seed.units(tokens * d), seed.units(tokens * d));
        let v = seed.units(tokens * columns);
        let (g, beta) = (seed.units(tokens), seed.units(tokens));
        let rows = seed.units(d * columns);
        let start = side_by_side(&rows, d);
        // Ranges of tokens and of columns, one scan each; the updates once more from their δ.
        let run = |pieces: &[(std::ops::Range<usize>, std::ops::Range<usize>)]| {
            let (mut state, mut out) = (start.clone(), vec![0.0; tokens * columns]);
            let mut again = start.clone();
            for (t, c) in pieces.iter().filter(|(_, c)| !c.is_empty()) {
                let part = gdn::Tokens {
                    q: &q[t.start * d..], k: &k[t.start * d..], qk_stride: d,
                    v: &v[t.start * columns + c.start..], v_stride: columns,
                    g: &g[t.start..], beta: &beta[t.start..], gate_stride: 1,
                };
                let mut out = ColumnsMut::new(&mut out, columns, columns);
                let mut out = out.part(t.clone(), c.clone());
                let mut deltas = vec![0.0; t.len() * c.len()];
                let mut deltas = ColumnsMut::new(&mut deltas, c.len(), c.len());
                let (workspace, again) = (&mut gdn::ScanWorkspace::default(), &mut again[c.start * d..c.end * d]);
                let none = gdn::Updates::default();
                gdn::gdn_scan(none, part, again, true, workspace, &mut out, &mut deltas);
                let updates = gdn::Updates {
                    tokens: t.len(), k: part.k, k_stride: d, g: part.g, g_stride: 1,
                };
                let nowhere = &mut out.part(0..0, 0..c.len());
                gdn::gdn_scan(updates, part, again, false, workspace, nowhere, &mut deltas);
                let state = &mut state[c.start * d..c.end * d];
                gdn::gdn_scan(none, part, state, false, workspace, &mut out, &mut deltas);
                assert_eq!(bits(again), bits(state), "the state from its updates");
            }
            [state, out].concat()
        };
        let whole = same_at_every_level("delta rule", || run(&[(0..tokens, 0..columns)]));
        let by_columns = run(&[(0..tokens, 0..split), (0..tokens, split..columns)]);
        let by_tokens = run(&[(0..1, 0..columns), (1..tokens, 0..columns)]);
        prop_assert_eq!(bits(&by_columns), bits(&whole));
        prop_assert_eq!(bits(&by_tokens), bits(&whole));
        let (mut rows, mut out) = (rows, vec![0.0; tokens * columns]);
        for (j, row) in rows.chunks_mut(d).enumerate() {
            let v: Vec<f32> = v.iter().copied().skip(j).step_by(columns).collect();
            for (t, one) in delta_rule_one(row, [&q, &k], &v, [&g, &beta]).into_iter().enumerate() {
                out[t * columns + j] = one;
            }
        }
        let defined = [side_by_side(&rows, d), out].concat();
        prop_assert_eq!(bits(&defined), bits(&whole), "by definition");
    }

    #[test]
    fn a_convolution_is_the_same_at_every_level_and_by_ranges_of_channels(
        channels in 1usize..70, tokens in 1usize..9, split in 0usize..70, seed: u64,
    ) {
        let seed = &mut Stream(seed);
        let (x, taps) = (seed.units(tokens * channels), seed.units(4 * channels));
        let before = seed.units(3 * channels);
        let run = |ranges: &[std::ops::Range<usize>]| {
            let (mut state, mut y) = (before.clone(), vec![0.0; tokens * channels]);
            for c in ranges {
                let mut state = ColumnsMut::new(&mut state, channels, channels);
                let mut y = ColumnsMut::new(&mut y, channels, channels);
                let mut state = state.part(0..3, c.clone());
                conv::causal_conv(&x, &taps, channels, c.start,
                    &mut state, &mut y.part(0..tokens, c.clone()));
                conv::advance(&x, channels, c.start, &mut state);
            }
            [state, y].concat()
        };
        let split = split % (channels + 1);
        let whole = same_at_every_level("convolution", || run(std::slice::from_ref(&(0..channels))));
        prop_assert_eq!(bits(&run(&[0..split, split..channels])), bits(&whole));
    }
}
