//! Modules in their textual form.

use sharpi_compile::ir::{Module, dot, text, verify};
use sharpi_compile::passes::{self, CompileError, Options, Verify};

use crate::message;

/// Parses, verifies, prints and parses again, and runs the passes.
pub fn check(bytes: &[u8]) {
    let Ok(source) = std::str::from_utf8(bytes) else {
        return;
    };
    let module = match text::parse(source) {
        Ok(module) => module,
        Err(error) => return message::check(error),
    };
    let printed = text::print(&module);
    let again = text::parse(&printed).unwrap_or_else(|error| panic!("{error}\n{printed}"));
    assert_eq!(text::print(&again), printed);
    message::check_harmless(&printed);
    for (name, graph) in &module.graphs {
        dot(name, graph, &module.symbols);
    }
    match verify(&module) {
        Ok(()) => compile(module),
        // Each fault comes with the lines around it.
        Err(faults) => message::check_harmless(&faults.to_string()),
    }
}

/// A pass leaves a sound module sound.
fn compile(module: Module) {
    let options = Options::default().verify(Verify::Each);
    match passes::run(module, &options) {
        Ok(snapshot) => {
            text::parse(&text::print(&snapshot.module)).expect("what passes leave reads back");
            passes::print_snapshot(&snapshot);
        }
        Err(error @ CompileError::Verify { .. }) => panic!("{error}"),
        Err(error) => message::check_harmless(&error.to_string()),
    }
}
