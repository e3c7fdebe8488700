//! What can be wrong with a model file.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use sharpi_ir::plain::{PlainPath, Quoted};

use super::ggml_type::GgmlType;

/// Why a model could not be opened.
#[derive(Debug, Error)]
pub enum GgufError {
    /// A file could not be opened or mapped.
    #[error("{}: {error}", PlainPath(path))]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A file breaks the format.
    #[error("{}{what}", prefix(path.as_deref()))]
    Malformed {
        /// The file, unless the model was read from memory.
        path: Option<PathBuf>,
        /// Where and how.
        what: Malformed,
    },
    /// A part of a split model other than the first was opened.
    #[error(
        "{}: this is part {part} of {count} of a split model; open the first part, {}",
        PlainPath(path),
        PlainPath(first)
    )]
    NotFirstPart {
        /// The file that was opened.
        path: PathBuf,
        /// Its number, counted from 1.
        part: u64,
        /// Number of parts in the set.
        count: u64,
        /// The file to open instead.
        first: PathBuf,
    },
    /// A part of a split model is not there.
    #[error(
        "{}: part {part} of {count} of the split model is missing",
        PlainPath(path)
    )]
    MissingPart {
        /// The file that is wanted.
        path: PathBuf,
        /// Its number, counted from 1.
        part: u64,
        /// Number of parts in the set.
        count: u64,
    },
    /// A part of a split model has a name that does not say which part it is,
    /// so the others cannot be found.
    #[error(
        "{}: this is part {part} of {count} of a split model; expected its name to end in \
         -{part:05}-of-{count:05}.gguf",
        PlainPath(path)
    )]
    PartName {
        /// The file that was opened.
        path: PathBuf,
        /// Its number, counted from 1.
        part: u64,
        /// Number of parts in the set.
        count: u64,
    },
    /// A `split.` key of a part does not fit the set.
    #[error("{}: {key}: expected {expected}, found {found}", PlainPath(path))]
    SplitKey {
        /// The part.
        path: PathBuf,
        /// The metadata key.
        key: &'static str,
        /// What the set calls for.
        expected: String,
        /// What the file has.
        found: String,
    },
    /// The parts together do not hold as many tensors as they say.
    #[error(
        "{}: split.tensors.count: expected {expected} tensors in the whole set, found {found}",
        PlainPath(path)
    )]
    SplitTensors {
        /// The first part.
        path: PathBuf,
        /// What the metadata says.
        expected: u64,
        /// What the parts hold.
        found: u64,
    },
    /// One part of a split model was given as bytes.
    #[error("the bytes are one part of {count} of a split model, which has to be opened by path")]
    SplitInMemory {
        /// Number of parts in the set.
        count: u64,
    },
}

impl GgufError {
    /// The byte offset in the file of what is malformed.
    pub fn offset(&self) -> Option<u64> {
        match self {
            GgufError::Malformed { what, .. } => Some(what.offset),
            _ => None,
        }
    }

    /// How the file is malformed.
    pub fn fault(&self) -> Option<&Fault> {
        match self {
            GgufError::Malformed { what, .. } => Some(&what.fault),
            _ => None,
        }
    }

    /// Whether the file may be sound but has tensors of a type that is not known here.
    pub fn is_unsupported(&self) -> bool {
        matches!(
            self.fault(),
            Some(Fault::TensorType { .. } | Fault::RemovedTensorType { .. })
        )
    }
}

fn prefix(path: Option<&Path>) -> String {
    path.map_or_else(String::new, |path| format!("{}: ", PlainPath(path)))
}

/// A fault at a place in a file.
#[derive(Debug)]
pub struct Malformed {
    /// Byte offset of the offending field or byte.
    pub offset: u64,
    /// The metadata key or tensor it belongs to, as shown in the message.
    pub within: Option<String>,
    /// What is wrong.
    pub fault: Box<Fault>,
}

impl Malformed {
    pub(super) fn new(offset: u64, fault: Fault) -> Malformed {
        Malformed {
            offset,
            within: None,
            fault: Box::new(fault),
        }
    }

    /// Says that the fault is in the `kind` (of thing) called `name`.
    pub(super) fn within(self, kind: &str, name: &str) -> Malformed {
        Malformed {
            within: Some(format!("{kind} {}", Quoted(name))),
            ..self
        }
    }

