//! The tensor table of one file.

use super::cursor::Cursor;
use super::error::{Fault, Malformed};
use super::ggml_type::GgmlType;

/// Dimensions a tensor can have.
const MAX_DIMS: u32 = 4;

/// The least bytes an entry takes: an empty name's length, the number of
/// dimensions, one dimension, the type and the data offset.
pub(super) const LEAST_BYTES: u64 = 8 + 4 + 8 + 4 + 8;

/// One tensor of a model and where its data is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// Name, unique in the model.
    pub name: String,
    /// How the elements are stored.
    pub ty: GgmlType,
    /// One to four sizes, none zero, the fastest-varying (a row) first.
    pub dims: Vec<u64>,
    /// Index of the file that holds the data; 0 unless the model is split.
    pub part: usize,
    /// Byte offset of the data in that file.
    pub offset: u64,
    /// Size of the data in bytes.
    pub bytes: u64,
}

impl TensorInfo {
    /// Number of elements.
    pub fn elements(&self) -> u64 {
        self.dims.iter().product()
    }
}

/// A tensor as its file declares it, with the places that errors point at.
pub(super) struct Entry {
    /// The tensor; until the layout is done, `offset` counts from the start of
    /// the data section.
    pub(super) info: TensorInfo,
    /// Byte offset of the name.
    pub(super) name_at: u64,
    /// Byte offset of the data offset.
    pub(super) offset_at: u64,
}

pub(super) fn read(cursor: &mut Cursor) -> Result<Entry, Malformed> {
    let name_at = cursor.position();
    let name = cursor.string("tensor name")?;
    read_shape(cursor, name, name_at).map_err(|fault| fault.within("tensor", name))
}

fn read_shape(cursor: &mut Cursor, name: &str, name_at: u64) -> Result<Entry, Malformed> {
    let dims_at = cursor.position();
    let dims = read_dims(cursor)?;
    let type_at = cursor.position();
    let ty = read_type(cursor)?;
    let bytes = data_bytes(ty, &dims).map_err(|fault| match fault {
        Fault::RowLength { .. } => Malformed::new(type_at, fault),
        fault => Malformed::new(dims_at, fault),
    })?;
    let offset_at = cursor.position();
    let info = TensorInfo {
        name: name.to_owned(),
        ty,
        dims,
        part: 0,
        offset: cursor.scalar("data offset")?,
        bytes,
    };
    Ok(Entry {
        info,
        name_at,
        offset_at,
    })
}

fn read_dims(cursor: &mut Cursor) -> Result<Vec<u64>, Malformed> {
    let at = cursor.position();
    let found: u32 = cursor.scalar("number of dimensions")?;
    if found == 0 || found > MAX_DIMS {
        return Err(Malformed::new(at, Fault::DimCount { found }));
    }
    (0..found as usize)
        .map(|axis| {
            let at = cursor.position();
            match cursor.scalar("dimension")? {
                0 => Err(Malformed::new(at, Fault::ZeroDim { axis })),
                dim => Ok(dim),
            }
        })
        .collect()
}

fn read_type(cursor: &mut Cursor) -> Result<GgmlType, Malformed> {
    let at = cursor.position();
    let id = cursor.scalar("tensor type")?;
    GgmlType::from_id(id).ok_or_else(|| {
        let fault = match GgmlType::removed_name(id) {
            Some(name) => Fault::RemovedTensorType { id, name },
            None => Fault::TensorType { id },
        };
        Malformed::new(at, fault)
    })
}

/// Size in bytes of the data of a tensor, whose rows must be whole blocks.
pub(super) fn data_bytes(ty: GgmlType, dims: &[u64]) -> Result<u64, Fault> {
    let row = dims.first().copied().unwrap_or(1);
    if row % ty.block_len() != 0 {
        return Err(Fault::RowLength { ty, row });
    }
    dims.iter()
        .try_fold(1u64, |product, &dim| product.checked_mul(dim))
        .and_then(|elements| (elements / ty.block_len()).checked_mul(ty.block_bytes()))
        .ok_or_else(|| Fault::SizeOverflow {
            ty,
            dims: dims.to_vec(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_takes_whole_blocks() {
        assert_eq!(data_bytes(GgmlType::Q4_K, &[512, 3]).unwrap(), 6 * 144);
        assert!(matches!(
            data_bytes(GgmlType::Q4_K, &[128, 2]),
            Err(Fault::RowLength { row: 128, .. })
        ));
    }

    #[test]
    fn a_size_beyond_64_bits_is_a_fault() {
        let elements = data_bytes(GgmlType::I8, &[1 << 32, 1 << 32]);
        assert!(matches!(elements, Err(Fault::SizeOverflow { .. })));
        let bytes = data_bytes(GgmlType::F64, &[1 << 62]);
        assert!(matches!(bytes, Err(Fault::SizeOverflow { .. })));
    }
}
