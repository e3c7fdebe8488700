//! Models of simple types made from the f32 file, as the reference's own quantiser makes them:
//! so the project need not carry each as a file. Their captures prove the making as well.

use half::{bf16, f16};
use sharpi_compile::Model;
use sharpi_compile::gguf::write::Writer;
use sharpi_compile::gguf::{GgmlType, Gguf};

use super::fixtures;

/// `micro-dense-TYPE` from `micro-dense-f32`.
pub fn derived(name: &str) -> Option<Model> {
    let ty = match name.strip_prefix("micro-dense-")? {
        "F16" => GgmlType::F16,
        "BF16" => GgmlType::BF16,
        "Q8_0" => GgmlType::Q8_0,
        "Q4_0" => GgmlType::Q4_0,
        "Q4_1" => GgmlType::Q4_1,
        "Q5_0" => GgmlType::Q5_0,
        "Q5_1" => GgmlType::Q5_1,
        _ => return None,
    };
    let open = |name: &str| Gguf::open(fixtures().join("models").join(name)).expect("a model");
    let (source, k_quants) = (open("micro-dense-f32.gguf"), open("micro-dense-Q2_K.gguf"));
    let mut writer = Writer::new();
    for (key, value) in source.metadata() {
        writer.metadata(key.clone(), value.clone());
    }
    for (name, tensor) in source.tensors() {
        // Vectors and the convolution stay f32 in every file; the small legacy types take Q6_K
        // for the head.
        let small = !matches!(ty, GgmlType::F16 | GgmlType::BF16 | GgmlType::Q8_0);
        let keep = tensor.dims.len() < 2 || name.contains("conv1d");
        if keep {
            writer.tensor(name.clone(), tensor.ty, &tensor.dims, source.data(tensor));
        } else if small && name == "output.weight" {
            let head = &k_quants.tensors()[name];
            writer.tensor(name.clone(), head.ty, &head.dims, k_quants.data(head));
        } else {
            let (quads, _) = source.data(tensor).as_chunks::<4>();
            let values: Vec<f32> = quads.iter().map(|b| f32::from_le_bytes(*b)).collect();
            writer.tensor(name.clone(), ty, &tensor.dims, quantise(ty, &values));
        }
    }
    let mut bytes = Vec::new();
    writer.write(&mut bytes).expect("a model in memory");
    Some(Model::from_gguf(Gguf::from_bytes(bytes).expect("a model")))
}

fn quantise(ty: GgmlType, x: &[f32]) -> Vec<u8> {
    match ty {
        GgmlType::F16 => (x.iter().flat_map(|&x| f16::from_f32(x).to_le_bytes())).collect(),
        GgmlType::BF16 => (x.iter().flat_map(|&x| bf16::from_f32(x).to_le_bytes())).collect(),
        _ => x
            .chunks_exact(32)
            .flat_map(|block| block_of(ty, block))
            .collect(),
    }
}

/// A block of 32: scale (and minimum) as f16, then quants as ggml lays them out.
fn block_of(ty: GgmlType, x: &[f32]) -> Vec<u8> {
    let half = |x: f32| f16::from_f32(x).to_le_bytes();
    match ty {
        GgmlType::Q8_0 => {
            let d = x.iter().fold(0f32, |m, x| m.max(x.abs())) / 127.0;
            let id = if d == 0.0 { 0.0 } else { 1.0 / d };
            let quants = x.iter().map(|x| (x * id).round() as i8 as u8);
            half(d).into_iter().chain(quants).collect()
        }
        GgmlType::Q4_0 | GgmlType::Q5_0 => {
            let levels = if ty == GgmlType::Q4_0 { 8.0 } else { 16.0 };
            let signed = x
                .iter()
                .fold(0f32, |m, &x| if x.abs() > m.abs() { x } else { m });
            let d = signed / -levels;
            let id = if d == 0.0 { 0.0 } else { 1.0 / d };
            let most = 2.0 * levels - 1.0;
            let quants: Vec<u8> = (x.iter())
                .map(|x| (x * id + levels + 0.5).trunc().min(most) as u8)
                .collect();
            half(d)
                .into_iter()
                .chain(packed(ty == GgmlType::Q5_0, &quants))
                .collect()
        }
        GgmlType::Q4_1 | GgmlType::Q5_1 => {
            let most = if ty == GgmlType::Q4_1 { 15.0 } else { 31.0 };
            let (min, max) =
                (x.iter()).fold((f32::MAX, f32::MIN), |(a, b), &x| (a.min(x), b.max(x)));
            let d = (max - min) / most;
            let id = if d == 0.0 { 0.0 } else { 1.0 / d };
            let quants: Vec<u8> = x
                .iter()
                .map(|x| ((x - min) * id + 0.5).trunc().min(most) as u8)
                .collect();
            let scales = half(d).into_iter().chain(half(min));
            scales
                .chain(packed(ty == GgmlType::Q5_1, &quants))
                .collect()
        }
        other => panic!("{} is not made here", other.name()),
    }
}

/// Fifth bits as one little-endian word where there are any, then pairs of low nibbles: quant i
/// beside quant i + 16.
fn packed(fifth: bool, quants: &[u8]) -> Vec<u8> {
    let bits = (0..32).fold(0u32, |bits, i| bits | u32::from(quants[i] >> 4) << i);
    let mut bytes = if fifth {
        bits.to_le_bytes().to_vec()
    } else {
        Vec::new()
    };
    bytes.extend((0..16).map(|i| quants[i] & 15 | (quants[i + 16] & 15) << 4));
    bytes
}
