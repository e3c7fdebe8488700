//! JSON files: captures and dumps of the reference, prompts, ceilings of a machine.

use std::path::Path;

use sharpi_compile::cost::Ceilings;
use sharpi_compile::parity::{Capture, Dump, GoldenError, parse_prompts};

use crate::message;

/// Reads the bytes as each of the kinds.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let path = Path::new("file.json");
    for capture in read(Capture::parse_all(path, text)).iter().flatten() {
        message::check(capture);
        let written = serde_json::to_string(&[capture]).expect("a capture can be written");
        let again = Capture::parse_all(path, &written).expect("a capture that was written");
        assert_eq!(again[0], *capture);
    }
    if let Some(dump) = read(Dump::parse(path, text)) {
        for tensor in dump.passes.iter().flat_map(|pass| &pass.tensors) {
            tensor.elements();
        }
    }
    read(parse_prompts(path, text));
    match Ceilings::parse(text) {
        Err(error) => message::check(error),
        Ok(ceilings) => {
            for threads in [1, 2, usize::MAX] {
                ceilings.at(threads);
            }
        }
    }
}

fn read<T>(found: Result<T, GoldenError>) -> Option<T> {
    found.map_err(message::check).ok()
}
