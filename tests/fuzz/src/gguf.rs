//! Model files: the header, and all that is worked out from it alone.

use sharpi_compile::gguf::Gguf;
use sharpi_compile::ir::{text, verify};
use sharpi_compile::lower::LowerOptions;
use sharpi_compile::passes::{self, Options, Verify};
use sharpi_compile::{Error, Model};

use crate::message;

/// Zeros behind the header, for the data of the tensors. They are never touched, and so take no
/// memory.
const DATA: usize = 1 << 25;

/// Opens a file, shows what is in it, lowers the model and runs the passes.
pub fn check(header: &[u8]) {
    let mut bytes = vec![0; header.len() + DATA];
    bytes[..header.len()].copy_from_slice(header);
    let gguf = match Gguf::from_bytes(bytes) {
        Ok(gguf) => gguf,
        Err(error) => return message::check(Error::from(error)),
    };
    for (key, value) in gguf.metadata() {
        assert!(!key.is_empty(), "an empty key was taken");
        message::check(value);
    }
    for tensor in gguf.tensors().values() {
        assert_eq!(gguf.data(tensor).len() as u64, tensor.bytes);
    }
    let model = Model::from_gguf(gguf);
    for error in [model.hparams().err(), model.tokenizer().err()] {
        error.into_iter().for_each(message::check);
    }
    match model.lower(&LowerOptions::default()) {
        Err(error) => message::check(error),
        Ok(module) => {
            verify(&module).expect("a lowered model verifies");
            let printed = text::print(&module);
            let again = text::parse(&printed).expect("a lowered model reads back");
            assert_eq!(text::print(&again), printed);
            let options = Options::default().verify(Verify::Each);
            passes::compile(module, &options).expect("a lowered model compiles");
        }
    }
}
