//! A weight of a bound graph.

use std::io;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use sharpi_ir::RowSet;

use super::parts::weight_type;
use crate::exec::pages::Pages;
use crate::gguf::{Gguf, TensorInfo};
use sharpi_kernels::matmul::Matrix;
use sharpi_kernels::panel::{has_panels, packed_bytes};
use sharpi_kernels::quant::WeightType;

/// A weight: its bytes in the model file and, once they are loaded, in panels.
pub struct Weight {
    gguf: Arc<Gguf>,
    /// The tensor, or some rows of it that follow one another.
    tensor: TensorInfo,
    /// The rows that it consists of, if they lie apart in the tensor.
    gathered: Option<Gathered>,
    /// Its format.
    pub ty: WeightType,
    /// Dimensions, slowest first.
    pub dims: Vec<usize>,
    packed: OnceLock<PackedWeight>,
}

/// A loaded weight: its matrices as panels or, if its format has none, as rows.
struct PackedWeight {
    pages: Arc<Pages>,
    place: Place,
}

/// Where the matrices of a loaded weight lie, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The first.
    pub start: usize,
    /// From one to the next.
    pub stride: usize,
}

impl Place {
    /// Matrix `i`, of so many bytes.
    pub fn matrix(self, i: usize, bytes: usize) -> Range<usize> {
        let start = self.start + i * self.stride;
        start..start + bytes
    }
}

impl Weight {
    /// The weight that `tensor` holds, whole or in part; `None` where there is no kernel for its
    /// type or the tensor lacks rows.
    pub fn new(
        gguf: &Arc<Gguf>,
        tensor: &TensorInfo,
        declared: &sharpi_ir::Weight,
        dims: Vec<usize>,
    ) -> Option<Weight> {
        let ty = weight_type(declared.ty.dtype)?;
        let mut tensor = tensor.clone();
        let mut gathered = None;
        if let Some(rows) = &declared.rows {
            let (matrices, file_rows, row_bytes) = rows_in_file(ty, &tensor, &dims)?;
            if rows.last()? >= file_rows {
                return None;
            }
            match (rows.ranges(), matrices) {
                ([range], 1) => {
                    tensor.offset += (range.start * row_bytes) as u64;
                    tensor.bytes = (range.len() * row_bytes) as u64;
                }
                (_, matrices) => {
                    let of_each = (0..matrices).map(|i| rows.shifted(i * file_rows));
                    let all = of_each.flat_map(|rows| rows.ranges().to_vec());
                    gathered = Some(Gathered::new(&RowSet::of_ranges(all), row_bytes));
                }
            }
        }
        Some(Weight {
            gguf: gguf.clone(),
            tensor,
            gathered,
            ty,
            dims,
            packed: OnceLock::new(),
        })
    }

    /// The tensor in the file, of which there may be more rows before and behind.
    pub fn tensor(&self) -> &TensorInfo {
        &self.tensor
    }

    /// Whether it consists of the first bytes of `other` and nothing else.
    pub fn is_start_of(&self, other: &Weight) -> bool {
        let place = |weight: &Weight| (weight.tensor.part, weight.tensor.offset);
        let whole = |weight: &Weight| weight.gathered.is_none() && weight.matrices() == 1;
        place(self) == place(other)
            && whole(self)
            && whole(other)
            && self.tensor.bytes < other.tensor.bytes
    }

    /// Which bytes of the model it has, in which format and shape.
    pub fn source(&self) -> String {
        let tensor = &self.tensor;
        let gathered = self.gathered.as_ref();
        let rows = gathered.map(|gathered| (&gathered.rows, gathered.row_bytes));
        format!(
            "{} in part {} at {}, {} bytes, {:?} of {:?}, rows {rows:?}",
            tensor.name,
            tensor.part,
            tensor.offset,
            tensor.bytes,
            self.ty.name(),
            self.dims,
        )
    }

