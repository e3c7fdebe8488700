//! Feeding the trunk.

use sharpi_ir::DType;
use sharpi_passes::Options;

use super::error::ParityError;
use crate::generate::GenerateError;
use crate::lower::{LowerOptions, TRUNK};
use crate::{CompileOptions, Error, Executable, Input, Model, Session};

/// Compiles a model with a cache of that type, for runs that give up to `rows` rows of logits.
pub(super) fn compile(
    model: &Model,
    cache: DType,
    rows: usize,
    passes: Options,
) -> Result<Executable, Error> {
    let default = LowerOptions::default();
    let at_least = default.max_rows.max(rows);
    model.compile(
        &CompileOptions::default()
            .lower(default.cache_k(cache).cache_v(cache).max_rows(at_least))
            .passes(passes),
    )
}

/// Feeds ids in one run; the logits of each of `rows`, one row after another.
pub(super) fn feed(
    session: &mut Session,
    ids: &[u32],
    rows: &[i32],
) -> Result<Vec<f32>, ParityError> {
    let inputs = [
        ("ids", Input::I32(&signed(ids))),
        (
            "pos",
            Input::I32(&positions(session.position(TRUNK), ids.len())),
        ),
        ("rows", Input::I32(rows)),
    ];
    let outputs = session.run(TRUNK, &inputs)?;
    let logits = outputs.get("logits").ok_or(GenerateError::NoTrunk)?;
    Ok(logits.to_vec())
}

/// Ids as graphs take them.
pub(super) fn signed(ids: &[u32]) -> Vec<i32> {
    ids.iter().map(|id| *id as i32).collect()
}

/// Positions of `count` tokens.
pub(super) fn positions(from: usize, count: usize) -> Vec<i32> {
    (from..from + count).map(|p| p as i32).collect()
}

/// That the model has all of these ids.
///
/// # Errors
/// One that it does not have, said to stand at `place`.
pub(super) fn check_ids<'a>(
    vocabulary: usize,
    place: &str,
    ids: impl IntoIterator<Item = &'a u32>,
) -> Result<(), ParityError> {
    match ids.into_iter().find(|id| **id as usize >= vocabulary) {
        None => Ok(()),
        Some(&id) => Err(ParityError::UnknownId {
            place: place.into(),
            id,
            vocabulary,
        }),
    }
}
