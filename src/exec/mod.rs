//! Execution of planned graphs: binding ops to memory, one parallel region a run, states.

mod barrier;
#[cfg(test)]
mod barrier_tests;
mod batch;
mod call;
mod check_states;
mod error;
mod executable;
mod executor;
mod fingerprint;
mod footprint;
mod load;
pub(crate) mod memory;
pub(crate) mod ops;
mod outputs;
pub(crate) mod packed_file;
mod pages;
mod peers;
mod poison;
mod recording;
mod region;
mod saved;
mod session;
mod shares;
pub mod simd;
mod state;
mod sync;

pub use batch::Batch;
pub use call::Input;
pub use error::RunError;
pub use executable::Executable;
pub use executor::{Executor, ExecutorOptions, Watcher};
pub use footprint::Footprint;
pub use load::{LoadError, LoadOptions, LoadReport, PrepareError, Progress};
pub use ops::BindError;
pub use outputs::{Outputs, Views};
pub use recording::{RecordedRun, Span, StepTime, Work};
pub use saved::{SavedError, SavedSession};
pub use session::{Session, SessionOptions};