    /// How many [`Weight::bytes`] there are.
    pub fn file_bytes(&self) -> usize {
        match &self.gathered {
            None => self.tensor.bytes as usize,
            Some(gathered) => gathered.rows.len() * gathered.row_bytes,
        }
    }

    /// All bytes as the file has them, rows one after another.
    pub fn bytes(&self) -> &[u8] {
        let bytes = self.gguf.data(&self.tensor);
        match &self.gathered {
            None => bytes,
            Some(gathered) => gathered.bytes(bytes),
        }
    }

    /// `len` of those bytes from `from` on, read into `room` as [`Gguf::read`] does.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn read<'r>(
        &'r self,
        from: usize,
        len: usize,
        room: &'r mut Vec<u8>,
        drop_behind: bool,
    ) -> io::Result<&'r [u8]> {
        match &self.gathered {
            None => self.gguf.read(&self.tensor, from, len, room, drop_behind),
            Some(gathered) => {
                gathered.copy(self.gguf.data(&self.tensor), from, len, room);
                Ok(room)
            }
        }
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

    /// Bytes of a matrix in the kernels' layout.
    pub fn packed_matrix_bytes(&self) -> usize {
        let (rows, n) = self.shape();
        packed_bytes(self.ty, rows, n)
    }

    /// Takes the kernels' layout from `pages` from now on; the first call counts.
    pub fn keep(&self, pages: Arc<Pages>, place: Place) {
        let _ = self.packed.set(PackedWeight { pages, place });
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
        assert!(i < self.matrices(), "matrix {i} of {}", self.matrices());
        match self.packed.get() {
            None => {
                let stride = rows * self.ty.row_bytes(n);
                let bytes = &self.bytes()[i * stride..(i + 1) * stride];
                Matrix::of_rows(self.ty, n, bytes)
            }
            Some(PackedWeight { pages, place }) => {
                let bytes = &pages.bytes()[place.matrix(i, self.packed_matrix_bytes())];
                match has_panels(self.ty) {
                    true => Matrix::of_panels(self.ty, n, rows, bytes),
                    false => Matrix::of_rows(self.ty, n, bytes),
                }
            }
        }
    }
}

/// Matrices of a tensor, rows of each in the file, and bytes of a row; of a vector the elements are
/// rows. `None` where the file has no such rows.
fn rows_in_file(
    ty: WeightType,
    tensor: &TensorInfo,
    dims: &[usize],
) -> Option<(usize, usize, usize)> {
    let rows = |i: usize| usize::try_from(*tensor.dims.get(i).unwrap_or(&1)).ok();
    match dims {
        [_] if ty.block_len() == 1 => Some((1, rows(0)?, ty.row_bytes(1))),
        [.., _, n] => {
            let matrices = dims.iter().rev().skip(2).product();
            Some((matrices, rows(1)?, ty.row_bytes(*n)))
        }
        _ => None,
    }
}

/// Rows that lie apart in a tensor.
struct Gathered {
    rows: Vec<usize>,
    row_bytes: usize,
    /// One after another, once somebody needs them so.
    copied: OnceLock<Vec<u8>>,
}

impl Gathered {
    fn new(rows: &RowSet, row_bytes: usize) -> Gathered {
        Gathered {
            rows: rows.ranges().iter().cloned().flatten().collect(),
            row_bytes,
            copied: OnceLock::new(),
        }
    }

    /// All of them out of the tensor's bytes.
    fn bytes(&self, tensor: &[u8]) -> &[u8] {
        self.copied.get_or_init(|| {
            let mut bytes = Vec::new();
            self.copy(tensor, 0, self.rows.len() * self.row_bytes, &mut bytes);
            bytes
        })
    }

    /// Whole rows among them, by their place in bytes.
    fn copy(&self, tensor: &[u8], from: usize, len: usize, to: &mut Vec<u8>) {
        let rows = &self.rows[from / self.row_bytes..][..len / self.row_bytes];
        to.clear();
        for row in rows {
            to.extend_from_slice(&tensor[row * self.row_bytes..][..self.row_bytes]);
        }
    }
}
