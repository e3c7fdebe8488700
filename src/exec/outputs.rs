//! What a run gives: copied, or where it lies.

use std::ops::Range;

use sharpi_ir::DType;

use super::call::shift;
use super::executable::{BoundGraph, BoundOutput};
use super::memory::{Arena, Plain};
use super::ops::{Axis, Slot};

/// Rows of a value in a run of so many tokens and rows of logits.
pub(super) fn count(slot: &Slot, (tokens, rows): (usize, usize)) -> usize {
    match slot.axis {
        Axis::Tokens => tokens,
        Axis::Rows => rows,
    }
}

/// The outputs of a run where they lie ([`Batch::run_then`](super::Batch::run_then)).
pub struct Views<'v> {
    pub(super) arena: &'v mut Arena,
    pub(super) graph: &'v BoundGraph,
    /// Of each sequence its tokens and its rows of logits.
    pub(super) sequences: Vec<[Range<usize>; 2]>,
}

impl Views<'_> {
    /// An f32 output of each sequence, in the order in which they were added. `None` for outputs of
    /// other elements.
    pub fn of_each(&mut self, name: &str) -> Option<Vec<&mut [f32]>> {
        let slot = &self.graph.outputs.get(name)?.slot;
        let (axis, width) = (slot.axis, slot.width());
        if slot.dtype != DType::F32 {
            return None;
        }
        let mut rest = (self.arena).slice_mut(slot.offset, count(slot, self.counts()) * width);
        let each = self.sequences.iter().map(|sequence| {
            let len = rows_of(axis, sequence).len() * width;
            rest.split_off_mut(..len).unwrap_or_default()
        });
        Some(each.collect())
    }

    /// Tokens and rows of the run.
    fn counts(&self) -> (usize, usize) {
        let last = self.sequences.last();
        last.map_or((0, 0), |[tokens, rows]| (tokens.end, rows.end))
    }

    /// A copy of all outputs.
    pub(super) fn copied(&self) -> Outputs {
        let Views {
            arena,
            graph,
            sequences,
        } = self;
        let values = graph.outputs.iter().map(|(name, output)| {
            let slot = &output.slot;
            let count = count(slot, self.counts());
            let width = slot.width();
            let data = match slot.dtype {
                DType::F32 => Data::F32(copy(arena, slot, count * width)),
                DType::I32 => {
                    let mut numbers: Vec<i32> = copy(arena, slot, count * width);
                    own_numbers(&mut numbers, output, sequences);
                    Data::I32(numbers)
                }
                _ => Data::Other(copy(arena, slot, count * slot.stride_bytes())),
            };
            Output {
                name: name.clone(),
                axis: slot.axis,
                width: match data {
                    Data::Other(_) => slot.stride_bytes(),
                    Data::F32(_) | Data::I32(_) => width,
                },
                data,
            }
        });
        Outputs {
            values: values.collect(),
            sequences: sequences.clone(),
        }
    }
}

fn rows_of(axis: Axis, [tokens, rows]: &[Range<usize>; 2]) -> Range<usize> {
    match axis {
        Axis::Tokens => tokens.clone(),
        Axis::Rows => rows.clone(),
    }
}

/// What a run gave.
#[derive(Clone, PartialEq, Debug)]
pub struct Outputs {
    values: Vec<Output>,
    /// Of each sequence its tokens and its rows of logits.
    sequences: Vec<[Range<usize>; 2]>,
}

#[derive(Clone, PartialEq, Debug)]
struct Output {
    name: String,
    axis: Axis,
    /// Elements of a row; bytes, if they are neither f32 nor i32.
    width: usize,
    data: Data,
}

/// The elements of an output.
#[derive(Clone, PartialEq, Debug)]
enum Data {
    F32(Vec<f32>),
    I32(Vec<i32>),
    Other(Vec<u8>),
}

impl Outputs {
    /// An f32 output's values, row-major, those of all sequences one behind the other: `h` is
    /// `[T, E]`, `logits` is `[R, V]`. `None` for outputs of other elements.
    pub fn get(&self, name: &str) -> Option<&[f32]> {
        match &self.find(name)?.data {
            Data::F32(x) => Some(x),
            Data::I32(_) | Data::Other(_) => None,
        }
    }

    /// [`Outputs::get`] of the `sequence`-th that was added.
    pub fn of(&self, sequence: usize, name: &str) -> Option<&[f32]> {
        let range = self.range(sequence, name)?;
        self.get(name)?.get(range)
    }

    /// An output of whole numbers, such as the experts that a router has chosen.
    pub fn numbers(&self, name: &str) -> Option<&[i32]> {
        match &self.find(name)?.data {
            Data::I32(x) => Some(x),
            Data::F32(_) | Data::Other(_) => None,
        }
    }

    /// An output of rounded rows, in blocks of its type.
    pub fn bytes(&self, name: &str) -> Option<&[u8]> {
        match &self.find(name)?.data {
            Data::Other(x) => Some(x),
            Data::F32(_) | Data::I32(_) => None,
        }
    }

    /// Takes an f32 output out, without copying it.
    pub fn take(&mut self, name: &str) -> Option<Vec<f32>> {
        let output = self.values.iter_mut().find(|o| o.name == name)?;
        match &mut output.data {
            Data::F32(x) => Some(std::mem::take(x)),
            Data::I32(_) | Data::Other(_) => None,
        }
    }

    fn find(&self, name: &str) -> Option<&Output> {
        self.values.iter().find(|o| o.name == name)
    }

    /// Which elements of an output belong to a sequence.
    fn range(&self, sequence: usize, name: &str) -> Option<Range<usize>> {
        let output = self.find(name)?;
        let rows = rows_of(output.axis, self.sequences.get(sequence)?);
        Some(rows.start * output.width..rows.end * output.width)
    }
}

/// Turns numbers of the run's tokens or rows into those of each sequence's own.
fn own_numbers(numbers: &mut [i32], output: &BoundOutput, sequences: &[[Range<usize>; 2]]) {
    let width = output.slot.width();
    for sequence in sequences {
        let range = rows_of(output.slot.axis, sequence);
        let [tokens, rows] = sequence;
        let shift = shift(output.index, (tokens.start, rows.start));
        let own = &mut numbers[range.start * width..range.end * width];
        own.iter_mut().for_each(|x| *x -= shift);
    }
}

fn copy<T: Plain>(arena: &Arena, slot: &Slot, count: usize) -> Vec<T> {
    arena.slice(slot.offset, count).to_vec()
}
