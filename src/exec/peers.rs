//! The other ranks, as a run sees them.

use std::sync::{Arc, Mutex, PoisonError};

use crate::ranks::{ExchangeError, Transport};

/// The way to the other ranks, and what has gone wrong on it.
pub struct Peers {
    transport: Arc<dyn Transport>,
    failed: Mutex<Option<ExchangeError>>,
}

impl Peers {
    pub(super) fn new(transport: Arc<dyn Transport>) -> Peers {
        Peers {
            transport,
            failed: Mutex::default(),
        }
    }

    /// [`Transport::exchange`], unless one has failed before. Where it fails all ranks have to end:
    /// they do not know of each other what they have.
    pub(super) fn exchange(&self, own: &[u8], others: &mut [Vec<u8>]) {
        if self.check().is_ok()
            && let Err(error) = self.transport.exchange(own, others)
        {
            self.transport.abandon(&error.to_string());
            *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
    }

    /// What has gone wrong so far.
    pub(super) fn check(&self) -> Result<(), ExchangeError> {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.clone().map_or(Ok(()), Err)
    }
}
