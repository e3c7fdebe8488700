//! A model in a few words.

use serde::Serialize;
use sharpi_compile::Model;
use sharpi_ir::plain::Plain;

/// A model as rows of `bench` and the first line of `run` name it.
#[derive(Clone, Serialize)]
pub(super) struct Described {
    pub(super) model_filename: String,
    /// Architecture, size, and the type that most bytes have.
    pub(super) model_type: String,
    /// Bytes of all tensors.
    pub(super) model_size: u64,
    pub(super) model_n_params: u64,
}

impl Described {
    pub(super) fn of(model: &Model, file: &str) -> Described {
        let gguf = model.gguf();
        let tensors = || gguf.tensors().values();
        let of_type = |ty| {
            let same = tensors().filter(move |t| t.ty == ty);
            same.map(|t| t.bytes).sum::<u64>()
        };
        let main = tensors().map(|t| t.ty).max_by_key(|ty| of_type(*ty));
        let text = |key| gguf.get(key).and_then(|value| value.as_str());
        let words = [
            text("general.architecture"),
            text("general.size_label"),
            main.map(|ty| ty.name()),
        ];
        let words = words.into_iter().flatten();
        let words: Vec<String> = words.map(|word| Plain(word).to_string()).collect();
        Described {
            model_filename: file.into(),
            model_type: words.join(" "),
            model_size: tensors().map(|t| t.bytes).sum(),
            model_n_params: tensors().map(|t| t.elements()).sum(),
        }
    }
}
