//! Attention, element by element and at every level.

use half::{bf16, f16};
use proptest::prelude::*;
use sharpi_kernels::activation::ActivationType;
use sharpi_kernels::attention::{
    AttentionWorkspace, CacheRows, CacheType, Queries, Side, attend, store_row,
};

use super::{Stream, bits, dot, quantized, same_at_every_level};

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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

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
                let queries = Queries { values: &mut q, heads, seen, chosen: None };
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
}
