//! The real engine over a module with weights of its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use sharpi_compile::exec::{Executor, ExecutorOptions};
use sharpi_compile::gguf::write::Writer;
use sharpi_compile::gguf::{GgmlType, Gguf};
use sharpi_compile::ir::DType;
use sharpi_compile::passes::Options;
use sharpi_compile::{CompileOptions, Executable, Input, Model, Outputs, Session};
use sharpi_evaluator::Tensor;

use crate::case::{Case, Run};
use crate::formats::{decode, encode};

/// Positions of a session, and tokens that it can take back.
const CONTEXT: usize = 128;
const ROLLBACK: usize = 32;

/// An output, to the bit.
#[derive(Clone, PartialEq, Debug)]
pub enum Bits {
    F32(Vec<u32>),
    I32(Vec<i32>),
    /// Rows in an activation format.
    Bytes(Vec<u8>),
}

impl Bits {
    /// An output of a run.
    pub fn of(outputs: &Outputs, name: &str) -> Option<Bits> {
        let floats = outputs
            .get(name)
            .map(|x| Bits::F32(x.iter().map(|x| x.to_bits()).collect()));
        let numbers = || outputs.numbers(name).map(|x| Bits::I32(x.to_vec()));
        let bytes = || outputs.bytes(name).map(|x| Bits::Bytes(x.to_vec()));
        floats.or_else(numbers).or_else(bytes)
    }

    /// The numbers that they stand for.
    pub fn numbers(&self, ty: DType) -> Result<Vec<f64>, String> {
        match self {
            Bits::F32(x) => Ok(x.iter().map(|x| f64::from(f32::from_bits(*x))).collect()),
            Bits::I32(x) => Ok(x.iter().map(|x| f64::from(*x)).collect()),
            Bits::Bytes(x) => decode(x, ty),
        }
    }

    /// Takes away what stands behind the first of so many equal parts.
    pub fn take_rest(&mut self, parts: usize) -> Bits {
        match self {
            Bits::F32(x) => Bits::F32(x.split_off(x.len() / parts)),
            Bits::I32(x) => Bits::I32(x.split_off(x.len() / parts)),
            Bits::Bytes(x) => Bits::Bytes(x.split_off(x.len() / parts)),
        }
    }

    /// What two runs in a row would give, one behind the other.
    pub fn append(&mut self, more: Bits) {
        match (self, more) {
            (Bits::F32(x), Bits::F32(more)) => x.extend(more),
            (Bits::I32(x), Bits::I32(more)) => x.extend(more),
            (Bits::Bytes(x), Bits::Bytes(more)) => x.extend(more),
            (x, more) => panic!("{more:?} behind {x:?}"),
        }
    }
}

/// Outputs by name.
pub type AllBits = BTreeMap<String, Bits>;

/// A module's weights as a model file.
pub fn model(case: &Case) -> Result<Model, String> {
    let mut writer = Writer::new();
    for (_, name, weight) in case.module.symbols.weights() {
        let (None, Some(tensor)) = (&weight.rows, case.weights.get(name)) else {
            continue;
        };
        let same = |ty: &&GgmlType| ty.name().eq_ignore_ascii_case(weight.ty.dtype.name());
        let ty = GgmlType::ALL.iter().find(same).ok_or("a type of no file")?;
        let dims: Vec<u64> = tensor.dims().iter().rev().map(|n| *n as u64).collect();
        let bytes = encode(tensor.data(), weight.ty.dtype).map_err(|e| format!("@{name}: {e}"))?;
        writer.tensor(&weight.source, *ty, &dims, bytes);
    }
    let mut file = Vec::new();
    writer.write(&mut file).map_err(|e| e.to_string())?;
    let gguf = Gguf::from_bytes(file).map_err(|e| e.to_string())?;
    Ok(Model::from_gguf(gguf))
}

/// A case compiled with these passes.
pub fn compile(case: &Case, model: &Model, passes: &Options) -> Result<Arc<Executable>, String> {
    let options = CompileOptions::default().passes(passes.clone());
    let executable = model.compile_module(case.module.clone(), &options, &|_, _| ());
    Ok(Arc::new(executable.map_err(|e| e.to_string())?))
}

pub fn executor(executable: &Arc<Executable>, threads: usize) -> Arc<Executor> {
    let options = ExecutorOptions::default().threads(threads);
    Executor::new(executable.clone(), &options).expect("an executor")
}

pub fn session(executor: &Arc<Executor>) -> Session {
    executor.session(CONTEXT, ROLLBACK).expect("a session")
}

/// The elements of an input as the engine takes them.
pub struct Elements<'a> {
    name: &'a str,
    floats: Vec<f32>,
    whole: Option<Vec<i32>>,
}

impl<'a> Elements<'a> {
    /// The inputs of a run of which each is `part` alone.
    pub fn of(run: &'a Run, part: impl Fn(&Tensor) -> Vec<f64>) -> Vec<Elements<'a>> {
        let inputs = run.inputs.iter().map(|(name, tensor)| {
            let data = part(tensor);
            let whole =
                (tensor.dtype() == DType::I32).then(|| data.iter().map(|x| *x as i32).collect());
            let floats = data.iter().map(|x| *x as f32).collect();
            Elements {
                name,
                floats,
                whole,
            }
        });
        inputs.collect()
    }

    /// The named input.
    pub fn input(&self) -> (&str, Input<'_>) {
        let input = match &self.whole {
            Some(numbers) => Input::I32(numbers),
            None => Input::F32(&self.floats),
        };
        (self.name, input)
    }
}
