//! Graphs that are executed, by the engine and by an evaluator that shares nothing with it.

mod case;
mod engine;
mod files;
mod formats;
mod modes;
mod ops;
mod shapes;

use sharpi_compile::passes::Options;

/// All passes, and those alone without which nothing runs.
fn passes_of() -> [(&'static str, Options); 2] {
    [
        ("no passes", Options::required_only()),
        ("all passes", Options::default()),
    ]
}
