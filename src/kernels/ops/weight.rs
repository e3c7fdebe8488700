//! A weight of a bound graph.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use sharpi_ir::DType;

use super::parts::weight_type;
use crate::gguf::{Gguf, TensorInfo};
use crate::kernels::matmul::Matrix;
use crate::kernels::pages::Pages;
use crate::kernels::panel::{ROWS, has_panels, panel_bytes};
use crate::kernels::quant::WeightType;

/// A weight: its bytes in the model file and, once they are loaded, in panels.
pub struct Weight {
    gguf: Arc<Gguf>,
    tensor: TensorInfo,
    /// Its format.
    pub ty: WeightType,
    /// Dimensions, slowest first.
    pub dims: Vec<usize>,
    packed: OnceLock<PackedWeight>,
}

/// Where a loaded weight lies: experts one after another, each as panels or, if its format has
/// none, as rows.
struct PackedWeight {
    pages: Arc<Pages>,
    bytes: Range<usize>,
}

impl Weight {
    /// The weight that `tensor` holds; `None` where there is no kernel for `dtype`.
    pub fn new(
        gguf: &Arc<Gguf>,
        tensor: &TensorInfo,
        dtype: DType,
        dims: Vec<usize>,
    ) -> Option<Weight> {
        Some(Weight {
            gguf: gguf.clone(),
            tensor: tensor.clone(),
            ty: weight_type(dtype)?,
            dims,
            packed: OnceLock::new(),
        })
    }

    /// The tensor in the file.
    pub fn tensor(&self) -> &TensorInfo {
        &self.tensor
    }

    /// All bytes as the file has them, rows one after another.
    pub fn bytes(&self) -> &[u8] {
        self.gguf.data(&self.tensor)
    }

    /// The values of an f32 weight.
    pub fn floats(&self) -> Vec<f32> {
        let (quads, _) = self.bytes().as_chunks::<4>();
        quads.iter().map(|b| f32::from_le_bytes(*b)).collect()
    }

    /// Rows of a matrix, and values of a row.
    pub fn shape(&self) -> (usize, usize) {
        match self.dims[..] {
            [.., rows, n] => (rows, n),
            [n] => (1, n),
            [] => (1, 1),
        }
    }

    /// Matrices: experts, or one.
    pub fn matrices(&self) -> usize {
        self.dims.iter().rev().skip(2).product()
    }

    /// Bytes that [`Weight::keep`] is given.
    pub fn packed_bytes(&self) -> usize {
        self.matrices() * self.packed_matrix_bytes()
    }

    /// Bytes of one matrix among them.
    pub fn packed_matrix_bytes(&self) -> usize {
        let (rows, n) = self.shape();
        match has_panels(self.ty) {
            true => rows.div_ceil(ROWS) * panel_bytes(self.ty, n),
            false => rows * self.ty.row_bytes(n),
        }
    }

    /// Takes the kernels' layout from `pages` from now on; the first call counts.
    pub fn keep(&self, pages: Arc<Pages>, bytes: Range<usize>) {
        assert_eq!(bytes.len(), self.packed_bytes(), "bytes of a packed weight");
        let _ = self.packed.set(PackedWeight { pages, bytes });
    }

    /// The weight as a matrix.
    pub fn matrix(&self) -> Matrix<'_> {
        self.expert(0)
    }

    /// Matrix `i` of several.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn expert(&self, i: usize) -> Matrix<'_> {
        let (rows, n) = self.shape();
        let part = |bytes: usize| i * bytes..(i + 1) * bytes;
        match self.packed.get() {
            None => {
                let bytes = &self.bytes()[part(rows * self.ty.row_bytes(n))];
                Matrix::of_rows(self.ty, n, bytes)
            }
            Some(PackedWeight { pages, bytes }) => {
                let bytes = &pages.bytes()[bytes.clone()][part(self.packed_matrix_bytes())];
                match has_panels(self.ty) {
                    true => Matrix::of_panels(self.ty, n, rows, bytes),
                    false => Matrix::of_rows(self.ty, n, bytes),
                }
            }
        }
    }
}
