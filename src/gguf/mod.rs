//! Reads GGUF model files, versions 2 and 3, little-endian.
//!
//! [`Gguf`] holds the metadata and the tensor table; tensor data stays in the
//! (usually memory-mapped) file. Nothing in a file is trusted: every count,
//! offset and size is checked before it is used, and a bad file gives a
//! [`GgufError`] that names the byte where the trouble is.

mod array;
mod cursor;
mod error;
mod ggml_type;
mod header;
mod layout;
mod metadata;
mod scalar;
mod split;
mod storage;
mod tensor;
mod value;
mod value_type;
pub mod write;

use std::fmt;
use std::path::Path;
use std::time::SystemTime;

use indexmap::IndexMap;

pub use array::Array;
pub use error::{Fault, GgufError, Malformed};
pub use ggml_type::GgmlType;
pub use tensor::TensorInfo;
pub use value::Value;
pub use value_type::ValueType;

use header::Header;
use storage::Storage;

/// An opened model: its metadata, its tensor table and its bytes.
///
/// A model split over several files is one `Gguf` with one tensor table.
pub struct Gguf {
    version: u32,
    metadata: IndexMap<String, Value>,
    tensors: IndexMap<String, TensorInfo>,
    parts: Vec<Storage>,
}

impl Gguf {
    /// Maps a model file into memory and reads its header.
    ///
    /// For a split model, `path` names the first part
    /// (`X-00001-of-0000N.gguf`) and the other parts are opened beside it.
    /// The files must not change while the `Gguf` lives.
    ///
    /// # Errors
    /// If a file cannot be read, is malformed, or does not fit its split set.
    pub fn open(path: impl AsRef<Path>) -> Result<Gguf, GgufError> {
        let path = path.as_ref();
        let (bytes, header) = map(path)?;
        let set = split::Set::find(path, &header.metadata)?;
        let mut gguf = Gguf::new(header.version, header.metadata);
        gguf.add_part(bytes, header.tensors)
            .map_err(|fault| fault.in_file(path))?;
        if let Some(set) = set {
            gguf.add_other_parts(&set)?;
        }
        Ok(gguf)
    }

    /// Reads a model that is part of the program itself.
    ///
    /// # Errors
    /// If the bytes are malformed, or are one part of a split model.
    pub fn from_static(bytes: &'static [u8]) -> Result<Gguf, GgufError> {
        Gguf::from_storage(Storage::Static(bytes))
    }

