//! Kernels give the same bits at every SIMD level and at every width.

use half::{bf16, f16};
use proptest::prelude::*;
use sharpi_kernels::activation::{ActivationType, quantize_row};
use sharpi_kernels::attention::{
    AttentionWorkspace, CacheRows, CacheType, Queries, Side, attend, store_row,
};
use sharpi_kernels::columns::ColumnsMut;
use sharpi_kernels::matmul::{Matrix, matmul_rows};
use sharpi_kernels::panel::{ROWS, has_panels, pack, panel_bytes};
use sharpi_kernels::quant::{WeightType, dequantize_row};
use sharpi_kernels::simd::{Level, with_level};
use sharpi_kernels::{conv, elementwise, gdn, norm, rope};

const LEVELS: [Level; 5] = [
    Level::Scalar,
    Level::Avx2,
    Level::AvxVnni,
    Level::Avx512,
    Level::Amx,
];

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

/// Runs `f` at every level and holds the bits against each other.
fn same_at_every_level(what: &str, f: impl Fn() -> Vec<f32>) -> Vec<f32> {
    let scalar = with_level(Level::Scalar, &f);
    for level in LEVELS {
        assert_eq!(
            bits(&with_level(level, &f)),
            bits(&scalar),
            "{what} at {level:?}"
        );
    }
    scalar
}

/// A small reproducible stream of numbers.
struct Stream(u64);

impl Stream {
    fn next(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    /// A value in −1..1.
    fn unit(&mut self) -> f32 {
        (self.next() % 65_536) as f32 / 32_768.0 - 1.0
    }

    fn units(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.unit()).collect()
    }
}

/// Where a block keeps its half-precision factors.
fn factors(ty: WeightType) -> &'static [usize] {
    match ty {
        WeightType::Q4_1 | WeightType::Q5_1 | WeightType::Q4_K | WeightType::Q5_K => &[0, 2],
        WeightType::Q2_K => &[80, 82],
        WeightType::Q3_K => &[108],
        WeightType::Q6_K => &[208],
        WeightType::TQ1_0 => &[52],
        WeightType::TQ2_0 => &[64],
        // Its scales are bytes, of any bits.
        WeightType::NVFP4 => &[],
        _ => &[0],
    }
}

/// Rows with arbitrary bits everywhere but in the factors, which are finite: ordinary ones,
/// or with `extreme` the largest, smallest, negative and zero ones among them.
fn random_weights(
    ty: WeightType,
    n: usize,
    rows: usize,
    extreme: bool,
    seed: &mut Stream,
) -> Vec<u8> {
    let factor = |seed: &mut Stream| match (extreme, seed.next() % 6) {
        (true, 0) => half::f16::MAX,
        (true, 1) => half::f16::from_bits(1),
        (true, 2) => half::f16::MIN,
        (true, 3) => half::f16::ZERO,
        _ => half::f16::from_f32(seed.unit() * 0.01),
    };
    let mut bytes: Vec<u8> = (0..rows * ty.row_bytes(n))
        .map(|_| seed.next() as u8)
        .collect();
    for block in bytes.chunks_exact_mut(ty.block_bytes()) {
        match ty {
            WeightType::F32 => block.copy_from_slice(&seed.unit().to_le_bytes()),
            WeightType::F16 => block.copy_from_slice(&factor(seed).to_le_bytes()),
            WeightType::BF16 => {
                block.copy_from_slice(&half::bf16::from_f32(seed.unit()).to_le_bytes());
            }
            WeightType::MXFP4 => {
                block[0] = match (extreme, seed.next() % 4) {
                    (true, 0) => (seed.next() % 3) as u8,
                    (true, 1) => 255,
                    _ => 112 + (seed.next() % 16) as u8,
                }
            }
            WeightType::IQ1_M => {
                let factor = factor(seed).to_bits();
                for i in 0..4 {
                    let nibble = (factor >> (4 * i) & 15) as u8;
                    let byte = &mut block[49 + 2 * i];
                    *byte = *byte & 15 | nibble << 4;
                }
            }
            _ => {
                for at in factors(ty) {
                    block[*at..at + 2].copy_from_slice(&factor(seed).to_le_bytes());
                }
            }
        }
    }
    bytes
}

fn quantized(ty: ActivationType, x: &[f32], n: usize) -> Vec<u8> {
    let mut out = vec![0; x.len() / n * ty.row_bytes(n)];
    for (x, out) in x.chunks_exact(n).zip(out.chunks_exact_mut(ty.row_bytes(n))) {
        quantize_row(ty, x, out);
    }
    out
}

