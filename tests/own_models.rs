//! Architectures and weights that are not the library's own.

use std::sync::Arc;

use sharpi_compile::gguf::write::Writer;
use sharpi_compile::gguf::{GgmlType, Gguf};
use sharpi_compile::ir::{Module, text};
use sharpi_compile::lower::{Architecture, LowerError, LowerOptions};
use sharpi_compile::quantize::quantize;
use sharpi_compile::{CompileOptions, Input, Model, Session, SessionOptions, Weights};

const SUMS: &str = "module @sums {
  weight @w : f32[2, 3] = \"w\"
  graph @g(%x: f32[T, 3]) -> (%y: f32[T, 2]) where T in 1..=4 {
    %0 = matmul %x, @w : f32[T, 2]
    return %y = %0
  }
}";
const W: [f32; 6] = [1.0, 2.0, 3.0, 0.5, 0.0, -1.0];

/// A product with the matrix `w`, of files that say `sums`.
struct Sums;

impl Architecture for Sums {
    fn name(&self) -> &str {
        "sums"
    }

    fn lower(&self, gguf: &Gguf, _: &LowerOptions) -> Result<Module, LowerError> {
        match gguf.tensor("w") {
            Some(_) => Ok(text::parse(SUMS).expect("a module")),
            None => Err(LowerError::Own("there is\nno w".into())),
        }
    }
}

fn file(arch: &str, tensor: &str) -> Model {
    let mut writer = Writer::new();
    writer.metadata("general.architecture", arch);
    let bytes = quantize(GgmlType::F32, 3, &W).expect("numbers");
    writer.tensor(tensor, GgmlType::F32, &[3, 2], bytes);
    let mut file = Vec::new();
    writer.write(&mut file).expect("a file");
    Model::from_gguf(Gguf::from_bytes(file).expect("a file")).with_architecture(Sums)
}

fn sums(model: &Model, module: Option<Module>) -> Vec<f32> {
    let options = CompileOptions::default();
    let executable = match module {
        Some(module) => model.compile_module(module, &options, &|_, _| ()),
        None => model.compile(&options),
    };
    let executable = Arc::new(executable.expect("an executable"));
    let mut session = Session::new(executable, &SessionOptions::default()).expect("a session");
    let x = [1.0, 10.0, 100.0, 2.0, 0.0, 0.0];
    let outputs = session.run("g", &[("x", Input::F32(&x))]).expect("a run");
    outputs.get("y").expect("sums").to_vec()
}

const EXPECTED: [f32; 4] = [321.0, -99.5, 2.0, 1.0];

#[test]
fn a_file_of_an_architecture_of_ones_own_is_compiled_and_run() {
    let model = file("sums", "w");
    assert_eq!(sums(&model, None), EXPECTED);
    assert_eq!(model.notes().expect("no notes"), []);
}

#[test]
fn an_architecture_of_ones_own_is_for_files_of_its_name_alone() {
    let error = file("sum", "w").compile(&CompileOptions::default());
    let error = error.err().expect("a refusal").to_string();
    assert!(
        error.contains("architecture `sum` is not supported"),
        "{error}"
    );
    let error = file("sums", "v").compile(&CompileOptions::default());
    assert_eq!(
        error.err().expect("a refusal").to_string(),
        "there is\\nno w"
    );
}

#[test]
fn a_graph_of_ones_own_runs_on_weights_of_ones_own() {
    let mut weights = Weights::new();
    weights
        .add("w", GgmlType::F32, &[2, 3], &W)
        .expect("numbers");
    let model = weights.into_model().expect("a model");
    assert_eq!(
        sums(&model, Some(text::parse(SUMS).expect("a module"))),
        EXPECTED
    );
    // Without metadata there is nothing to lower.
    assert!(model.compile(&CompileOptions::default()).is_err());
}

#[test]
fn weights_that_cannot_be_are_refused() {
    let mut weights = Weights::new();
    let mut error = |ty, dims: &[usize], x: &[f32]| {
        let added = weights.add("w", ty, dims, x);
        added.err().expect("a refusal").to_string()
    };
    assert_eq!(
        error(GgmlType::F32, &[2, 2], &W),
        "6 numbers are not the elements of [2, 2]"
    );
    assert!(error(GgmlType::F32, &[usize::MAX, 9], &W).starts_with("6 numbers are not"));
    assert!(error(GgmlType::Q8_0, &[2, 3], &W).contains("no blocks of 32"));
    assert!(error(GgmlType::F32, &[2, 0], &[]).contains("no rows of 0"));
}