    /// Reads a model held in memory.
    ///
    /// # Errors
    /// If the bytes are malformed, or are one part of a split model.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Gguf, GgufError> {
        Gguf::from_storage(Storage::Owned(bytes))
    }

    fn from_storage(bytes: Storage) -> Result<Gguf, GgufError> {
        let header = Header::parse(bytes.as_slice()).map_err(Malformed::in_memory)?;
        split::refuse_in_memory(&header.metadata)?;
        let mut gguf = Gguf::new(header.version, header.metadata);
        gguf.add_part(bytes, header.tensors)
            .map_err(Malformed::in_memory)?;
        Ok(gguf)
    }

    fn new(version: u32, metadata: IndexMap<String, Value>) -> Gguf {
        Gguf {
            version,
            metadata,
            tensors: IndexMap::new(),
            parts: Vec::new(),
        }
    }

    fn add_other_parts(&mut self, set: &split::Set) -> Result<(), GgufError> {
        for (part, path) in set.others() {
            let (bytes, header) = map(&path)?;
            set.check_part(part, &path, &header.metadata)?;
            self.add_part(bytes, header.tensors)
                .map_err(|fault| fault.in_file(&path))?;
        }
        set.check_tensors(self.tensors.len())
    }

    fn add_part(&mut self, bytes: Storage, table: Vec<tensor::Entry>) -> Result<(), Malformed> {
        let part = self.parts.len();
        self.tensors.reserve(table.len());
        for entry in table {
            let info = TensorInfo { part, ..entry.info };
            if let Some(first) = self.tensors.insert(info.name.clone(), info) {
                let fault = Fault::DuplicateTensor { name: first.name };
                return Err(Malformed::new(entry.name_at, fault));
            }
        }
        self.parts.push(bytes);
        Ok(())
    }

    /// The format version of the (first) file: 2 or 3.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The metadata of the (first) file, in file order.
    pub fn metadata(&self) -> &IndexMap<String, Value> {
        &self.metadata
    }

    /// One metadata value.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.metadata.get(key)
    }

    /// Every tensor by name, in file order, part after part.
    pub fn tensors(&self) -> &IndexMap<String, TensorInfo> {
        &self.tensors
    }

    /// One tensor by name.
    pub fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        self.tensors.get(name)
    }

    /// Takes in another file: of its tensors those that are named, each under the name beside it.
    /// Its metadata is left behind.
    pub(crate) fn adopt(&mut self, other: Gguf, tensors: &[(String, String)]) {
        let first = self.parts.len();
        for (name, new_name) in tensors {
            if let Some(info) = other.tensors.get(name) {
                let info = TensorInfo {
                    name: new_name.clone(),
                    part: first + info.part,
                    ..info.clone()
                };
                self.tensors.insert(new_name.clone(), info);
            }
        }
        self.parts.extend(other.parts);
    }

    /// Forgets tensors; their bytes stay in the file.
    pub(crate) fn remove_tensors(&mut self, is_one: impl Fn(&str) -> bool) {
        self.tensors.retain(|name, _| !is_one(name));
    }

    /// Gives a key another value.
    pub(crate) fn set(&mut self, key: String, value: Value) {
        self.metadata.insert(key, value);
    }

    /// The bytes of a tensor of this model: exactly `t.bytes` of them.
    ///
    /// # Panics
    /// If `t` describes bytes outside this model; a `t` that came from
    /// [`tensors`](Gguf::tensors) never does.
    pub fn data(&self, t: &TensorInfo) -> &[u8] {
        // The header check placed the tensor inside a slice, so both fit usize.
        let start = t.offset as usize;
        &self.parts[t.part].as_slice()[start..start + t.bytes as usize]
    }

    /// `len` bytes of a tensor from its byte `from` on, read into `room` if they are in a file.
    /// With `drop_behind` the system need not keep them in its cache.
    ///
    /// # Errors
    /// What the system says when it cannot read.
    ///
    /// # Panics
    /// If the tensor is of another model or has not as many bytes.
    pub fn read<'r>(
        &'r self,
        t: &TensorInfo,
        from: usize,
        len: usize,
        room: &'r mut Vec<u8>,
        drop_behind: bool,
    ) -> std::io::Result<&'r [u8]> {
        assert!(from + len <= t.bytes as usize, "bytes past a tensor's end");
        self.parts[t.part].read(t.offset as usize + from, len, room, drop_behind)
    }

    /// When each of its files was last written, `None` for what is not in a file or a system that does
    /// not tell.
    pub(crate) fn written(&self) -> impl Iterator<Item = Option<SystemTime>> {
        self.parts.iter().map(Storage::written)
    }

    /// Size of the model in bytes, over all its parts.
    pub fn file_bytes(&self) -> u64 {
        self.parts.iter().map(|p| p.as_slice().len() as u64).sum()
    }
}

impl fmt::Debug for Gguf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gguf")
            .field("version", &self.version)
            .field("metadata", &self.metadata.len())
            .field("tensors", &self.tensors.len())
            .field("parts", &self.parts.len())
            .finish()
    }
}

fn map(path: &Path) -> Result<(Storage, Header), GgufError> {
    let bytes = Storage::map(path).map_err(|error| GgufError::Io {
        path: path.to_owned(),
        error,
    })?;
    let header = Header::parse(bytes.as_slice()).map_err(|fault| fault.in_file(path))?;
    Ok((bytes, header))
}
