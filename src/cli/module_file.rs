//! Files in the textual form.

use std::path::Path;

use sharpi_compile::regular_file;
use sharpi_ir::plain::PlainPath;
use sharpi_ir::{Module, text, verify};

use super::failure::Failure;

/// Reads a sound module.
pub(super) fn read(path: &Path) -> Result<Module, Failure> {
    let shown = PlainPath(path);
    let text = regular_file::read_to_string(path).map_err(|error| {
        Failure::plain(
            format!("cannot read {shown}: {error}"),
            "name a file that `dump-graph --no-fold -o FILE.sir` has written",
        )
    })?;
    let module = text::parse(&text).map_err(|error| {
        Failure::plain(
            format!("{shown} is no module: {error}"),
            "correct the line; a dump reads back if it is whole, as with --no-fold",
        )
    })?;
    match verify(&module) {
        Ok(()) => Ok(module),
        Err(faults) => Err(Failure::plain(
            format!("{shown} does not verify:\n{faults}"),
            "correct the lines that are marked",
        )),
    }
}
