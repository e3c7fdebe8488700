//! Models of simple types made from the f32 file, as the reference's own quantiser makes them,
//! so the project need not carry each as a file. Their captures prove the making as well.

use sharpi_compile::Model;
use sharpi_compile::gguf::write::Writer;
use sharpi_compile::gguf::{GgmlType, Gguf};
use sharpi_compile::quantize::quantize;

use super::{fixtures, synthetic_gguf};

/// `micro-dense-TYPE` from `micro-dense-f32`, `micro-FAMILY-TYPE` from the made-up `micro-FAMILY`.
pub fn derived(name: &str) -> Option<Model> {
    let (family, ty) = name.rsplit_once('-')?;
    let ty = match ty {
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
    let k_quants = open("micro-dense-Q2_K.gguf");
    let made_up = synthetic_gguf(family);
    let source = made_up.unwrap_or_else(|| open(&format!("{family}-f32.gguf")));
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
            let width = tensor.dims[0] as usize;
            let bytes = quantize(ty, width, &values).expect("whole blocks");
            writer.tensor(name.clone(), ty, &tensor.dims, bytes);
        }
    }
    let mut bytes = Vec::new();
    writer.write(&mut bytes).expect("a model in memory");
    Some(Model::from_gguf(Gguf::from_bytes(bytes).expect("a model")))
}
