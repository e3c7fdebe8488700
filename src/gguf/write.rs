//! Writes GGUF files, version 3.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use indexmap::IndexMap;

use super::array::Array;
use super::error::Fault;
use super::ggml_type::GgmlType;
use super::header::MAGIC;
use super::layout;
use super::scalar::Scalar;
use super::tensor::data_bytes;
use super::value::Value;

const VERSION: u32 = 3;

/// Collects metadata and tensors, and writes them as one file.
///
/// The data is aligned to the `general.alignment` in the metadata, or to 32
/// bytes without one.
#[derive(Default)]
pub struct Writer<'a> {
    metadata: IndexMap<String, Value>,
    tensors: IndexMap<String, Tensor<'a>>,
}

struct Tensor<'a> {
    ty: GgmlType,
    dims: Vec<u64>,
    data: Data<'a>,
}

enum Data<'a> {
    Bytes(Cow<'a, [u8]>),
    /// So many bytes of zero, which need no memory.
    Zeros(u64),
    /// So many bytes that are made as they are written.
    Made(u64, Box<Make<'a>>),
}

/// Writes the data of a tensor.
type Make<'a> = dyn Fn(&mut dyn Write) -> io::Result<()> + 'a;

impl<'a> Writer<'a> {
    /// A writer with neither metadata nor tensors.
    pub fn new() -> Writer<'a> {
        Writer::default()
    }

    /// Adds a metadata pair, in place of an earlier one with the same key.
    pub fn metadata(&mut self, key: impl Into<String>, value: impl Into<Value>) -> &mut Self {
        self.metadata.insert(key.into(), value.into());
        self
    }

    /// Adds a tensor, in place of an earlier one with the same name; `dims`
    /// are given fastest-varying first.
    pub fn tensor(
        &mut self,
        name: impl Into<String>,
        ty: GgmlType,
        dims: &[u64],
        data: impl Into<Cow<'a, [u8]>>,
    ) -> &mut Self {
        let tensor = Tensor {
            ty,
            dims: dims.to_vec(),
            data: Data::Bytes(data.into()),
        };
        self.tensors.insert(name.into(), tensor);
        self
    }

    /// Adds a tensor whose data is all zeros, of any size, in place of an
    /// earlier one with the same name.
    ///
    /// # Errors
    /// As [`io::ErrorKind::InvalidInput`], if the dimensions do not fit the type.
    pub fn zeros(
        &mut self,
        name: impl Into<String>,
        ty: GgmlType,
        dims: &[u64],
    ) -> io::Result<&mut Self> {
        let data = Data::Zeros(data_bytes(ty, dims).map_err(invalid)?);
        let dims = dims.to_vec();
        self.tensors.insert(name.into(), Tensor { ty, dims, data });
        Ok(self)
    }

    /// Adds a tensor of any size whose data `make` writes, in place of an earlier one with the same
    /// name.
    ///
    /// # Errors
    /// As [`io::ErrorKind::InvalidInput`], if the dimensions do not fit the type.
    pub fn made(
        &mut self,
        name: impl Into<String>,
        ty: GgmlType,
        dims: &[u64],
        make: impl Fn(&mut dyn Write) -> io::Result<()> + 'a,
    ) -> io::Result<&mut Self> {
        let data = Data::Made(data_bytes(ty, dims).map_err(invalid)?, Box::new(make));
        let dims = dims.to_vec();
        self.tensors.insert(name.into(), Tensor { ty, dims, data });
        Ok(self)
    }

    /// Number of tensors.
    pub fn tensor_count(&self) -> usize {
        self.tensors.len()
    }

    /// Size of the file in bytes.
    ///
    /// # Errors
    /// As [`io::ErrorKind::InvalidInput`], for what [`write`](Writer::write) refuses too.
    pub fn file_bytes(&self) -> io::Result<u64> {
        let alignment = self.check()?;
        let padded = |bytes: u64| bytes.next_multiple_of(alignment);
        let data = self.tensors.values().map(|t| padded(t.data.len()));
        Ok(padded(self.header(alignment).len() as u64) + data.sum::<u64>())
    }

    /// Writes the file.
    ///
    /// # Errors
    /// If `out` fails or a tensor cannot be made; or, as
    /// [`io::ErrorKind::InvalidInput`], if a tensor's data does not have the
    /// size that its type and dimensions call for or the alignment is not
    /// valid.
    pub fn write(&self, mut out: impl Write) -> io::Result<()> {
        let alignment = self.check()?;
        write_padded(&self.header(alignment), alignment, &mut out)?;
        for (name, tensor) in &self.tensors {
            tensor.data.write(name, alignment, &mut out)?;
        }
        out.flush()
    }

    /// Writes the file with holes for the [`zeros`](Writer::zeros), which take
    /// no room where the file system knows holes. `out` is empty.
    ///
    /// # Errors
    /// As for [`write`](Writer::write).
    pub fn write_sparse(&self, mut out: &File) -> io::Result<()> {
        let alignment = self.check()?;
        write_padded(&self.header(alignment), alignment, out)?;
        for (name, tensor) in &self.tensors {
            match &tensor.data {
                Data::Zeros(count) => {
                    let hole = i64::try_from(count.next_multiple_of(alignment));
                    out.seek(SeekFrom::Current(hole.map_err(io::Error::other)?))?;
                }
                data => data.write(name, alignment, &mut out)?,
            }
        }
        out.set_len(out.stream_position()?)
    }

    /// The alignment, once all data is known to be of its right size.
    fn check(&self) -> io::Result<u64> {
        for (name, tensor) in &self.tensors {
            tensor.check(name)?;
        }
        layout::alignment(&self.metadata).map_err(invalid)
    }

    fn header(&self, alignment: u64) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        VERSION.encode(&mut out);
        encode_len(self.tensors.len(), &mut out);
        encode_len(self.metadata.len(), &mut out);
        for (key, value) in &self.metadata {
            encode_str(key, &mut out);
            value.value_type().id().encode(&mut out);
            encode_value(value, &mut out);
        }
        let mut offset = 0u64;
        for (name, tensor) in &self.tensors {
            encode_str(name, &mut out);
            tensor.encode(offset, &mut out);
            offset += tensor.data.len().next_multiple_of(alignment);
        }
        out
    }
}

