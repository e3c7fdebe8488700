//! Dense tensors.

use sharpi_ir::DType;

/// Numbers and their dimensions, slowest first. Whole numbers are held as f64 too.
#[derive(Clone, PartialEq, Debug)]
pub struct Tensor {
    dims: Vec<usize>,
    data: Vec<f64>,
    dtype: DType,
}

impl Tensor {
    /// An f32 tensor.
    ///
    /// # Errors
    /// Not as many numbers as the dimensions call for.
    pub fn new(dims: impl Into<Vec<usize>>, data: Vec<f64>) -> Result<Tensor, String> {
        let dims = dims.into();
        let expected = dims.iter().try_fold(1usize, |n, d| n.checked_mul(*d));
        match expected == Some(data.len()) {
            true => Ok(Tensor {
                dims,
                data,
                dtype: DType::F32,
            }),
            false => Err(format!("{} numbers for dimensions {dims:?}", data.len())),
        }
    }

    /// The same numbers as elements of another type.
    pub fn with_dtype(mut self, dtype: DType) -> Tensor {
        self.dtype = dtype;
        self
    }

    /// The same numbers with other dimensions, which hold as many.
    pub(crate) fn with_dims(mut self, dims: Vec<usize>) -> Tensor {
        assert_eq!(dims.iter().product::<usize>(), self.data.len(), "{dims:?}");
        self.dims = dims;
        self
    }

    /// A tensor of these dimensions, whose element at each place `of` gives.
    pub(crate) fn from_fn(dims: Vec<usize>, of: impl FnMut(usize) -> f64) -> Tensor {
        let data = (0..dims.iter().product()).map(of).collect();
        let dtype = DType::F32;
        Tensor { dims, data, dtype }
    }

    /// The tensor of `f` of each element.
    pub(crate) fn map(&self, f: impl Fn(f64) -> f64) -> Tensor {
        Tensor::from_fn(self.dims.clone(), |i| f(self.data[i]))
    }

    /// The tensor of `f` of each row along the last dimension; all results have one length.
    pub(crate) fn map_rows(&self, f: impl Fn(&[f64]) -> Vec<f64>) -> Tensor {
        let rows: Vec<Vec<f64>> = self.rows().map(f).collect();
        let width = rows.first().map_or(self.last(), Vec::len);
        let mut dims = self.dims.clone();
        if let Some(last) = dims.last_mut() {
            *last = width;
        }
        let data = rows.concat();
        Tensor::from_fn(dims, |i| data[i])
    }

    /// Dimensions, slowest first.
    pub fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// All elements, the last dimension contiguous.
    pub fn data(&self) -> &[f64] {
        &self.data
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The contiguous dimension, 1 for a scalar.
    pub(crate) fn last(&self) -> usize {
        self.dims.last().copied().unwrap_or(1)
    }

    /// Elements of each entry along the first dimension.
    pub(crate) fn width(&self) -> usize {
        self.dims[1..].iter().product()
    }

    /// The elements of entry `i` along the first dimension: of a token.
    pub(crate) fn entry(&self, i: usize) -> &[f64] {
        let width = self.width();
        &self.data[i * width..(i + 1) * width]
    }

    /// Rows along the last dimension.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &[f64]> {
        self.data.chunks_exact(self.last().max(1))
    }

    /// Row `i` along the last dimension.
    pub(crate) fn row(&self, i: usize) -> &[f64] {
        let n = self.last();
        &self.data[i * n..(i + 1) * n]
    }

    /// An element as the whole number below `limit` that it has to be.
    pub(crate) fn index(&self, i: usize, limit: usize) -> Result<usize, String> {
        let x = self.data[i];
        match x >= 0.0 && x.fract() == 0.0 && x < limit as f64 {
            true => Ok(x as usize),
            false => Err(format!("{x} is not one of 0..{limit}")),
        }
    }
}
