//! Functions of single rows, in elements a second, for rows of 5120 and 17408.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sharpi_kernels::activation::{ActivationType, quantize_row};
use sharpi_kernels::columns::ColumnsMut;
use sharpi_kernels::{conv, elementwise, norm, rope};

/// A function of a row, in place.
type RowFn = fn(&mut [f32]);

/// Of the first 64 elements of a head.
fn rotation() -> rope::Rotation {
    rope::Rotation {
        n_rot: 64,
        freq_base: 1e7,
        scaling: rope::Scaling::default(),
        neighbours: false,
    }
}

fn bench(c: &mut Criterion) {
    let mut group = c.benchmark_group("rows");
    group.sample_size(20);
    for n in [5120, 17_408] {
        let x: Vec<f32> = (0..n).map(|i| (i as f32 * 0.37).sin() * 4.0).collect();
        let w: Vec<f32> = (0..n).map(|i| (i as f32 * 0.21).cos()).collect();
        let mut out = vec![0.0; n];
        group.throughput(Throughput::Elements(n as u64));
        let mut row = |name: &str, f: &mut dyn FnMut(&[f32])| {
            group.bench_function(BenchmarkId::new(name, n), |b| b.iter(|| f(black_box(&x))));
        };
        for ty in [
            ActivationType::F16,
            ActivationType::BF16,
            ActivationType::Q8_0,
            ActivationType::Q8_1,
            ActivationType::Q8_K,
        ] {
            let mut bytes = vec![0; ty.row_bytes(n)];
            row(&format!("{ty:?}"), &mut |x| quantize_row(ty, x, &mut bytes));
        }
        row("rmsnorm", &mut |x| norm::rmsnorm(x, &w, 1e-6, &mut out));
        row("swiglu", &mut |x| elementwise::swiglu(x, &w, &mut out));
        let in_place: [(&str, RowFn); 5] = [
            ("silu", elementwise::silu),
            ("sigmoid", elementwise::sigmoid),
            ("softmax", elementwise::softmax),
            ("l2norm of 128", |x| {
                x.chunks_exact_mut(128).for_each(|x| norm::l2norm(x, 1e-6));
            }),
            ("rope of 256", |x| {
                let (angles, rotation) = ([0.6; 32], rotation());
                x.chunks_exact_mut(256)
                    .for_each(|x| rotation.turn(x, &angles, &angles));
            }),
        ];
        for (name, f) in in_place {
            row(name, &mut |x| {
                out.copy_from_slice(x);
                f(&mut out);
            });
        }
        let (taps, mut state) = (vec![0.25; 4 * n], vec![0.0; 3 * n]);
        row("convolution", &mut |x| {
            let state = &mut ColumnsMut::new(&mut state, n, n);
            conv::causal_conv(x, &taps, n, 0, state, &mut ColumnsMut::new(&mut out, n, n));
            conv::advance(x, n, 0, state);
        });
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
