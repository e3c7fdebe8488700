//! Ranges of whole numbers.

use std::ops::RangeInclusive;

/// Reads `2-5` or `3`.
pub(super) fn range(text: &str) -> Result<RangeInclusive<usize>, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (first.trim().parse(), last.trim().parse()) {
        (Ok(first), Ok(last)) if first <= last => Ok(first..=last),
        _ => Err("expected numbers such as 0-3 or 5".into()),
    }
}
