//! What a message may look like, whatever it speaks of.

use std::fmt::Display;

use sharpi_compile::ir::plain::is_harmful;

/// The most bytes of a message.
const MOST: usize = 4096;

/// Panics if a message holds what a terminal would take for more than text, or is too long.
pub(crate) fn check(message: impl Display) {
    let message = message.to_string();
    check_harmless(&message);
    assert!(message.len() <= MOST, "{} bytes:\n{message}", message.len());
}

/// Panics if a text holds what a terminal would take for more than text. It may be of any length.
pub(crate) fn check_harmless(text: &str) {
    let harmful = |c: &char| is_harmful(*c) && !matches!(c, '\n' | '\t');
    assert_eq!(text.chars().find(harmful), None, "in {text:?}");
}