/// All rows times all activation rows.
fn matmul(weights: Matrix<'_>, acts: &[u8], out: &mut [f32]) {
    let rows = weights.rows;
    matmul_rows(
        weights,
        0..rows,
        acts.into(),
        &mut ColumnsMut::new(out, rows, rows),
    );
}

fn packed(ty: WeightType, n: usize, rows: &[u8]) -> Vec<u8> {
    let mut panels = Vec::new();
    for rows in rows.chunks(ROWS * ty.row_bytes(n)) {
        let start = panels.len();
        panels.resize(start + panel_bytes(ty, n), 0xaa);
        pack(ty, n, rows, &mut panels[start..]);
    }
    panels
}

/// A product in the order that attention and the delta rule document.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (n, mut groups, mut lanes) = (a.len(), [[0.0f32; 16]; 4], [0.0f32; 16]);
    let whole = n / 16 * 16;
    for i in 0..whole {
        let sum = &mut groups[i / 16 % 4][i % 16];
        *sum = a[i].mul_add(b[i], *sum);
    }
    for j in 0..16 {
        lanes[j] = (groups[0][j] + groups[2][j]) + (groups[1][j] + groups[3][j]);
    }
    for i in whole..n {
        lanes[i - whole] = a[i].mul_add(b[i], lanes[i - whole]);
    }
    for half in [8, 4, 2, 1] {
        for j in 0..half {
            lanes[j] += lanes[j + half];
        }
    }
    lanes[0]
}

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

/// Attention of one query as its documentation has it, element by element.
fn attend_one(
    ty: CacheType,
    q: &[f32],
    (k, v): (&[u8], &[u8]),
    seen: usize,
    scale: f32,
) -> Vec<f32> {
    let half = |x: f32| f16::from_f32(x).to_f32();
    let bf16_cache = ty == CacheType::BF16;
    let n = q.len();
    let value = |cache: &[u8], i: usize| match ty {
        CacheType::F32 => half(f32::from_le_bytes(
            cache[4 * i..4 * i + 4].try_into().unwrap(),
        )),
        CacheType::F16 => f16::from_le_bytes([cache[2 * i], cache[2 * i + 1]]).to_f32(),
        CacheType::BF16 => bf16::from_le_bytes([cache[2 * i], cache[2 * i + 1]]).to_f32(),
        CacheType::Q8_0 | CacheType::Q4_0 => {
            let (d, quant) = of_block(ty, cache, i);
            quant as f32 * d
        }
    };
    let in_blocks = ty.block_len() > 1;
    let mut q = q.to_vec();
    let mut rounded_q = Vec::new();
    if in_blocks {
        // Keys of heads of so many values are turned whole, as far as a power of two allows.
        let len = 1 << n.trailing_zeros();
        turned(&mut q, if len < 64 { 0 } else { len });
        rounded_q = quantized(ActivationType::Q8_0, &q, n);
    }
    let rounded = |x: f32| {
        if bf16_cache {
            bf16::from_f32(x).to_f32()
        } else {
            half(x)
        }
    };
    let kept = |x: f32| if bf16_cache || in_blocks { x } else { half(x) };
    // What is left of a head behind turns of 64 elements is added in f64.
    let whole = n / 64 * 64;
    let (mut max, mut sum, mut out) = (f32::NEG_INFINITY, 0.0f32, vec![0.0f32; n]);
    for p in 0..seen {
        let key: Vec<f32> = (0..n).map(|i| value(k, p * n + i)).collect();
        let query: Vec<f32> = q.iter().map(|q| rounded(*q)).collect();
        let turns = || {
            let turns = dot(&key[..whole], &query[..whole]);
            let rest = key[whole..].iter().zip(&query[whole..]);
            let rest = rest.map(|(k, q)| f64::from(k * q));
            rest.fold(f64::from(turns), |sum, x| sum + x) as f32
        };
        let score = match in_blocks {
            true => dot_of_blocks(ty, &k[p * ty.row_bytes(n)..], &rounded_q) * scale,
            false => turns() * scale,
        };
        let (keep, weight) = if score > max {
            let keep = (max - score).exp();
            max = score;
            (keep, 1.0)
        } else {
            (1.0, (score - max).exp())
        };
        sum = sum.mul_add(keep, weight);
        for (i, out) in out.iter_mut().enumerate() {
            *out = kept(value(v, p * n + i).mul_add(weight, kept(*out * keep)));
        }
    }
    let inverse = 1.0 / sum;
    out.iter_mut().for_each(|out| *out *= inverse);
    turned(
        &mut out,
        if in_blocks && n.is_multiple_of(64) {
            64
        } else {
            0
        },
    );
    out
}

