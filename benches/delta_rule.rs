//! The gated delta rule of one DeltaNet layer on one thread, by width: bytes of state a second,
//! read and written. `plain` runs store the state, `round` is what drafting does: it takes in the
//! last round's tokens and tries as many new ones.
//!
//! 48 heads of 128 × 128; the states of 16 layers take turns, so none is in a cache.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sharpi_kernels::columns::ColumnsMut;
use sharpi_kernels::gdn::{ScanWorkspace, Tokens, Updates, gdn_scan};

const HEADS: usize = 48;
const D: usize = 128;
const LAYERS: usize = 16;
const LAYER: usize = HEADS * D * D;

/// What a head gets from its tokens.
struct Inputs {
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    g: Vec<f32>,
    beta: Vec<f32>,
}

impl Inputs {
    fn new(tokens: usize) -> Inputs {
        let wave = |speed: f32, size: f32| {
            let values = (0..tokens * D).map(|i| (i as f32 * speed).sin() * size);
            values.collect()
        };
        Inputs {
            q: wave(0.7, 0.1),
            k: wave(0.3, 0.1),
            v: wave(0.9, 1.0),
            g: vec![-0.05; tokens],
            beta: vec![0.5; tokens],
        }
    }

    fn tokens(&self) -> Tokens<'_> {
        Tokens {
            q: &self.q,
            k: &self.k,
            qk_stride: D,
            v: &self.v,
            v_stride: D,
            g: &self.g,
            beta: &self.beta,
            gate_stride: 1,
        }
    }

    fn updates(&self) -> Updates<'_> {
        Updates {
            tokens: self.g.len(),
            k: &self.k,
            k_stride: D,
            g: &self.g,
            g_stride: 1,
        }
    }
}

fn bench(c: &mut Criterion) {
    let mut states = vec![0.01; LAYERS * LAYER];
    let mut workspace = ScanWorkspace::default();
    let mut group = c.benchmark_group("delta rule");
    group.sample_size(10);
    for tokens in [1, 2, 3, 4, 8, 512] {
        let inputs = Inputs::new(tokens);
        let (mut out, mut deltas) = (vec![0.0; tokens * D], vec![0.0; tokens * D]);
        for tentative in [false, true] {
            let name = if tentative { "round" } else { "plain" };
            group.throughput(Throughput::BytesDecimal(8 * LAYER as u64));
            group.bench_function(BenchmarkId::new(name, tokens), |b| {
                let mut layer = 0;
                b.iter(|| {
                    layer = (layer + 1) % LAYERS;
                    let state = &mut states[layer * LAYER..][..LAYER];
                    for head in state.chunks_exact_mut(D * D) {
                        let updates = match tentative {
                            true => inputs.updates(),
                            false => Updates::default(),
                        };
                        let out = &mut ColumnsMut::new(&mut out, D, D);
                        let deltas = &mut ColumnsMut::new(&mut deltas, D, D);
                        let (workspace, tokens) = (&mut workspace, inputs.tokens());
                        gdn_scan(updates, tokens, head, tentative, workspace, out, deltas);
                    }
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
