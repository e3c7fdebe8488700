//! The inputs of a run, checked before anything is touched.

use sharpi_ir::Symbol;

use crate::exec::ops::{Axis, Slot};

use super::error::RunError;
use super::executable::BoundGraph;

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

/// The checked inputs of a run.
pub(super) struct Call<'a> {
    pub(super) name: &'a str,
    pub(super) graph: &'a BoundGraph,
    pub(super) slots: Vec<(&'a Slot, Input<'a>)>,
    pub(super) tokens: usize,
    pub(super) rows: usize,
    pub(super) start: usize,
}

impl<'a> Call<'a> {
    pub(super) fn check(
        name: &'a str,
        graph: &'a BoundGraph,
        inputs: &[(&str, Input<'a>)],
    ) -> Result<Call<'a>, RunError> {
        let fail = |input: &str, message: String| RunError::Input {
            graph: name.into(),
            name: input.into(),
            message,
        };
        if let Some((stray, _)) = inputs
            .iter()
            .find(|(n, _)| !graph.inputs.iter().any(|(i, _)| i == n))
        {
            let known: Vec<&str> = graph.inputs.iter().map(|(n, _)| n.as_str()).collect();
            return Err(fail(
                stray,
                format!("there is none, expected {}", known.join(", ")),
            ));
        }
        let mut call = Call {
            name,
            graph,
            slots: Vec::new(),
            tokens: 0,
            rows: 0,
            start: 0,
        };
        for (input, slot) in &graph.inputs {
            let given = inputs.iter().find(|(n, _)| n == input).map(|(_, i)| *i);
            let given = given.ok_or_else(|| fail(input, "is missing".into()))?;
            let count = given.len() / slot.width().max(1);
            match (input.as_str(), slot.axis) {
                ("ids", _) => call.tokens = count,
                ("rows", _) => call.rows = count,
                (_, Axis::Tokens | Axis::Rows) => {}
            }
            call.slots.push((slot, given));
        }
        for ((input, slot), (_, given)) in graph.inputs.iter().zip(&call.slots) {
            call.check_input(input, slot, given)
                .map_err(|m| fail(input, m))?;
        }
        if let Some((_, Input::I32(pos))) = graph
            .inputs
            .iter()
            .position(|(n, _)| n == "pos")
            .map(|i| call.slots[i])
        {
            call.start = usize::try_from(pos[0])
                .map_err(|_| fail("pos", format!("starts at {}", pos[0])))?;
        }
        Ok(call)
    }

    /// Type, length and range of one input.
    fn check_input(&self, name: &str, slot: &Slot, given: &Input<'_>) -> Result<(), String> {
        let (symbol, count) = match slot.axis {
            Axis::Tokens => (Symbol::TOKENS, self.tokens),
            Axis::Rows => (Symbol::ROWS, self.rows),
        };
        if let Some(range) = self.graph.bounds.get(&symbol)
            && !range.contains(&count)
        {
            return Err(format!(
                "{count} rows, expected {} to {}",
                range.start(),
                range.end()
            ));
        }
        let expected = count * slot.width();
        if given.len() != expected {
            return Err(format!("{} elements, expected {expected}", given.len()));
        }
        let within =
            |x: &[i32], limit: usize| match x.iter().find(|&&i| i < 0 || i as usize >= limit) {
                Some(i) => Err(format!("{i} is not below {limit}")),
                None => Ok(()),
            };
        match (slot.dtype, given) {
            (sharpi_ir::DType::F32, Input::F32(_)) => Ok(()),
            (sharpi_ir::DType::I32, Input::I32(x)) => match name {
                "ids" => within(x, self.graph.vocabulary),
                "rows" => within(x, self.tokens),
                "pos" if !x.windows(2).all(|w| w[0].checked_add(1) == Some(w[1])) => {
                    Err("positions do not follow each other".into())
                }
                _ => Ok(()),
            },
            (dtype, Input::F32(_)) => Err(format!("f32 values, expected {dtype}")),
            (dtype, Input::I32(_)) => Err(format!("i32 values, expected {dtype}")),
        }
    }
}
