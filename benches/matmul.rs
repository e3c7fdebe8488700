//! Weight formats times activations, by width: bytes of weights a second, and multiply-adds.
//!
//! `cargo bench --bench matmul -- Q4_K` for one format. A matrix is larger than the caches for
//! one token (`decode`), and stays in them for many (`prefill`), as runs of a model have it. `bound`
//! reads the same bytes and does nothing else with them: a product's share of the bound is its GB/s
//! by those.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use memmap2::MmapMut;
use sharpi_kernels::activation::quantize_row;
use sharpi_kernels::columns::ColumnsMut;
use sharpi_kernels::matmul::{Matrix, matmul_rows};
use sharpi_kernels::panel::{ROWS, has_panels, pack, panel_bytes};
use sharpi_kernels::probe::{LINE, sum_words};
use sharpi_kernels::quant::WeightType;

const N: usize = 4096;

/// Memory in huge pages, as the weights of a model have it.
fn huge(bytes: usize) -> MmapMut {
    let map = MmapMut::map_anon(bytes).expect("memory");
    #[cfg(target_os = "linux")]
    let _ = map.advise(memmap2::Advice::HugePage);
    map
}

/// `rows` rows in the kernels' layout; what they hold does not change the speed.
fn weights(ty: WeightType, rows: usize) -> MmapMut {
    let row_bytes = ty.row_bytes(N);
    let row: Vec<u8> = (0..row_bytes).map(|i| (i * 37 % 64) as u8).collect();
    let sixteen = row.repeat(ROWS);
    if !has_panels(ty) {
        let mut pages = huge(rows * row_bytes);
        for to in pages.chunks_exact_mut(row_bytes) {
            to.copy_from_slice(&row);
        }
        return pages;
    }
    let mut panel = vec![0; panel_bytes(ty, N)];
    pack(ty, N, &sixteen, &mut panel);
    let mut pages = huge(rows / ROWS * panel.len());
    for to in pages.chunks_exact_mut(panel.len()) {
        to.copy_from_slice(&panel);
    }
    pages
}

fn run(c: &mut Criterion, what: &str, widths: &[usize], rows: usize) {
    for ty in WeightType::ALL {
        let pages = weights(ty, rows);
        let matrix = match has_panels(ty) {
            true => Matrix::of_panels(ty, N, rows, &pages),
            false => Matrix::of_rows(ty, N, &pages),
        };
        if what == "decode" {
            bound(c, ty, &pages);
        }
        for &m in widths {
            let act = ty.activation();
            let mut acts = vec![0; m * act.row_bytes(N)];
            for (t, acts) in acts.chunks_exact_mut(act.row_bytes(N)).enumerate() {
                let x: Vec<f32> = (0..N).map(|i| ((i * 7 + t) % 101) as f32 - 50.0).collect();
                quantize_row(act, &x, acts);
            }
            let mut out = vec![0.0; m * rows];
            let mut group = c.benchmark_group(format!("{what}/{}", ty.name()));
            group.sample_size(10);
            group.throughput(match what {
                "decode" => Throughput::BytesDecimal((rows * ty.row_bytes(N)) as u64),
                _ => Throughput::Elements((rows * N * m) as u64),
            });
            group.bench_function(BenchmarkId::from_parameter(m), |b| {
                b.iter(|| {
                    let mut out = ColumnsMut::new(&mut out, rows, rows);
                    matmul_rows(matrix, 0..rows, black_box(&acts[..]).into(), &mut out);
                });
            });
        }
    }
}

/// Reads the weights with plain loads.
fn bound(c: &mut Criterion, ty: WeightType, pages: &MmapMut) {
    let (lines, _) = pages.as_chunks::<LINE>();
    let mut group = c.benchmark_group(format!("decode/{}", ty.name()));
    group.sample_size(10);
    group.throughput(Throughput::BytesDecimal((lines.len() * LINE) as u64));
    group.bench_function("bound", |b| b.iter(|| sum_words(black_box(lines))));
}

fn decode(c: &mut Criterion) {
    run(c, "decode", &[1, 2, 3, 4, 8], 16 * 1024);
}

fn prefill(c: &mut Criterion) {
    run(c, "prefill", &[512], 1024);
}

criterion_group!(benches, decode, prefill);
criterion_main!(benches);
