//! The inputs of one sequence in a run, checked before anything is touched.

use sharpi_ir::{DType, Dim, Index, Symbol};

use super::error::RunError;
use super::executable::{BoundGraph, BoundInput};
use super::memory::Arena;
use super::ops::Axis;
use crate::ranks::Numbers;

/// A graph input.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// Token ids, positions, row numbers.
    I32(&'a [i32]),
    /// Hidden states, row after row.
    F32(&'a [f32]),
}

impl Input<'_> {
    fn len(&self) -> usize {
        match self {
            Input::I32(x) => x.len(),
            Input::F32(x) => x.len(),
        }
    }
}

/// The checked inputs of one sequence.
pub(super) struct Call<'a> {
    /// In the order of the graph's; `None` for positions that follow from where the states stand.
    inputs: Vec<Option<Input<'a>>>,
    pub(super) tokens: usize,
    pub(super) rows: usize,
}

impl<'a> Call<'a> {
    /// Inputs for a sequence whose next token has the position `start`. Positions may be left out.
    pub(super) fn check(
        name: &str,
        graph: &BoundGraph,
        inputs: &[(&str, Input<'a>)],
        start: usize,
    ) -> Result<Call<'a>, RunError> {
        let fail = |input: &str, message: String| RunError::Input {
            graph: name.into(),
            name: input.into(),
            message,
        };
        for (i, (given, _)) in inputs.iter().enumerate() {
            if inputs[..i].iter().any(|(before, _)| before == given) {
                return Err(fail(given, "is given twice".into()));
            }
            if !graph.inputs.iter().any(|input| input.name == *given) {
                let known: Vec<&str> = graph.inputs.iter().map(|i| i.name.as_str()).collect();
                let message = format!("there is none, expected {}", known.join(", "));
                return Err(fail(given, message));
            }
        }
        let mut call = Call {
            inputs: Vec::new(),
            tokens: 0,
            rows: 0,
        };
        let mut counts: [Option<usize>; 2] = [None; 2];
        for input in &graph.inputs {
            let given = inputs.iter().find(|(n, _)| *n == input.name);
            let given = given.map(|(_, given)| *given);
            if given.is_none() && input.index != Some(Index::Position) {
                return Err(fail(&input.name, "is missing".into()));
            }
            if let Some(given) = given {
                let count = &mut counts[input.slot.axis as usize];
                count_rows(input, &given, count).map_err(|m| fail(&input.name, m))?;
            }
            call.inputs.push(given);
        }
        [call.tokens, call.rows] = counts.map(Option::unwrap_or_default);
        for (input, given) in graph.inputs.iter().zip(&call.inputs) {
            if let Some(Input::I32(numbers)) = given {
                call.check_numbers(input, numbers, start)
                    .map_err(|m| fail(&input.name, m))?;
            }
        }
        Ok(call)
    }

    /// The inputs as other ranks are told them.
    pub(super) fn named(&self, graph: &BoundGraph) -> Vec<(String, Numbers)> {
        let given = graph.inputs.iter().zip(&self.inputs);
        let given = given.filter_map(|(to, given)| Some((to.name.clone(), given.as_ref()?)));
        given
            .map(|(name, given)| (name, Numbers::of(given)))
            .collect()
    }

    /// Whether the numbers are what their type says.
    fn check_numbers(&self, input: &BoundInput, x: &[i32], start: usize) -> Result<(), String> {
        let below = |limit: usize| match x
            .iter()
            .find(|i| !(0..limit as i64).contains(&i64::from(**i)))
        {
            Some(i) => Err(format!("{i} is not below {limit}")),
            None => Ok(()),
        };
        match input.index {
            None => Ok(()),
            Some(Index::Below(Dim::Fixed(n))) => below(n),
            Some(Index::Below(Dim::Sym(s))) if s == Symbol::TOKENS => below(self.tokens),
            Some(Index::Below(Dim::Sym(_))) => below(self.rows),
            Some(Index::Position) => {
                let expected = (start as i64..).zip(x);
                match expected.into_iter().find(|(e, x)| *e != i64::from(**x)) {
                    Some((e, x)) => Err(format!(
                        "position {x} stands where {e} was expected: the states have consumed {start} tokens"
                    )),
                    None => Ok(()),
                }
            }
        }
    }

    /// Writes the inputs to where the run reads them, behind those of the sequences before: so many
    /// tokens and rows.
    pub(super) fn write(
        &self,
        graph: &BoundGraph,
        arena: &mut Arena,
        start: usize,
        (tokens, rows): (usize, usize),
    ) {
        for (BoundInput { slot, index, .. }, given) in graph.inputs.iter().zip(&self.inputs) {
            let (before, count) = match slot.axis {
                Axis::Tokens => (tokens, self.tokens),
                Axis::Rows => (rows, self.rows),
            };
            let (at, count) = (
                slot.offset + before * slot.stride_bytes(),
                count * slot.width(),
            );
            let shift = shift(*index, (tokens, rows));
            match given {
                Some(Input::F32(x)) => arena.slice_mut(at, count).copy_from_slice(x),
                Some(Input::I32(x)) => {
                    let to = arena.slice_mut::<i32>(at, count);
                    (to.iter_mut().zip(*x)).for_each(|(to, x)| *to = x + shift);
                }
                None => {
                    let to = arena.slice_mut::<i32>(at, count);
                    (to.iter_mut().zip(start as i32..)).for_each(|(to, x)| *to = x);
                }
            }
        }
    }
}

/// How much larger numbers are in a run than in a sequence before which so many tokens and rows
/// stand in it: those of tokens are the sequence's own.
pub(super) fn shift(index: Option<Index>, (tokens, rows): (usize, usize)) -> i32 {
    match index {
        Some(Index::Below(Dim::Sym(s))) if s == Symbol::TOKENS => tokens as i32,
        Some(Index::Below(Dim::Sym(_))) => rows as i32,
        Some(Index::Below(Dim::Fixed(_)) | Index::Position) | None => 0,
    }
}

/// Type and length of an input; `count`, the rows of all inputs along its axis, is found or
/// compared.
fn count_rows(
    input: &BoundInput,
    given: &Input<'_>,
    count: &mut Option<usize>,
) -> Result<(), String> {
    match (input.slot.dtype, given) {
        (DType::F32, Input::F32(_)) | (DType::I32, Input::I32(_)) => {}
        (dtype, Input::F32(_)) => return Err(format!("f32 values, expected {dtype}")),
        (dtype, Input::I32(_)) => return Err(format!("i32 values, expected {dtype}")),
    }
    let width = input.slot.width();
    if width == 0 || !given.len().is_multiple_of(width) {
        return Err(format!(
            "{} elements, expected a multiple of {width}",
            given.len()
        ));
    }
    let rows = given.len() / width;
    let expected = *count.get_or_insert(rows);
    match rows == expected {
        true => Ok(()),
        false => Err(format!(
            "{} elements, expected {}, as the inputs before it have {expected} rows",
            given.len(),
            expected * width
        )),
    }
}
