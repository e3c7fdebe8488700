//! What lies between two stages, passes or files, line by line.

use std::io::Write;
use std::path::Path;

use sharpi_passes::{Pipeline, Snapshot, Stage};

use super::picture::{Picture, View};
use super::text;
use crate::cli::failure::Failure;

/// Lines around what differs.
const CONTEXT: usize = 3;

/// One of the two sides.
pub(super) struct Side {
    /// What it is called in the diff.
    pub(super) name: String,
    pub(super) snapshot: Snapshot,
}

/// Whether a word of the command line names a file, not a stage or pass.
pub(super) fn is_file(word: &str) -> bool {
    let is_pass = Pipeline::default().passes().any(|pass| pass.name() == word);
    let is_stage = Stage::ALL.iter().any(|stage| stage.name() == word);
    !is_pass && !is_stage && (word.ends_with(".sir") || Path::new(word).exists())
}

/// Writes a unified diff of two modules; nothing if they are the same. Values are called by labels
/// that do not shift when ops come and go elsewhere.
pub(super) fn write(
    [old, new]: [&Side; 2],
    view: &View<'_>,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let labelled = View {
        labelled: true,
        ..*view
    };
    let (mut before, mut after) = (text(old, &labelled)?, text(new, &labelled)?);
    // What is folded on one side alone would be shown as a difference, or not be shown.
    let symbols = |side: &Side| side.snapshot.module.symbols.clone();
    if folds(&before) != folds(&after) || symbols(old) != symbols(new) {
        let whole = View {
            folded: false,
            ..labelled
        };
        (before, after) = (text(old, &whole)?, text(new, &whole)?);
    }
    let diff = similar::TextDiff::from_lines(&before, &after);
    let mut unified = diff.unified_diff();
    let unified = unified.context_radius(CONTEXT).header(&old.name, &new.name);
    Ok(unified.to_writer(out)?)
}

fn text(side: &Side, view: &View<'_>) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    text::write(&Picture::new(&side.snapshot, view), &mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The lines that stand for blocks that are not shown.
fn folds(text: &str) -> Vec<&str> {
    let stands_for_blocks = |line: &&str| line.trim_start().starts_with("; blk.");
    text.lines().filter(stands_for_blocks).collect()
}
