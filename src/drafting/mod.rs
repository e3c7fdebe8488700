//! Tokens proposed for the trunk to verify: by the model's MTP head, or by whatever a user brings.

mod acceptance;
mod draft;
mod mtp;

pub(crate) use acceptance::Acceptance;
pub use draft::{DraftOptions, Drafter, Drafting, Round};
pub(crate) use mtp::HeadRun;
pub use mtp::MtpDrafter;
