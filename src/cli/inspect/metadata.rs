//! Metadata as JSON: numbers, booleans and strings as such, long arrays by their beginning.

use serde::ser::{Serialize, SerializeSeq, SerializeStruct, Serializer};
use sharpi_compile::gguf::{Array, Value};

/// An array of more elements is told by its type, its length and its first elements.
const WHOLE: usize = 64;

/// Elements told of a long array.
const FIRST: usize = 8;

/// A metadata value that serialises as what it holds.
pub(super) struct Json<'a>(pub(super) &'a Value);

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::U8(n) => s.serialize_u8(*n),
            Value::I8(n) => s.serialize_i8(*n),
            Value::U16(n) => s.serialize_u16(*n),
            Value::I16(n) => s.serialize_i16(*n),
            Value::U32(n) => s.serialize_u32(*n),
            Value::I32(n) => s.serialize_i32(*n),
            Value::U64(n) => s.serialize_u64(*n),
            Value::I64(n) => s.serialize_i64(*n),
            // JSON has no infinities and no NaN; as text they stay apart from a missing value.
            Value::F32(x) if !x.is_finite() => s.collect_str(x),
            Value::F64(x) if !x.is_finite() => s.collect_str(x),
            Value::F32(x) => s.serialize_f32(*x),
            Value::F64(x) => s.serialize_f64(*x),
            Value::Bool(b) => s.serialize_bool(*b),
            Value::Str(text) => s.serialize_str(text),
            Value::Array(array) => match array.len() {
                0..=WHOLE => First(array, WHOLE).serialize(s),
                _ => beginning(array, s),
            },
        }
    }
}

fn beginning<S: Serializer>(array: &Array, s: S) -> Result<S::Ok, S::Error> {
    let mut object = s.serialize_struct("Array", 3)?;
    object.serialize_field("type", array.element_type().name())?;
    object.serialize_field("len", &array.len())?;
    object.serialize_field("first", &First(array, FIRST))?;
    object.end()
}

/// As a list, at most so many elements of an array.
struct First<'a>(&'a Array, usize);

impl Serialize for First<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let elements = (0..self.1).map_while(|i| self.0.get(i));
        let mut list = s.serialize_seq(None)?;
        for element in elements {
            list.serialize_element(&Json(&element))?;
        }
        list.end()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(value: impl Into<Value>, expected: serde_json::Value) {
        assert_eq!(serde_json::to_value(Json(&value.into())).unwrap(), expected);
    }

    #[test]
    fn scalars_are_json_scalars() {
        check(7u32, json!(7));
        check(u64::MAX, json!(u64::MAX));
        check(-7i8, json!(-7));
        check(true, json!(true));
        check("a \"b\"", json!("a \"b\""));
        check(f32::NEG_INFINITY, json!("-inf"));
        check(f64::NAN, json!("NaN"));
    }

    #[test]
    fn a_float_is_printed_with_the_digits_that_tell_it_apart() {
        let shown = |value: Value| serde_json::to_string(&Json(&value)).unwrap();
        assert_eq!(shown(0.1f32.into()), "0.1");
        assert_eq!(shown(0.1f64.into()), "0.1");
    }

    #[test]
    fn a_short_array_is_a_list_and_a_long_one_its_beginning() {
        check(Array::from(vec![11u32, 11, 10, 0]), json!([11, 11, 10, 0]));
        check(
            Array::Nested(vec![vec![1u8].into(), vec![true].into()]),
            json!([[1], [true]]),
        );
        let long: Vec<i32> = (0..1000).collect();
        check(
            Array::from(long),
            json!({"type": "i32", "len": 1000, "first": [0, 1, 2, 3, 4, 5, 6, 7]}),
        );
    }
}