impl Tensor<'_> {
    fn check(&self, name: &str) -> io::Result<()> {
        let expected = data_bytes(self.ty, &self.dims).map_err(invalid)?;
        check_size(name, expected, self.data.len())
    }

    fn encode(&self, offset: u64, out: &mut Vec<u8>) {
        (self.dims.len() as u32).encode(out);
        encode_each(&self.dims, out);
        self.ty.id().encode(out);
        offset.encode(out);
    }
}

impl Data<'_> {
    /// Size in bytes.
    fn len(&self) -> u64 {
        match self {
            Data::Bytes(bytes) => bytes.len() as u64,
            Data::Zeros(count) | Data::Made(count, _) => *count,
        }
    }

    /// Writes the data of the tensor `name`, and zeros up to the alignment.
    fn write(&self, name: &str, alignment: u64, out: &mut impl Write) -> io::Result<()> {
        match self {
            Data::Bytes(bytes) => out.write_all(bytes)?,
            Data::Zeros(count) => write_zeros(*count, &mut *out)?,
            Data::Made(count, make) => {
                let mut counted = Counted { out, count: 0 };
                make(&mut counted)?;
                check_size(name, *count, counted.count)?;
            }
        }
        write_zeros(self.len().next_multiple_of(alignment) - self.len(), out)
    }
}

/// Counts the bytes on their way.
struct Counted<'o, W> {
    out: &'o mut W,
    count: u64,
}

impl<W: Write> Write for Counted<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.count += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn check_size(name: &str, expected: u64, found: u64) -> io::Result<()> {
    if expected == found {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("tensor {name}: expected {expected} bytes of data, found {found}"),
    ))
}

fn invalid(fault: Fault) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, fault)
}

fn write_padded(bytes: &[u8], alignment: u64, mut out: impl Write) -> io::Result<()> {
    out.write_all(bytes)?;
    let end = bytes.len() as u64;
    write_zeros(end.next_multiple_of(alignment) - end, out)
}

fn write_zeros(count: u64, mut out: impl Write) -> io::Result<()> {
    io::copy(&mut io::repeat(0).take(count), &mut out)?;
    Ok(())
}

fn encode_value(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::U8(n) => n.encode(out),
        Value::I8(n) => n.encode(out),
        Value::U16(n) => n.encode(out),
        Value::I16(n) => n.encode(out),
        Value::U32(n) => n.encode(out),
        Value::I32(n) => n.encode(out),
        Value::F32(x) => x.encode(out),
        Value::Bool(b) => out.push((*b).into()),
        Value::Str(s) => encode_str(s, out),
        Value::Array(array) => encode_array(array, out),
        Value::U64(n) => n.encode(out),
        Value::I64(n) => n.encode(out),
        Value::F64(x) => x.encode(out),
    }
}

fn encode_array(array: &Array, out: &mut Vec<u8>) {
    array.element_type().id().encode(out);
    encode_len(array.len(), out);
    match array {
        Array::U8(v) => encode_each(v, out),
        Array::I8(v) => encode_each(v, out),
        Array::U16(v) => encode_each(v, out),
        Array::I16(v) => encode_each(v, out),
        Array::U32(v) => encode_each(v, out),
        Array::I32(v) => encode_each(v, out),
        Array::F32(v) => encode_each(v, out),
        Array::Bool(v) => out.extend(v.iter().map(|&b| u8::from(b))),
        Array::Str(v) => v.iter().for_each(|s| encode_str(s, out)),
        Array::Nested(v) => v.iter().for_each(|a| encode_array(a, out)),
        Array::U64(v) => encode_each(v, out),
        Array::I64(v) => encode_each(v, out),
        Array::F64(v) => encode_each(v, out),
    }
}

fn encode_each<T: Scalar>(elements: &[T], out: &mut Vec<u8>) {
    elements.iter().for_each(|element| element.encode(out));
}

fn encode_str(text: &str, out: &mut Vec<u8>) {
    encode_len(text.len(), out);
    out.extend_from_slice(text.as_bytes());
}

fn encode_len(len: usize, out: &mut Vec<u8>) {
    (len as u64).encode(out);
}
