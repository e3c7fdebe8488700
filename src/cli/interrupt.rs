//! Ctrl-C.

use std::process::exit;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::failure::Failure;

/// As shells report a program that Ctrl-C has ended.
pub(super) const EXIT_CODE: u8 = 130;

/// A flag that the first Ctrl-C sets, for a clean end; the second ends the program at once.
pub(super) fn flag() -> Result<Arc<AtomicBool>, Failure> {
    let flag = Arc::new(AtomicBool::new(false));
    let set = Arc::clone(&flag);
    let handler = move || {
        if set.swap(true, Ordering::Relaxed) {
            exit(EXIT_CODE.into());
        }
    };
    ctrlc::set_handler(handler).map_err(|error| {
        Failure::plain(
            format!("cannot listen for Ctrl-C: {error}"),
            "try again; if it stays so, the system is out of resources",
        )
    })?;
    Ok(flag)
}
