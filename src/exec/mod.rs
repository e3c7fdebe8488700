//! Execution of planned graphs: binding ops to memory, one parallel region a run, states.

mod barrier;
mod call;
mod error;
mod executable;
mod footprint;
mod load;
pub(crate) mod memory;
pub(crate) mod ops;
pub(crate) mod pages;
mod poison;
mod recording;
mod region;
mod session;
pub mod simd;
mod state;

pub use call::Input;
pub use error::RunError;
pub use executable::Executable;
pub use footprint::Footprint;
pub use load::{LoadError, LoadOptions, LoadReport, Progress};
pub use recording::{RecordedRun, Span, Work};
pub use session::{Outputs, SavedSession, Session, SessionOptions, Watcher};
