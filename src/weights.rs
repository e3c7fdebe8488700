//! Weights of one's own, to run graphs of one's own with.

use crate::error::Error;
use crate::gguf::write::Writer;
use crate::gguf::{GgmlType, Gguf};
use crate::model::Model;
use crate::quantize::{QuantizeError, quantize};

/// Named tensors in memory. A graph's weight is taken from the tensor that its declaration names.
#[derive(Default)]
pub struct Weights {
    writer: Writer<'static>,
}

impl Weights {
    /// No weights.
    pub fn new() -> Weights {
        Weights::default()
    }

    /// Adds a tensor, in place of an earlier one with the same name: its numbers in row order,
    /// rounded to `ty`. The last of `dims` is the width of a row, as in the types of the graphs.
    ///
    /// # Errors
    /// As [`quantize`]; numbers that are not as many as the dimensions say.
    pub fn add(
        &mut self,
        name: &str,
        ty: GgmlType,
        dims: &[usize],
        values: &[f32],
    ) -> Result<&mut Weights, QuantizeError> {
        let count = dims.iter().try_fold(1usize, |n, d| n.checked_mul(*d));
        if count != Some(values.len()) {
            return Err(QuantizeError::Count {
                values: values.len(),
                dims: dims.to_vec(),
            });
        }
        let bytes = quantize(ty, dims.last().copied().unwrap_or(1), values)?;
        let dims: Vec<u64> = dims.iter().rev().map(|n| *n as u64).collect();
        self.writer.tensor(name, ty, &dims, bytes);
        Ok(self)
    }

    /// A model of these weights alone, for [`Model::compile_module`]: without metadata it has no
    /// graphs of its own.
    ///
    /// # Errors
    /// A name or dimensions that no file can have.
    pub fn into_model(self) -> Result<Model, Error> {
        let mut bytes = Vec::new();
        // Only what a file may not hold is an error; memory takes all.
        self.writer
            .write(&mut bytes)
            .map_err(|error| QuantizeError::File(error.to_string()))?;
        Ok(Model::from_gguf(Gguf::from_bytes(bytes)?))
    }
}
