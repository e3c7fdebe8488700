//! Runs that stand in comments behind a module:
//!
//! ```text
//! ; weight @w = [[1, 2], [3, 4.5]]
//! ; weight @big = fill 7
//! ; run: @g(%x = [[1, 2]], %rows = [0]) == %y = [[5, 12]]
//! ; run: @g(%x = fill 3 [17, 2], %rows = [])
//! ```
//!
//! Numbers stand in lists of lists as the type's dimensions say, or in one flat list. `fill` makes
//! them up from a seed ([`fill`]), for an input with its dimensions behind it. Behind
//! `==` stand outputs; of a run without them only evaluator and engine are compared. Runs go on on
//! the states that the runs above them have left. A comment that begins with four spaces or more
//! continues the one above it.

use std::fmt;

use sharpi_ir::TensorType;

use crate::fill;
use crate::inputs::Sizes;
use crate::tensor::Tensor;

mod reader;

use reader::Reader;

/// Weights and runs of a file.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// Weights by name.
    pub weights: Vec<(String, Content)>,
    /// The runs in their order.
    pub runs: Vec<Run>,
}

/// One run of a graph.
#[derive(Clone, Debug)]
pub struct Run {
    /// The line of the file that it stands on, from 1.
    pub line: usize,
    /// The graph.
    pub graph: String,
    /// Inputs by name.
    pub inputs: Vec<(String, Content)>,
    /// Outputs by name, and what they have to be.
    pub expected: Vec<(String, Content)>,
}

/// Numbers as they are written.
#[derive(Clone, PartialEq, Debug)]
pub enum Content {
    /// A list, with the dimensions that its nesting has.
    List {
        /// Dimensions, slowest first.
        dims: Vec<usize>,
        /// All numbers.
        data: Vec<f64>,
    },
    /// Numbers made up from a seed.
    Fill {
        /// The seed.
        seed: u64,
        /// Dimensions; those of the type where they are left out.
        dims: Option<Vec<usize>>,
    },
}

/// What of a script cannot be read, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptError {
    /// The line of the file, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
    /// What is wrong there.
    pub message: String,
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ScriptError {
            line,
            column,
            message,
        } = self;
        write!(f, "line {line}, column {column}: {message}")
    }
}

impl std::error::Error for ScriptError {}

impl Script {
    /// Reads what stands in the comments of a file. Other comments mean nothing.
    ///
    /// # Errors
    /// A line that begins as one of a script and does not go on so.
    pub fn parse(text: &str) -> Result<Script, ScriptError> {
        let mut script = Script::default();
        let mut lines = text.lines().zip(1..).peekable();
        while let Some((first, number)) = lines.next() {
            let (is_weight, is_run) =
                (first.starts_with("; weight @"), first.starts_with("; run:"));
            if !is_weight && !is_run {
                continue;
            }
            let mut all = vec![(number, first)];
            while let Some((more, number)) = lines.next_if(|(line, _)| line.starts_with(";    ")) {
                all.push((number, more));
            }
            let mut reader = Reader::new(&all);
            match is_weight {
                true => script.weights.push(reader.weight()?),
                false => script.runs.push(reader.run()?),
            }
        }
        Ok(script)
    }
}

impl Content {
    /// The numbers as a tensor of a type, whose symbols may have any sizes; where a number has to
    /// be below a symbol, `bind` tells its size.
    ///
    /// # Errors
    /// Dimensions that are not the type's.
    pub fn tensor(&self, ty: &TensorType, bind: &Sizes) -> Result<Tensor, String> {
        let dims = self.dims(ty)?.unwrap_or_else(|| bind.dims(ty));
        fits(&dims, ty)?;
        let tensor = match (self, ty.index) {
            (Content::List { data, .. }, _) => Tensor::new(dims, data.clone())?,
            (Content::Fill { seed, .. }, None) => fill::floats(*seed, &dims),
            (Content::Fill { seed, .. }, Some(index)) => {
                fill::numbers(*seed, &dims, index, &|symbol| bind.of(symbol))
            }
        };
        Ok(tensor.with_dtype(ty.dtype))
    }

    /// The dimensions that it has by itself, or with the help of its type's.
    ///
    /// # Errors
    /// A list whose length is no multiple of what the type has behind its first dimension.
    pub fn dims(&self, ty: &TensorType) -> Result<Option<Vec<usize>>, String> {
        match self {
            Content::List { dims, data } if dims.len() == 1 && ty.rank() != 1 => {
                fold(data.len(), ty).map(Some)
            }
            Content::List { dims, .. } => Ok(Some(dims.clone())),
            Content::Fill { dims, .. } => Ok(dims.clone()),
        }
    }
}

/// The dimensions of a flat list: so many entries along the first.
fn fold(count: usize, ty: &TensorType) -> Result<Vec<usize>, String> {
    let mut dims = Sizes::default().dims(ty);
    let width: usize = dims.iter().skip(1).product();
    match dims.first_mut() {
        Some(first) if width > 0 && count.is_multiple_of(width) => *first = count / width,
        Some(_) | None => return Err(format!("{count} numbers, expected {ty}")),
    }
    Ok(dims)
}

fn fits(dims: &[usize], ty: &TensorType) -> Result<(), String> {
    let same = |(dim, found): (&sharpi_ir::Dim, &usize)| dim.fixed().is_none_or(|n| n == *found);
    match dims.len() == ty.rank() && ty.shape.iter().zip(dims).all(same) {
        true => Ok(()),
        false => Err(format!("dimensions {dims:?}, expected {ty}")),
    }
}