    pub(super) fn in_file(self, path: &Path) -> GgufError {
        GgufError::Malformed {
            path: Some(path.to_owned()),
            what: self,
        }
    }

    pub(super) fn in_memory(self) -> GgufError {
        GgufError::Malformed {
            path: None,
            what: self,
        }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "offset {:#x}: ", self.offset)?;
        if let Some(within) = &self.within {
            write!(f, "{within}: ")?;
        }
        write!(f, "{}", self.fault)
    }
}

/// The ways a file can break the format.
#[derive(Debug, Error)]
#[allow(missing_docs)] // The fields are what the messages say they are.
pub enum Fault {
    /// The file is not a GGUF file.
    #[error("expected the magic \"GGUF\", found \"{}\"", found.escape_ascii())]
    Magic { found: [u8; 4] },
    /// The version is too old or unknown.
    #[error("GGUF version {found} is not supported, expected 2 or 3")]
    Version { found: u32 },
    /// The file is for big-endian machines.
    #[error("the file is big-endian (version {version}), expected a little-endian file")]
    BigEndian { version: u32 },
    /// The file ends inside something.
    #[error("{what} needs {needed} bytes, but the file has {left} left")]
    Truncated {
        what: &'static str,
        needed: u64,
        left: u64,
    },
    /// A count promises more than the rest of the file can hold.
    #[error("{what} {count} needs at least {needed} bytes, but the file has {left} left")]
    Count {
        what: &'static str,
        count: u64,
        needed: u128,
        left: u64,
    },
    /// Text is not UTF-8; the offset is that of the first bad byte.
    #[error("expected UTF-8 in the {what}, found byte {byte:#04x}")]
    Utf8 { what: &'static str, byte: u8 },
    /// A metadata key without a letter.
    #[error("expected a key, found an empty text")]
    EmptyKey,
    /// A metadata key occurs twice.
    #[error("key {} occurs a second time", Quoted(key))]
    DuplicateKey { key: String },
    /// A tensor name occurs twice, in one file or in two parts of a set.
    #[error("tensor {} occurs a second time", Quoted(name))]
    DuplicateTensor { name: String },
    /// A metadata value type is not in the format.
    #[error("expected a value type from 0 to 12, found {id}")]
    ValueType { id: u32 },
    /// A boolean is neither 0 nor 1.
    #[error("expected a bool of 0 or 1, found {found}")]
    Bool { found: u8 },
    /// Arrays are nested too deeply.
    #[error("expected arrays nested at most {limit} deep, found one deeper")]
    Depth { limit: usize },
    /// `general.alignment` is no alignment.
    #[error("expected a power of two from 8 to 2^31, found {found}")]
    Alignment { found: String },
    /// A tensor has no dimensions or too many.
    #[error("expected 1 to 4 dimensions, found {found}")]
    DimCount { found: u32 },
    /// A tensor has a dimension of zero.
    #[error("expected dimension {axis} to be at least 1, found 0")]
    ZeroDim { axis: usize },
    /// A tensor has more elements or bytes than 64 bits can count.
    #[error("{ty} tensor of dimensions {dims:?} overflows a 64-bit size")]
    SizeOverflow { ty: GgmlType, dims: Vec<u64> },
    /// The rows of a tensor are not whole blocks.
    #[error("expected rows of whole {ty} blocks of {}, found rows of {row}", ty.block_len())]
    RowLength { ty: GgmlType, row: u64 },
    /// A tensor type is unknown.
    #[error("tensor type {id} is not known")]
    TensorType { id: u32 },
    /// A tensor type has been removed from the format.
    #[error("tensor type {id} ({name}) has been removed from the format")]
    RemovedTensorType { id: u32, name: &'static str },
    /// A tensor's data starts off the alignment.
    #[error("expected a data offset that is a multiple of {alignment}, found {found}")]
    Misaligned { found: u64, alignment: u64 },
    /// A tensor's data does not lie within the file.
    #[error("data needs {bytes} bytes at {start:#x}, but the file ends at {file_bytes:#x}")]
    OutOfRange {
        start: u128,
        bytes: u64,
        file_bytes: u64,
    },
    /// The data of two tensors overlap.
    #[error(
        "data at {start:#x} lies inside tensor {}, which ends at {end:#x}",
        Quoted(other)
    )]
    Overlap { start: u64, other: String, end: u64 },
}
