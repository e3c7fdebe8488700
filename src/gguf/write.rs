//! Writes GGUF files, version 3.

use std::borrow::Cow;
use std::io::{self, Read, Write};

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
    data: Cow<'a, [u8]>,
}

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
            data: data.into(),
        };
        self.tensors.insert(name.into(), tensor);
        self
    }

    /// Writes the file.
    ///
    /// # Errors
    /// If `out` fails; or, as [`io::ErrorKind::InvalidInput`], if a tensor's
    /// data does not have the size that its type and dimensions call for or
    /// the alignment is not valid.
    pub fn write(&self, mut out: impl Write) -> io::Result<()> {
        let alignment = layout::alignment(&self.metadata).map_err(invalid)?;
        for (name, tensor) in &self.tensors {
            tensor.check(name)?;
        }
        write_padded(&self.header(alignment), alignment, &mut out)?;
        for tensor in self.tensors.values() {
            write_padded(&tensor.data, alignment, &mut out)?;
        }
        out.flush()
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
            offset += (tensor.data.len() as u64).next_multiple_of(alignment);
        }
        out
    }
}

impl Tensor<'_> {
    fn check(&self, name: &str) -> io::Result<()> {
        let expected = data_bytes(self.ty, &self.dims).map_err(invalid)?;
        let found = self.data.len() as u64;
        if expected == found {
            return Ok(());
        }
        Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("tensor {name}: expected {expected} bytes of data, found {found}"),
        ))
    }

    fn encode(&self, offset: u64, out: &mut Vec<u8>) {
        (self.dims.len() as u32).encode(out);
        encode_each(&self.dims, out);
        self.ty.id().encode(out);
        offset.encode(out);
    }
}

fn invalid(fault: Fault) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, fault)
}

fn write_padded(bytes: &[u8], alignment: u64, mut out: impl Write) -> io::Result<()> {
    out.write_all(bytes)?;
    let end = bytes.len() as u64;
    let padding = end.next_multiple_of(alignment) - end;
    io::copy(&mut io::repeat(0).take(padding), &mut out)?;
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