/// Factor and integer of value `i` of a cache in blocks.
fn of_block(ty: CacheType, cache: &[u8], i: usize) -> (f32, i32) {
    let block = &cache[ty.row_bytes(i / 32 * 32)..];
    let d = f16::from_le_bytes([block[0], block[1]]).to_f32();
    let i = i % 32;
    let quant = match ty {
        CacheType::Q8_0 => i32::from(block[2 + i] as i8),
        _ => i32::from(block[2 + i % 16] >> (4 * (i / 16)) & 15) - 8,
    };
    (d, quant)
}

/// A key times a query in Q8_0: eight sums over the blocks, which are added as a tree.
fn dot_of_blocks(ty: CacheType, key: &[u8], query: &[u8]) -> f32 {
    let mut acc = [0.0f32; 8];
    for (b, query) in query.chunks(34).enumerate() {
        let mut isum = [0i32; 8];
        for i in 0..32 {
            isum[i / 4] += of_block(ty, key, 32 * b + i).1 * i32::from(query[2 + i] as i8);
        }
        let d = of_block(ty, key, 32 * b).0 * f16::from_le_bytes([query[0], query[1]]).to_f32();
        for j in 0..8 {
            acc[j] = (isum[j] as f32).mul_add(d, acc[j]);
        }
    }
    for half in [4, 2, 1] {
        for j in 0..half {
            acc[j] += acc[j + half];
        }
    }
    acc[0]
}

/// Hadamard's transform of each `n` values, by halves; of none for 0.
fn turned(x: &mut [f32], n: usize) {
    fn halves(x: &mut [f32]) {
        if x.len() == 1 {
            return;
        }
        let (low, high) = x.split_at_mut(x.len() / 2);
        halves(low);
        halves(high);
        for (a, b) in low.iter_mut().zip(high) {
            (*a, *b) = (*a + *b, *a - *b);
        }
    }
    if n > 0 {
        x.iter_mut().for_each(|x| *x *= 1.0 / (n as f32).sqrt());
        x.chunks_mut(n).for_each(halves);
    }
}

