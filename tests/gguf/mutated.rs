//! Damaged files give an error or a model that is sound, never a panic.

use std::fs;
use std::sync::LazyLock;

use proptest::collection::vec;
use proptest::prelude::*;
use sharpi_compile::gguf::Gguf;

use crate::real::fixture;
use crate::round_trip::small_file;

static SMALL: LazyLock<Vec<u8>> = LazyLock::new(small_file);

static MODEL: LazyLock<Vec<u8>> =
    LazyLock::new(|| fs::read(fixture("micro-dense-Q2_K.gguf")).unwrap());

/// Where the tensor data of `bytes` begins.
fn header_bytes(bytes: &[u8]) -> usize {
    let gguf = Gguf::from_bytes(bytes.to_vec()).unwrap();
    gguf.tensors()
        .values()
        .map(|t| t.offset as usize)
        .min()
        .unwrap()
}

/// If the file opens at all, every tensor has the bytes it says it has.
fn check(bytes: Vec<u8>) {
    if let Ok(gguf) = Gguf::from_bytes(bytes) {
        for t in gguf.tensors().values() {
            assert_eq!(gguf.data(t).len() as u64, t.bytes);
            assert_eq!(
                t.elements() / t.ty.block_len() * t.ty.block_bytes(),
                t.bytes
            );
        }
        for value in gguf.metadata().values() {
            assert!(value.to_string().len() < 100_000);
        }
    }
}

/// Bytes to overwrite: mostly small numbers and extremes, which do most harm.
fn damage() -> impl Strategy<Value = Vec<(prop::sample::Index, Vec<u8>)>> {
    let byte = prop_oneof![any::<u8>(), Just(0), Just(0xff), 0u8..16];
    vec((any::<prop::sample::Index>(), vec(byte, 1..9)), 1..6)
}

fn damaged(bytes: &[u8], within: usize, damage: &[(prop::sample::Index, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for (place, with) in damage {
        let start = place.index(within);
        let end = bytes.len().min(start + with.len());
        bytes[start..end].copy_from_slice(&with[..end - start]);
    }
    bytes
}

#[test]
fn a_small_file_cut_anywhere_before_its_last_tensor_ends_is_an_error() {
    let last = {
        let gguf = Gguf::from_bytes(SMALL.clone()).unwrap();
        gguf.tensors()
            .values()
            .map(|t| t.offset + t.bytes)
            .max()
            .unwrap()
    };
    for end in 0..last as usize {
        let error = Gguf::from_bytes(SMALL[..end].to_vec()).unwrap_err();
        assert!(
            error.offset().unwrap() <= end as u64,
            "cut at {end}: {error}"
        );
    }
}

#[test]
fn any_single_byte_of_a_small_file_may_be_wrong() {
    for at in 0..SMALL.len() {
        for byte in [0, 1, 0x7f, 0x80, 0xff] {
            let mut bytes = SMALL.clone();
            bytes[at] = byte;
            check(bytes);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]
    #[test]
    fn a_damaged_small_file_is_sound_or_an_error(damage in damage()) {
        check(damaged(&SMALL, SMALL.len(), &damage));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn a_damaged_model_is_sound_or_an_error(damage in damage()) {
        check(damaged(&MODEL, header_bytes(&MODEL), &damage));
    }

    #[test]
    fn a_model_cut_in_its_header_is_an_error(cut in any::<prop::sample::Index>()) {
        let cut = cut.index(header_bytes(&MODEL));
        prop_assert!(Gguf::from_bytes(MODEL[..cut].to_vec()).is_err());
    }

    #[test]
    fn a_model_cut_in_its_data_is_an_error(cut in any::<prop::sample::Index>()) {
        let cut = header_bytes(&MODEL) + cut.index(MODEL.len() - header_bytes(&MODEL) - 32);
        prop_assert!(Gguf::from_bytes(MODEL[..cut].to_vec()).is_err());
    }
}
