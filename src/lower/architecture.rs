//! Architectures of one's own.

use sharpi_ir::Module;

use crate::gguf::Gguf;

use super::{LowerError, LowerOptions};

/// How a file whose `general.architecture` has a certain name becomes graphs. A model that knows
/// it, by [`Model::with_architecture`](crate::Model::with_architecture), is then compiled and run
/// as any other.
///
/// Whoever lowers sees to it that nothing in the file that changes the result is passed over.
pub trait Architecture: Send + Sync {
    /// The name in `general.architecture`.
    fn name(&self) -> &str;

    /// The graphs, of ops that are [imported](sharpi_ir::Facts::imported). What generates text
    /// wants a graph [`TRUNK`](super::TRUNK) with the inputs and outputs that
    /// [`lower`](super::lower) gives it; weights name the tensors of the file that hold them.
    ///
    /// # Errors
    /// A file that is not what the architecture expects; [`LowerError::Own`] says so in words.
    fn lower(&self, gguf: &Gguf, options: &LowerOptions) -> Result<Module, LowerError>;
}
