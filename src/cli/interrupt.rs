//! Ctrl-C.

use std::process::exit;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

use super::failure::Failure;

/// As shells report a program that Ctrl-C has ended.
pub(super) const EXIT_CODE: u8 = 130;

/// Ctrl-C where it ends what is under way, and not the program.
pub(super) struct Breaks(Arc<State>);

#[derive(Default)]
struct State {
    /// Something is under way.
    busy: AtomicBool,
    /// Ctrl-C has come since it began.
    stop: AtomicBool,
    wake: Notify,
}

/// Something is under way until this is dropped.
pub(super) struct Busy<'a>(&'a State);

impl Breaks {
    /// Listens for Ctrl-C. Unless somebody sits there who can be asked again, it ends a program that
    /// has nothing under way, and a second one ends it at once.
    pub(super) fn listen(attended: bool) -> Result<Breaks, Failure> {
        let state: Arc<State> = Arc::default();
        let shared = Arc::clone(&state);
        handle(move || {
            let busy = shared.busy.load(Ordering::SeqCst);
            if (!busy || shared.stop.load(Ordering::SeqCst)) && !attended {
                exit(EXIT_CODE.into());
            }
            shared.stop.store(busy, Ordering::SeqCst);
            shared.wake.notify_one();
        })?;
        Ok(Breaks(state))
    }

    /// Something begins that Ctrl-C can end.
    pub(super) fn begin(&self) -> Busy<'_> {
        self.0.stop.store(false, Ordering::SeqCst);
        self.0.busy.store(true, Ordering::SeqCst);
        Busy(&self.0)
    }
}

impl Busy<'_> {
    /// Waits for Ctrl-C.
    pub(super) async fn stopped(&self) {
        // A wake-up may be left from before it began.
        while !self.0.stop.load(Ordering::SeqCst) {
            self.0.wake.notified().await;
        }
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.busy.store(false, Ordering::SeqCst);
    }
}

/// A flag that the first Ctrl-C sets, for a clean end; the second ends the program at once.
pub(super) fn flag() -> Result<Arc<AtomicBool>, Failure> {
    let flag = Arc::new(AtomicBool::new(false));
    let set = Arc::clone(&flag);
    handle(move || {
        if set.swap(true, Ordering::Relaxed) {
            exit(EXIT_CODE.into());
        }
    })?;
    Ok(flag)
}

fn handle(handler: impl FnMut() + Send + 'static) -> Result<(), Failure> {
    ctrlc::set_handler(handler).map_err(|error| {
        Failure::plain(
            format!("cannot listen for Ctrl-C: {error}"),
            "try again; if it stays so, the system is out of resources",
        )
    })
}