fn any_type() -> impl Strategy<Value = WeightType> {
    proptest::sample::select(&WeightType::ALL[..])
}

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
    fn a_matmul_gives_the_same_bits_at_every_level_and_width(
        ty in any_type(), blocks in 1usize..12, rows in 1usize..39, seed: u64, extreme: bool,
    ) {
        let seed = &mut Stream(seed);
        let n = blocks * ty.block_len().max(21);
        let most = 40;
        let weights = random_weights(ty, n, rows, extreme, seed);
        let acts = quantized(ty.activation(), &seed.units(n * most), n);
        let act_bytes = ty.activation().row_bytes(n);
        let panels = has_panels(ty).then(|| packed(ty, n, &weights));
        let file = Matrix::of_rows(ty, n, &weights);
        let loaded = match &panels {
            Some(panels) => Matrix::of_panels(ty, n, rows, panels),
            None => file,
        };
        let run = |m: usize| {
            let acts = &acts[..m * act_bytes];
            let (mut out, mut from_file) = (vec![0.0; m * rows], vec![0.0; m * rows]);
            matmul(loaded, acts, &mut out);
            matmul(file, acts, &mut from_file);
            assert_eq!(bits(&out), bits(&from_file), "{} rows as the file has them", ty.name());
            out
        };
        let all = same_at_every_level(ty.name(), || run(most));
        for m in [1, 2, 3, 4, 5, 7, 12, 13, 16, 17, 33] {
            let some = same_at_every_level(ty.name(), || run(m));
            prop_assert_eq!(bits(&some), bits(&all[..m * rows]), "{} tokens of {:?}", m, ty);
        }
    }

    #[test]
    fn a_matmul_follows_its_definition(ty in any_type(), rows in 1usize..4, seed: u64) {
        let seed = &mut Stream(seed);
        let n = 512;
        let weights = random_weights(ty, n, rows, false, seed);
        let x = seed.units(n);
        let mut got = vec![0.0; rows];
        let matrix = Matrix::of_rows(ty, n, &weights);
        matmul(matrix, &quantized(ty.activation(), &x, n), &mut got);
        let mut row = vec![0.0; n];
        for (r, got) in got.iter().enumerate() {
            dequantize_row(ty, &weights[r * ty.row_bytes(n)..][..ty.row_bytes(n)], &mut row);
            let want: f64 = row.iter().zip(&x).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum();
            let size: f64 = row.iter().zip(&x).map(|(w, x)| f64::from(w * x).powi(2)).sum();
            // Rounding to 127 steps moves each product by up to 1/254 of the row's largest.
            let error = (f64::from(*got) - want).abs() / size.sqrt();
            prop_assert!(error < 0.05, "{:?}: {} instead of {}", ty, got, want);
        }
    }

    #[test]
    fn activations_are_rounded_alike_at_every_level(seed: u64, exponent in -120i32..120) {
        let seed = &mut Stream(seed);
        let x: Vec<f32> = seed.units(512).iter().map(|v| v * 2.0f32.powi(exponent)).collect();
        for ty in [ActivationType::F16, ActivationType::BF16, ActivationType::Q8_0,
                   ActivationType::Q8_1, ActivationType::Q8_K] {
            let scalar = with_level(Level::Scalar, || quantized(ty, &x, 512));
            for level in LEVELS {
                prop_assert_eq!(&with_level(level, || quantized(ty, &x, 512)), &scalar);
            }
        }
    }

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

    #[test]
    fn attention_gives_the_same_bits_at_every_level_and_to_every_query_alone(
        dim in 1usize..200, heads in 1usize..8, tokens in 1usize..5, before in 0usize..90,
        seed: u64,
    ) {
        let seed = &mut Stream(seed);
        let positions = before + tokens;
        let seen: Vec<usize> = (before + 1..=positions).collect();
        for ty in CacheType::ALL {
            let dim = dim.next_multiple_of(ty.block_len());
            let q = seed.units(tokens * heads * dim);
            let (keys, values) = (seed.units(dim * positions), seed.units(dim * positions));
            let stride = ty.row_bytes(dim);
            let cache = |side, rows: &[f32]| {
                let mut bytes = vec![0; positions * stride];
                let work = &mut AttentionWorkspace::default();
                store_row(ty, (side, dim), rows, work, &mut bytes);
                bytes
            };
            let (k, v) = (cache(Side::Keys, &keys), cache(Side::Values, &values));
            let rows = |bytes| CacheRows { bytes, stride };
            let run = |q: &[f32], heads, seen: &[usize]| {
                let (mut q, mut out) = (q.to_vec(), vec![0.0; q.len()]);
                let queries = Queries { values: &mut q, heads, seen };
                let work = &mut AttentionWorkspace::default();
                attend((ty, ty), queries, (rows(&k), rows(&v)), 3.0, work, &mut out);
                out
            };
            let all = same_at_every_level("attention", || run(&q, heads, &seen));
            for (i, (q, all)) in q.chunks(dim).zip(all.chunks(dim)).enumerate() {
                let alone = run(q, 1, &seen[i / heads..i / heads + 1]);
                prop_assert_eq!(bits(&alone), bits(all), "query {} of {:?}", i, ty);
                let by_definition = attend_one(ty, q, (&k, &v), seen[i / heads], 3.0);
                prop_assert_eq!(bits(&by_definition), bits(all), "query {} of {:?}", i, ty);
            }
        }
    }

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

#[test]
fn threads_write_disjoint_columns_of_one_output() {
    let (ty, n, rows, m) = (WeightType::Q4_K, 512, 37, 9);
    let seed = &mut Stream(7);
    let weights = random_weights(ty, n, rows, false, seed);
    let acts = quantized(ty.activation(), &seed.units(n * m), n);
    let mut whole = vec![0.0; m * rows];
    let matrix = Matrix::of_rows(ty, n, &weights);
    matmul(matrix, &acts, &mut whole);
    let mut split = vec![0.0; m * rows];
    let first = split.as_mut_ptr();
    std::thread::scope(|scope| {
        for range in [0..10, 10..11, 11..37] {
            // SAFETY: the ranges of columns are disjoint, and `split` outlives the scope.
            let mut out =
                unsafe { ColumnsMut::from_raw(first.add(range.start), m, range.len(), rows) };
            let acts = &acts;
            scope.spawn(move || matmul_rows(matrix, range, acts.into(), &mut out));
        }
    });
    assert_eq!(bits(&split), bits(&whole));
}
