//! Everything in a file that comes before the tensor data.

use indexmap::IndexMap;

use super::cursor::Cursor;
use super::error::{Fault, Malformed};
use super::value::Value;
use super::{layout, metadata, tensor};

/// The first bytes of every GGUF file.
pub(super) const MAGIC: [u8; 4] = *b"GGUF";

/// The checked header of one file.
pub(super) struct Header {
    pub(super) version: u32,
    pub(super) metadata: IndexMap<String, Value>,
    /// The tensors in file order, placed in the file; names not yet checked.
    pub(super) tensors: Vec<tensor::Entry>,
}

impl Header {
    pub(super) fn parse(bytes: &[u8]) -> Result<Header, Malformed> {
        let mut cursor = Cursor::new(bytes);
        read_magic(&mut cursor)?;
        let version = read_version(&mut cursor)?;
        let tensor_count = cursor.count("tensor count", tensor::LEAST_BYTES)?;
        let pair_count = cursor.count("metadata count", metadata::LEAST_BYTES)?;
        let metadata = metadata::read(&mut cursor, pair_count)?;
        let mut tensors = (0..tensor_count)
            .map(|_| tensor::read(&mut cursor))
            .collect::<Result<Vec<_>, _>>()?;
        let header_bytes = cursor.position();
        let alignment =
            layout::alignment(&metadata).map_err(|fault| Malformed::new(header_bytes, fault))?;
        layout::place(&mut tensors, header_bytes, alignment, bytes.len() as u64)?;
        Ok(Header {
            version,
            metadata,
            tensors,
        })
    }
}

fn read_magic(cursor: &mut Cursor) -> Result<(), Malformed> {
    let found: [u8; 4] = cursor.scalar::<u32>("magic")?.to_le_bytes();
    if found == MAGIC {
        Ok(())
    } else {
        Err(Malformed::new(0, Fault::Magic { found }))
    }
}

fn read_version(cursor: &mut Cursor) -> Result<u32, Malformed> {
    let at = cursor.position();
    let found: u32 = cursor.scalar("version")?;
    let fault = match (found, found.swap_bytes()) {
        (2 | 3, _) => return Ok(found),
        // Versions are small, so a large one is a small one read backwards.
        (_, version @ 1..=0xffff) => Fault::BigEndian { version },
        _ => Fault::Version { found },
    };
    Err(Malformed::new(at, fault))
}
