//! Invariance on the captured ids: runs of several widths give the bits of single tokens.

use std::collections::VecDeque;

use serde::Serialize;

use super::compare::{Case, Progress};
use super::error::ParityError;
use super::trunk::feed;
use crate::Session;
use crate::lower::TRUNK;

/// Logits of runs of several widths beside those of single tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WidthsCompared {
    /// Positions whose logits were compared, prompt and ids.
    pub positions: usize,
    /// Where the first bit differs.
    pub fork: Option<Fork>,
}

/// The first place where a run of several tokens gives other bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Fork {
    /// Tokens of the run.
    pub width: usize,
    /// Position of the token.
    pub position: usize,
    /// The first id whose logit differs.
    pub id: usize,
}

/// Goes through prompt and ids position by position, all widths side by side.
pub(super) fn compare(
    case: &Case<'_>,
    progress: Progress<'_>,
) -> Result<WidthsCompared, ParityError> {
    let ids = [&case.capture.prompt_ids[..], &case.capture.ids].concat();
    let rows = |width| -> Result<Rows<'_>, ParityError> {
        Ok(Rows {
            session: case.session()?,
            ids: &ids,
            width,
            ready: VecDeque::new(),
        })
    };
    let mut single = rows(1)?;
    let others: Result<Vec<Rows<'_>>, ParityError> = case
        .options
        .widths
        .iter()
        .map(|width| rows(*width))
        .collect();
    let mut others = others?;
    for position in 0..ids.len() {
        let expected = single.next()?;
        for other in &mut others {
            let differs = other
                .next()?
                .iter()
                .zip(&expected)
                .position(|(a, b)| a != b);
            if let Some(id) = differs {
                let width = other.width;
                return Ok(WidthsCompared {
                    positions: position + 1,
                    fork: Some(Fork {
                        width,
                        position,
                        id,
                    }),
                });
            }
        }
        case.step(progress)?;
    }
    Ok(WidthsCompared {
        positions: ids.len(),
        fork: None,
    })
}

/// Logits of one position after another, computed in runs of one width.
struct Rows<'a> {
    session: Session,
    /// All ids.
    ids: &'a [u32],
    width: usize,
    /// Rows of the last run that have not been asked for.
    ready: VecDeque<Vec<u32>>,
}

impl Rows<'_> {
    /// The bits of the next row.
    fn next(&mut self) -> Result<Vec<u32>, ParityError> {
        if self.ready.is_empty() {
            let left = &self.ids[self.session.position(TRUNK)..];
            let run = &left[..self.width.min(left.len())];
            let all: Vec<i32> = (0..run.len() as i32).collect();
            let logits = feed(&mut self.session, run, &all)?;
            let bits = |row: &[f32]| row.iter().map(|x| x.to_bits()).collect();
            let rows = logits.chunks_exact(logits.len() / run.len());
            self.ready.extend(rows.map(bits));
        }
        Ok(self.ready.pop_front().unwrap_or_default())
    }
}
