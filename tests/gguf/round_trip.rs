//! What the writer writes, the reader reads.

use proptest::collection::vec;
use proptest::prelude::*;
use sharpi_compile::gguf::write::Writer;
use sharpi_compile::gguf::{Array, GgmlType, Gguf, Value};

pub fn written(writer: &Writer) -> Vec<u8> {
    let mut bytes = Vec::new();
    writer.write(&mut bytes).unwrap();
    bytes
}

/// A value of every type and an array of every type.
fn every_value() -> Vec<Value> {
    let arrays: Vec<Array> = vec![
        vec![1u8, 255].into(),
        vec![-1i8, 1].into(),
        vec![1u16, u16::MAX].into(),
        vec![-1i16, 1].into(),
        vec![1u32, u32::MAX].into(),
        vec![-1i32, 1].into(),
        vec![0.5f32, -1e30].into(),
        vec![true, false].into(),
        vec![String::new(), "naïve".to_owned()].into(),
        Array::Nested(vec![vec![1u8].into(), vec![true].into()]),
        vec![u64::MAX].into(),
        vec![i64::MIN].into(),
        vec![1e300f64].into(),
    ];
    let scalars: Vec<Value> = vec![
        1u8.into(),
        (-1i8).into(),
        1u16.into(),
        (-1i16).into(),
        1u32.into(),
        (-1i32).into(),
        0.5f32.into(),
        true.into(),
        "text".into(),
        u64::MAX.into(),
        i64::MIN.into(),
        1e300f64.into(),
    ];
    let arrays = arrays.into_iter().map(Value::from);
    scalars.into_iter().chain(arrays).collect()
}

/// A file with every kind of value and a few tensors.
pub fn small_file() -> Vec<u8> {
    let mut writer = Writer::new();
    for (index, value) in every_value().into_iter().enumerate() {
        writer.metadata(format!("test.value_{index}"), value);
    }
    writer
        .tensor("norm", GgmlType::F32, &[3], vec![1; 12])
        .tensor("weight", GgmlType::Q8_0, &[64, 2], vec![2; 4 * 34])
        .tensor("bias", GgmlType::BF16, &[1, 1, 1, 5], vec![3; 10]);
    written(&writer)
}

#[test]
fn every_value_type_survives() {
    let gguf = Gguf::from_bytes(small_file()).unwrap();
    let values: Vec<Value> = gguf.metadata().values().cloned().collect();
    assert_eq!(values, every_value());
    assert_eq!(gguf.version(), 3);
}

#[test]
fn tensors_keep_their_order_shape_and_bytes() {
    let bytes = small_file();
    let gguf = Gguf::from_bytes(bytes.clone()).unwrap();
    let names: Vec<&String> = gguf.tensors().keys().collect();
    assert_eq!(names, ["norm", "weight", "bias"]);
    let weight = gguf.tensor("weight").unwrap();
    assert_eq!(
        (weight.ty, &weight.dims[..]),
        (GgmlType::Q8_0, &[64, 2][..])
    );
    assert_eq!(
        (weight.bytes, weight.elements(), weight.part),
        (136, 128, 0)
    );
    assert_eq!(weight.offset % 32, 0);
    assert_eq!(gguf.data(weight), [2; 136]);
    assert_eq!(gguf.data(gguf.tensor("bias").unwrap()), [3; 10]);
    assert_eq!(gguf.file_bytes(), bytes.len() as u64);
}

#[test]
fn data_follows_the_alignment_in_the_metadata() {
    let mut writer = Writer::new();
    writer
        .metadata("general.alignment", 4096u32)
        .tensor("a", GgmlType::I8, &[1], vec![1])
        .tensor("b", GgmlType::I8, &[1], vec![2]);
    let gguf = Gguf::from_bytes(written(&writer)).unwrap();
    let offsets: Vec<u64> = gguf.tensors().values().map(|t| t.offset).collect();
    assert_eq!(offsets, [4096, 8192]);
    assert_eq!(gguf.data(gguf.tensor("b").unwrap()), [2]);
}

#[test]
fn version_2_files_read_the_same() {
    let mut bytes = small_file();
    bytes[4] = 2;
    let gguf = Gguf::from_bytes(bytes).unwrap();
    assert_eq!((gguf.version(), gguf.tensors().len()), (2, 3));
}

#[test]
fn the_writer_refuses_data_of_the_wrong_size() {
    let mut writer = Writer::new();
    writer.tensor("t", GgmlType::Q4_K, &[256], vec![0; 143]);
    let error = writer.write(std::io::sink()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    assert_eq!(
        error.to_string(),
        "tensor t: expected 144 bytes of data, found 143"
    );
}

#[test]
fn the_writer_refuses_an_alignment_that_the_reader_would() {
    let mut writer = Writer::new();
    writer.metadata("general.alignment", 12u32);
    let error = writer.write(std::io::sink()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
}

#[test]
fn holes_read_as_zeros() {
    let mut writer = Writer::new();
    writer
        .tensor("first", GgmlType::F32, &[3], vec![1; 12])
        .zeros("hole", GgmlType::Q4_K, &[256, 2000])
        .unwrap()
        .tensor("last", GgmlType::F32, &[1], vec![2; 4])
        .zeros("end", GgmlType::I8, &[5])
        .unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    writer.write_sparse(file.as_file()).unwrap();
    assert!(std::fs::read(file.path()).unwrap() == written(&writer));
    let gguf = Gguf::open(file.path()).unwrap();
    let data = |name: &str| gguf.data(gguf.tensor(name).unwrap());
    assert_eq!(data("hole"), vec![0; 2000 * 144]);
    assert_eq!(data("last"), [2; 4]);
}

proptest! {
    #[test]
    fn any_tensors_survive(
        tensors in vec((0..GgmlType::ALL.len(), 1u64..4, vec(1u64..4, 0..3)), 0..6),
        alignment in 3u32..13,
    ) {
        let mut writer = Writer::new();
        writer.metadata("general.alignment", 1u32 << alignment);
        let mut expected = Vec::new();
        for (index, (ty, blocks, outer)) in tensors.into_iter().enumerate() {
            let ty = GgmlType::ALL[ty];
            let bytes = blocks * ty.block_bytes() * outer.iter().product::<u64>();
            let dims = [vec![blocks * ty.block_len()], outer].concat();
            let data = vec![index as u8 + 1; bytes as usize];
            writer.tensor(format!("t{index}"), ty, &dims, data.clone());
            expected.push((ty, dims, data));
        }
        let gguf = Gguf::from_bytes(written(&writer)).unwrap();
        let found: Vec<_> = gguf
            .tensors()
            .values()
            .map(|t| (t.ty, t.dims.clone(), gguf.data(t).to_vec()))
            .collect();
        prop_assert_eq!(found, expected);
    }
}
