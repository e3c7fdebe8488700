//! One attention layer on one thread: decode and verify runs at some lengths of context, in bytes
//! of cache a second, and a prefill of 512 tokens, in pairs of query and position.
//!
//! 24 query heads, 4 kv heads, 256 elements; the cache is f16.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sharpi_kernels::attention::{
    AttentionWorkspace, CacheRows, CacheType, Queries, Side, attend, store_row,
};

const HEADS: usize = 24;
const KV_HEADS: usize = 4;
const GROUP: usize = HEADS / KV_HEADS;
const DIM: usize = 256;
const TYPE: CacheType = CacheType::F16;
const STRIDE: usize = KV_HEADS * DIM * 2;

/// Keys or values, other ones at every position and all within −1..1.
fn cache(positions: usize) -> Vec<u8> {
    let mut bytes = vec![0; positions * STRIDE];
    for (p, row) in bytes.chunks_exact_mut(STRIDE).enumerate() {
        let values: Vec<f32> = (0..KV_HEADS * DIM)
            .map(|i| ((p * 31 + i * 7) as f32).sin())
            .collect();
        let work = &mut AttentionWorkspace::default();
        store_row(TYPE, (Side::Keys, DIM), &values, work, row);
    }
    bytes
}

/// The last `tokens` tokens of a context, a tile of them after another.
fn layer(k: &[u8], v: &[u8], tokens: usize, tile: usize, work: &mut AttentionWorkspace) {
    let positions = k.len() / STRIDE;
    let before = positions - tokens;
    for first in (0..tokens).step_by(tile) {
        let tile = tile.min(tokens - first);
        let seen: Vec<usize> = (1..=tile).map(|t| before + first + t).collect();
        for head in 0..KV_HEADS {
            let rows = |bytes| CacheRows {
                bytes: &<[u8]>::as_ref(bytes)[head * DIM * 2..],
                stride: STRIDE,
            };
            let count = tile * GROUP * DIM;
            let mut q: Vec<f32> = (0..count).map(|i| (i as f32 * 0.37).cos()).collect();
            let mut out = vec![0.0; count];
            let queries = Queries {
                values: &mut q,
                heads: GROUP,
                seen: &seen,
                chosen: None,
            };
            attend(
                (TYPE, TYPE),
                queries,
                (rows(k), rows(v)),
                0.0625,
                work,
                &mut out,
            );
        }
    }
}

fn bench(c: &mut Criterion) {
    let work = &mut AttentionWorkspace::default();
    let mut group = c.benchmark_group("decode");
    group.sample_size(10);
    for positions in [1024, 8192, 32_768] {
        let (k, v) = (cache(positions), cache(positions));
        group.throughput(Throughput::BytesDecimal(2 * k.len() as u64));
        for tokens in [1, 3] {
            let id = BenchmarkId::new(format!("{tokens} tokens"), positions);
            group.bench_function(id, |b| b.iter(|| layer(&k, &v, tokens, tokens, work)));
        }
    }
    group.finish();
    let mut group = c.benchmark_group("prefill");
    group.sample_size(10);
    let tokens = 512;
    let (k, v) = (cache(tokens), cache(tokens));
    group.throughput(Throughput::Elements(
        (HEADS * tokens * (tokens + 1) / 2) as u64,
    ));
    group.bench_function(BenchmarkId::from_parameter(tokens), |b| {
        b.iter(|| layer(&k, &v, tokens, 8, work));
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
