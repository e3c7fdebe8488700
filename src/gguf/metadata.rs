//! The metadata of one file.

use indexmap::IndexMap;
use indexmap::map::Entry;

use super::array::Array;
use super::cursor::Cursor;
use super::error::{Fault, Malformed};
use super::layout::{ALIGNMENT_KEY, check_alignment};
use super::value::Value;
use super::value_type::ValueType;

/// How deep arrays of arrays may go; reading them recurses.
const MAX_DEPTH: usize = 8;

/// The key whose texts are computed with, so that none may be another than it was written.
const TOKENS_KEY: &str = "tokenizer.ggml.tokens";

/// The least bytes a pair takes: a key of one byte and its length, a type and a byte.
pub(super) const LEAST_BYTES: u64 = 8 + 1 + 4 + 1;

pub(super) fn read(
    cursor: &mut Cursor,
    count: usize,
) -> Result<IndexMap<String, Value>, Malformed> {
    let mut metadata = IndexMap::new();
    for _ in 0..count {
        let at = cursor.position();
        let key = cursor.string("key")?;
        if key.is_empty() {
            return Err(Malformed::new(at, Fault::EmptyKey));
        }
        match metadata.entry(key.to_owned()) {
            Entry::Occupied(pair) => {
                let key = pair.key().clone();
                return Err(Malformed::new(at, Fault::DuplicateKey { key }));
            }
            Entry::Vacant(pair) => {
                let value = read_pair(cursor, key).map_err(|fault| fault.within("key", key))?;
                pair.insert(value);
            }
        }
    }
    Ok(metadata)
}

fn read_pair(cursor: &mut Cursor, key: &str) -> Result<Value, Malformed> {
    let ty = read_type(cursor)?;
    let at = cursor.position();
    let exact = key == TOKENS_KEY;
    let value = read_value(cursor, ty, exact)?;
    if key == ALIGNMENT_KEY {
        check_alignment(&value).map_err(|fault| Malformed::new(at, fault))?;
    }
    Ok(value)
}

fn read_type(cursor: &mut Cursor) -> Result<ValueType, Malformed> {
    let at = cursor.position();
    let id = cursor.scalar("value type")?;
    ValueType::from_id(id).ok_or_else(|| Malformed::new(at, Fault::ValueType { id }))
}

/// With `exact`, strings that are no UTF-8 are refused.
fn read_value(cursor: &mut Cursor, ty: ValueType, exact: bool) -> Result<Value, Malformed> {
    Ok(match ty {
        ValueType::U8 => Value::U8(cursor.scalar("u8")?),
        ValueType::I8 => Value::I8(cursor.scalar("i8")?),
        ValueType::U16 => Value::U16(cursor.scalar("u16")?),
        ValueType::I16 => Value::I16(cursor.scalar("i16")?),
        ValueType::U32 => Value::U32(cursor.scalar("u32")?),
        ValueType::I32 => Value::I32(cursor.scalar("i32")?),
        ValueType::F32 => Value::F32(cursor.scalar("f32")?),
        ValueType::Bool => Value::Bool(read_bool(cursor)?),
        ValueType::Str => Value::Str(read_text(cursor, exact)?),
        ValueType::Array => Value::Array(read_array(cursor, 1, exact)?),
        ValueType::U64 => Value::U64(cursor.scalar("u64")?),
        ValueType::I64 => Value::I64(cursor.scalar("i64")?),
        ValueType::F64 => Value::F64(cursor.scalar("f64")?),
    })
}

fn read_array(cursor: &mut Cursor, depth: usize, exact: bool) -> Result<Array, Malformed> {
    if depth > MAX_DEPTH {
        let fault = Fault::Depth { limit: MAX_DEPTH };
        return Err(Malformed::new(cursor.position(), fault));
    }
    let ty = read_type(cursor)?;
    let count = cursor.count("array length", ty.least_bytes())?;
    Ok(match ty {
        ValueType::U8 => Array::U8(cursor.scalars(count)?),
        ValueType::I8 => Array::I8(cursor.scalars(count)?),
        ValueType::U16 => Array::U16(cursor.scalars(count)?),
        ValueType::I16 => Array::I16(cursor.scalars(count)?),
        ValueType::U32 => Array::U32(cursor.scalars(count)?),
        ValueType::I32 => Array::I32(cursor.scalars(count)?),
        ValueType::F32 => Array::F32(cursor.scalars(count)?),
        ValueType::Bool => Array::Bool(read_each(count, || read_bool(cursor))?),
        ValueType::Str => Array::Str(read_each(count, || read_text(cursor, exact))?),
        ValueType::Array => {
            Array::Nested(read_each(count, || read_array(cursor, depth + 1, exact))?)
        }
        ValueType::U64 => Array::U64(cursor.scalars(count)?),
        ValueType::I64 => Array::I64(cursor.scalars(count)?),
        ValueType::F64 => Array::F64(cursor.scalars(count)?),
    })
}

fn read_each<T>(
    count: usize,
    mut read: impl FnMut() -> Result<T, Malformed>,
) -> Result<Vec<T>, Malformed> {
    let mut elements = Vec::with_capacity(count);
    for _ in 0..count {
        elements.push(read()?);
    }
    Ok(elements)
}

/// A path in some old encoding is no reason to refuse a model, as long as nothing is made of it.
fn read_text(cursor: &mut Cursor, exact: bool) -> Result<String, Malformed> {
    match exact {
        true => Ok(cursor.string("string")?.to_owned()),
        false => cursor.text("string"),
    }
}

fn read_bool(cursor: &mut Cursor) -> Result<bool, Malformed> {
    let at = cursor.position();
    match cursor.scalar("bool")? {
        0 => Ok(false),
        1 => Ok(true),
        found => Err(Malformed::new(at, Fault::Bool { found })),
    }
}
