use super::*;
use crate::activation::ActivationType;
use crate::activation::quantize_row;
use crate::panel::pack;
use crate::panel::{has_panels, panel_bytes};
use crate::quant::RowBlock;
use crate::quant::{Factor, Format, Offset, WeightType};

/// One row times one activation row, read off the definition.
fn by_definition<F: Format>(ty: ActivationType, weights: &[u8], acts: &[u8]) -> f32 {
    let f16 = |bytes: &[u8]| half::f16::from_le_bytes([bytes[0], bytes[1]]).to_f32();
    let (mut acc, mut accm) = ([0.0f32; 8], 0.0f32);
    if ty.block_len() < F::LEN {
        return by_parts::<F>(weights, acts);
    }
    if F::OFFSET == Offset::Deltas {
        return by_deltas::<F>(weights, acts);
    }
    for (w, a) in weights
        .chunks_exact(F::BYTES)
        .zip(acts.chunks_exact(ty.block_bytes()))
    {
        let block = RowBlock::<F>::new(w);
        let (d_w, dmin) = (block.d(), block.dmin());
        let (d, q) = match ty {
            ActivationType::Q8_0 => (f16(a), &a[2..]),
            ActivationType::Q8_1 => (f16(a), &a[4..]),
            _ => (f32::from_le_bytes(a[..4].try_into().unwrap()), &a[4..260]),
        };
        let (mut isum, mut imin) = ([0i32; 8], 0i32);
        for (i, a) in q.iter().map(|a| i32::from(*a as i8)).enumerate() {
            let scale = block.scale(i);
            isum[i % 32 / 4 % F::SUMS] += scale * (block.quant(i) + F::BIAS) * a;
            isum[i / 32] -= scale * F::BIAS * a;
            imin += block.min(i) * a;
        }
        for (acc, isum) in acc.iter_mut().zip(isum) {
            *acc = (isum as f32).mul_add(d_w * d, *acc);
        }
        match F::OFFSET {
            Offset::None | Offset::Deltas => {}
            Offset::Mins => accm = (imin as f32).mul_add(dmin * d, accm),
            Offset::Added => accm = (-dmin).mul_add(f16(&a[2..]), accm),
        }
    }
    of_eight(acc) - accm
}

fn of_eight(acc: [f32; 8]) -> f32 {
    ((acc[0] + acc[4]) + (acc[2] + acc[6])) + ((acc[1] + acc[5]) + (acc[3] + acc[7]))
}

/// [`by_definition`] of blocks that meet several of Q8_0.
fn by_parts<F: Format>(weights: &[u8], acts: &[u8]) -> f32 {
    let parts = F::LEN / 32;
    let mut acc = [0.0f32; 8];
    let acts = acts.chunks_exact(34 * parts);
    for (w, acts) in weights.chunks_exact(F::BYTES).zip(acts) {
        let block = RowBlock::<F>::new(w);
        let mut inner = [0.0f32; 8];
        for (g, a) in acts.chunks_exact(34).enumerate() {
            let d = half::f16::from_le_bytes([a[0], a[1]]).to_f32();
            let mut isum = [0i32; 8];
            for (i, a) in a[2..].iter().enumerate() {
                isum[i / 4 % F::SUMS] +=
                    block.scale(32 * g + i) * block.quant(32 * g + i) * i32::from(*a as i8);
            }
            for j in 0..F::SUMS {
                match F::D {
                    Factor::One => acc[j] = (isum[j] as f32).mul_add(d * F::UNIT, acc[j]),
                    _ => inner[j] = (isum[j] as f32).mul_add(d, inner[j]),
                }
            }
        }
        if F::D != Factor::One {
            for j in 0..F::SUMS {
                acc[j] = inner[j].mul_add(block.d(), acc[j]);
            }
        }
    }
    of_eight(acc)
}

/// [`by_definition`] of blocks with deltas, each of which is ±1 beside a multiple of eight.
fn by_deltas<F: Format>(weights: &[u8], acts: &[u8]) -> f32 {
    let (mut acc, mut deltas) = ([0.0f32; 8], [0.0f32; 8]);
    for (w, a) in weights.chunks_exact(F::BYTES).zip(acts.chunks_exact(292)) {
        let block = RowBlock::<F>::new(w);
        let d = block.d() * f32::from_le_bytes(a[..4].try_into().unwrap());
        let mut isum = [[0i32; 8]; 2];
        for (i, a) in a[4..260].iter().map(|a| i32::from(*a as i8)).enumerate() {
            let delta = if block.quant(i).rem_euclid(8) == 1 {
                1
            } else {
                -1
            };
            isum[0][i % 32 / 4] += block.scale(i) * (block.quant(i) - delta) * a;
            isum[1][i % 32 / 4] += block.scale(i) * delta * a;
        }
        for j in 0..8 {
            acc[j] = (isum[0][j] as f32).mul_add(d, acc[j]);
            deltas[j] = (isum[1][j] as f32).mul_add(d, deltas[j]);
        }
    }
    of_eight(acc) + of_eight(deltas)
}

