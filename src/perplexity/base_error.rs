//! What can be wrong with a file of log probabilities.

use std::io;
use std::path::PathBuf;

use sharpi_ir::plain::PlainPath;

/// A file of log probabilities that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {fault}", PlainPath(path))]
pub struct BaseError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub fault: BaseFault,
}

/// What is wrong with a file of log probabilities.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BaseFault {
    /// It cannot be read or written.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// A folder, a pipe or a device.
    #[error("not a regular file")]
    Kind,
    /// It is something else.
    #[error("it begins with {found:?} in place of \"_logits_\"")]
    Magic {
        /// The bytes at its beginning, with escapes.
        found: String,
    },
    /// It ends within its header.
    #[error("it ends within its header, after {bytes} bytes")]
    Header {
        /// Bytes of the file.
        bytes: u64,
    },
    /// A number of the header makes no sense.
    #[error("its header says {what} of {value}, expected {expected}")]
    Number {
        /// Which.
        what: &'static str,
        /// The value.
        value: i64,
        /// What would be right.
        expected: &'static str,
    },
    /// It is shorter than its header says.
    #[error(
        "it has {bytes} bytes, and {expected} are wanted for {chunks} chunks of {length} tokens \
         with {vocabulary} log probabilities each; {whole} chunks are whole"
    )]
    Truncated {
        /// Bytes of the file.
        bytes: u64,
        /// Bytes that are wanted.
        expected: u128,
        /// Chunks that are wanted.
        chunks: usize,
        /// Tokens of a chunk.
        length: usize,
        /// Log probabilities of a token.
        vocabulary: usize,
        /// Chunks that are there whole.
        whole: usize,
    },
    /// It goes on behind its last chunk.
    #[error("{bytes} bytes stand behind the last of its {chunks} chunks")]
    Trailing {
        /// Bytes too many.
        bytes: u64,
        /// Chunks.
        chunks: usize,
    },
    /// A token that its vocabulary does not have.
    #[error("token {place} of its text has the id {id}, beyond its vocabulary of {vocabulary}")]
    Token {
        /// Place in the text, from 0 on.
        place: usize,
        /// The id.
        id: i32,
        /// Tokens of the vocabulary.
        vocabulary: usize,
    },
}
