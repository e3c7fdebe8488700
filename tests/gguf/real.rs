//! The bundled models.

use std::path::PathBuf;
use std::sync::Arc;

use sharpi_compile::gguf::{GgmlType, Gguf, GgufError};

pub fn fixture(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "fixtures/models", name]
        .iter()
        .collect()
}

#[test]
fn every_bundled_model_opens_and_its_tensors_fill_the_file() {
    for name in [
        "micro-dense-IQ4_XS.gguf",
        "micro-dense-Q2_K.gguf",
        "micro-dense-f32.gguf",
        "micro-moe-f32.gguf",
        "tiny-dense-Q4_K_M.gguf",
        "tiny-moe-Q4_K_M.gguf",
    ] {
        let gguf = Gguf::open(fixture(name)).unwrap();
        let end = gguf.tensors().values().map(|t| t.offset + t.bytes).max();
        assert_eq!(
            end.unwrap().next_multiple_of(32),
            gguf.file_bytes(),
            "{name}"
        );
    }
}

#[test]
fn a_model_reads_the_same_mapped_static_and_owned() {
    const BYTES: &[u8] = include_bytes!("../../fixtures/models/micro-dense-Q2_K.gguf");
    let mapped = Gguf::open(fixture("micro-dense-Q2_K.gguf")).unwrap();
    for other in [
        Gguf::from_static(BYTES).unwrap(),
        Gguf::from_bytes(BYTES.to_vec()).unwrap(),
    ] {
        assert_eq!(mapped.metadata(), other.metadata());
        assert_eq!(mapped.tensors(), other.tensors());
        for t in mapped.tensors().values() {
            assert!(mapped.data(t) == other.data(t), "{}", t.name);
        }
    }
}

#[test]
fn a_known_model_has_its_known_contents() {
    let gguf = Gguf::open(fixture("micro-dense-Q2_K.gguf")).unwrap();
    assert_eq!(
        gguf.get("general.architecture").unwrap().as_str(),
        Some("qwen35")
    );
    assert_eq!(gguf.get("qwen35.block_count").unwrap().as_u64(), Some(4));
    let tokens = gguf
        .get("tokenizer.ggml.tokens")
        .unwrap()
        .as_array()
        .unwrap();
    assert_eq!(tokens.as_strs().unwrap().len(), tokens.len());
    assert_eq!(gguf.tensors().len(), 0x39);
    assert!(gguf.tensors().values().any(|t| t.ty == GgmlType::Q2_K));
}

#[test]
fn a_model_can_be_shared_between_threads() {
    let gguf = Arc::new(Gguf::open(fixture("micro-dense-Q2_K.gguf")).unwrap());
    let other = Arc::clone(&gguf);
    let count = std::thread::spawn(move || other.tensors().len());
    assert_eq!(count.join().unwrap(), gguf.tensors().len());
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Gguf::open("no/such.gguf").unwrap_err();
    assert!(matches!(error, GgufError::Io { .. }));
    assert!(error.to_string().starts_with("no/such.gguf: "), "{error}");
}
