//! Faults of weights and states.

use super::Found;
use crate::module::{Symbols, Weight};
use crate::text::Site;
use crate::types::{DType, Dim, StateType, TensorType};

pub(super) fn check(symbols: &Symbols) -> Vec<Found> {
    let mut found = Vec::new();
    let mut note = |site, fault: Result<(), String>| {
        if let Err(message) = fault {
            let graph = None;
            found.push(Found {
                graph,
                site,
                message,
            });
        }
    };
    for (id, _, weight) in symbols.weights() {
        note(Site::Weight(id), storable(&weight.ty));
        note(Site::Weight(id), counted(weight));
    }
    for (id, _, ty) in symbols.states() {
        let fault = match ty {
            StateType::Recurrent(ty) => storable(ty),
            StateType::Kv { k, v, heads, dim } => {
                row(*k, *heads, *dim).and_then(|()| row(*v, *heads, *dim))
            }
        };
        note(Site::State(id), fault);
    }
    found
}

/// A tensor whose bytes can be counted before anything runs.
fn storable(ty: &TensorType) -> Result<(), String> {
    if let Some(symbol) = ty.shape.iter().find(|d| d.fixed().is_none()) {
        return Err(format!(
            "dimension {symbol} is not known at compile time, expected a number"
        ));
    }
    countable(ty, &|_| 0)
}

/// Rows that are chosen are as many as each matrix of its type has, or the elements of a vector.
fn counted(weight: &Weight) -> Result<(), String> {
    let Some(rows) = &weight.rows else {
        return Ok(());
    };
    match weight.ty.shape[..] {
        [Dim::Fixed(count)] | [.., Dim::Fixed(count), _] if count == rows.len() => Ok(()),
        _ => Err(format!(
            "{} rows are chosen, expected a matrix of as many, not {}",
            rows.len(),
            weight.ty
        )),
    }
}

/// A position's keys or values: `heads × dim` elements.
fn row(dtype: DType, heads: usize, dim: usize) -> Result<(), String> {
    storable(&TensorType::fixed(dtype, &[heads, dim]))
}

/// Whole blocks, and a number of bytes that fits.
pub(super) fn countable(
    ty: &TensorType,
    bind: &dyn Fn(crate::Symbol) -> usize,
) -> Result<(), String> {
    let block = ty.dtype.block_len();
    match ty.last() {
        Dim::Fixed(n) if n.is_multiple_of(block) => {}
        last @ (Dim::Fixed(_) | Dim::Sym(_)) if block > 1 => {
            return Err(format!(
                "the last dimension is {last}, expected a multiple of {block} for {}",
                ty.dtype
            ));
        }
        Dim::Fixed(_) | Dim::Sym(_) => {}
    }
    match ty.bytes(bind) {
        Some(_) => Ok(()),
        None => Err(format!("{ty} has more bytes than can be counted")),
    }
}
