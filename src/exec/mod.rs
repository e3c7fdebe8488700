//! Execution of planned graphs: binding ops to memory, one parallel region a run, states.

mod barrier;
mod error;
mod executable;
mod region;
mod session;
mod state;

pub use error::RunError;
pub use executable::Executable;
pub use session::{Input, Outputs, SavedSession, Session, SessionOptions, Watch, Watcher};