fn panels(ty: WeightType, n: usize, rows: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    for rows in rows.chunks(ROWS * ty.row_bytes(n)) {
        let start = packed.len();
        packed.resize(start + panel_bytes(ty, n), 0);
        pack(ty, n, rows, &mut packed[start..]);
    }
    packed
}

#[test]
fn every_block_format_follows_the_definition_bit_for_bit_at_every_width() {
    let (n, rows, most) = (2560, 38, 30);
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    for ty in WeightType::ALL.into_iter().filter(|ty| has_panels(*ty)) {
        // Factors of any bits but those of infinities and NaN.
        let weights: Vec<u8> = (0..rows * ty.row_bytes(n)).map(|_| next() & 0xbf).collect();
        let packed = panels(ty, n, &weights);
        let act = ty.activation();
        let mut acts = vec![0; most * act.row_bytes(n)];
        for acts in acts.chunks_exact_mut(act.row_bytes(n)) {
            let x: Vec<f32> = (0..n).map(|_| f32::from(next()) - 127.5).collect();
            quantize_row(act, &x, acts);
        }
        let want: Vec<u32> = (0..most * rows)
            .map(|i| {
                let w = &weights[i % rows * ty.row_bytes(n)..][..ty.row_bytes(n)];
                let a = &acts[i / rows * act.row_bytes(n)..][..act.row_bytes(n)];
                let value = with_format!(
                    ty, F => by_definition::<F>(act, w, a), float => unreachable!()
                );
                value.to_bits()
            })
            .collect();
        let forms = [
            Matrix::of_rows(ty, n, &weights),
            Matrix::of_panels(ty, n, rows, &packed),
        ];
        for (m, weights) in [1, 2, 3, 4, 5, 13, most]
            .into_iter()
            .flat_map(|m| forms.map(|form| (m, form)))
        {
            // All rows, and some that begin and end within a panel.
            for part in [0..rows, 5..19] {
                let mut out = vec![0.0; m * part.len()];
                let mut view = ColumnsMut::new(&mut out, part.len(), part.len());
                let acts = &acts[..m * act.row_bytes(n)];
                matmul_rows(weights, part.clone(), acts.into(), &mut view);
                for (i, got) in out.iter().enumerate() {
                    let (t, r) = (i / part.len(), part.start + i % part.len());
                    let same = got.to_bits() == want[t * rows + r];
                    assert!(same, "{ty:?}, {m} tokens, token {t}, row {r}");
                }
            }
        }
    }
}

#[test]
fn tiles_of_amx_give_the_bits_of_vectors_over_several_rounds_of_tokens_panels_and_blocks() {
    use crate::simd::{Level, with_level};
    let (n, rows, tokens) = (4096 + 256, 13 * ROWS + 5, 531);
    let mut state = 7u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    // Used again and again, as by a worker.
    let mut tiles = Tiles::default();
    for ty in [
        WeightType::Q4_0,
        WeightType::IQ4_XS,
        WeightType::Q4_K,
        WeightType::Q2_K,
    ] {
        let weights: Vec<u8> = (0..rows * ty.row_bytes(n)).map(|_| next() & 0x3f).collect();
        let packed = panels(ty, n, &weights);
        let act = ty.activation();
        let mut acts = vec![0; tokens * act.row_bytes(n)];
        for acts in acts.chunks_exact_mut(act.row_bytes(n)) {
            let x: Vec<f32> = (0..n).map(|_| f32::from(next()) - 127.5).collect();
            quantize_row(act, &x, acts);
        }
        let [vectors, squares] = [Level::Avx512, Level::Amx].map(|level| {
            let mut out = vec![0.0; tokens * rows];
            let mut view = ColumnsMut::new(&mut out, rows, rows);
            let matrix = Matrix::of_panels(ty, n, rows, &packed);
            with_level(level, || {
                tiles.fill(ty, tokens, &acts);
                matmul_rows(matrix, 0..rows, (&tiles).into(), &mut view);
            });
            out
        });
        let same = |(a, b): (&f32, &f32)| a.to_bits() == b.to_bits();
        assert!(vectors.iter().zip(&squares).all(same), "{ty:?}");
    }
}
