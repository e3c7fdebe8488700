//! Metadata values.

use std::fmt;

use sharpi_ir::plain::Quoted;

use super::array::Array;
use super::value_type::ValueType;

macro_rules! values {
    ($($variant:ident $ty:ty, $doc:literal;)*) => {
        /// A metadata value.
        ///
        /// The `as_` methods convert between number types where nothing is
        /// lost, and give `None` where something would be.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Value {
            $(#[doc = $doc] $variant($ty),)*
        }

        impl Value {
            /// The type of the value.
            pub fn value_type(&self) -> ValueType {
                match self {
                    $(Value::$variant(_) => ValueType::$variant,)*
                }
            }
        }

        $(
            impl From<$ty> for Value {
                fn from(value: $ty) -> Value {
                    Value::$variant(value)
                }
            }
        )*
    };
}

values! {
    U8 u8, "An unsigned 8-bit integer.";
    I8 i8, "A signed 8-bit integer.";
    U16 u16, "An unsigned 16-bit integer.";
    I16 i16, "A signed 16-bit integer.";
    U32 u32, "An unsigned 32-bit integer.";
    I32 i32, "A signed 32-bit integer.";
    F32 f32, "A 32-bit float.";
    Bool bool, "A boolean.";
    Str String, "A string.";
    Array Array, "An array.";
    U64 u64, "An unsigned 64-bit integer.";
    I64 i64, "A signed 64-bit integer.";
    F64 f64, "A 64-bit float.";
}

impl From<&str> for Value {
    fn from(value: &str) -> Value {
        Value::Str(value.to_owned())
    }
}

impl Value {
    /// The name of the type, such as `u32`, `string` or `array`.
    pub fn type_name(&self) -> &'static str {
        self.value_type().name()
    }

    /// The value as a `u64`, if it is an integer that fits.
    pub fn as_u64(&self) -> Option<u64> {
        u64::try_from(self.integer()?).ok()
    }

    /// The value as an `i64`, if it is an integer that fits.
    pub fn as_i64(&self) -> Option<i64> {
        i64::try_from(self.integer()?).ok()
    }

    /// The value as an `f64`, if it is a number that `f64` holds exactly.
    pub fn as_f64(&self) -> Option<f64> {
        match *self {
            Value::F32(x) => Some(x.into()),
            Value::F64(x) => Some(x),
            _ => {
                let exact = self.integer()?;
                let rounded = exact as f64;
                (rounded as i128 == exact).then_some(rounded)
            }
        }
    }

    /// The value as an `f32`, if it is a number that `f32` holds exactly.
    pub fn as_f32(&self) -> Option<f32> {
        let exact = self.as_f64()?;
        let rounded = exact as f32;
        (f64::from(rounded) == exact || exact.is_nan()).then_some(rounded)
    }

    /// The value, if it is a boolean.
    pub fn as_bool(&self) -> Option<bool> {
        match *self {
            Value::Bool(b) => Some(b),
            _ => None,
        }
    }

    /// The value, if it is a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Str(s) => Some(s),
            _ => None,
        }
    }

    /// The value, if it is an array.
    pub fn as_array(&self) -> Option<&Array> {
        match self {
            Value::Array(array) => Some(array),
            _ => None,
        }
    }

    fn integer(&self) -> Option<i128> {
        match *self {
            Value::U8(n) => Some(n.into()),
            Value::I8(n) => Some(n.into()),
            Value::U16(n) => Some(n.into()),
            Value::I16(n) => Some(n.into()),
            Value::U32(n) => Some(n.into()),
            Value::I32(n) => Some(n.into()),
            Value::U64(n) => Some(n.into()),
            Value::I64(n) => Some(n.into()),
            _ => None,
        }
    }
}

/// The value on one line; long strings and arrays are cut short.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Bool(b) => write!(f, "{b}"),
            Value::Str(s) => write!(f, "{}", Quoted(s)),
            Value::Array(array) => write!(f, "{array}"),
            Value::F32(x) => write!(f, "{x}"),
            Value::F64(x) => write!(f, "{x}"),
            integer => write!(f, "{}", integer.integer().unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_convert_only_where_they_fit() {
        assert_eq!(Value::I32(7).as_u64(), Some(7));
        assert_eq!(Value::I32(-7).as_u64(), None);
        assert_eq!(Value::U64(u64::MAX).as_i64(), None);
        assert_eq!(Value::F32(7.0).as_u64(), None);
        assert_eq!(Value::Bool(true).as_u64(), None);
    }

    #[test]
    fn numbers_become_floats_only_where_the_float_is_exact() {
        assert_eq!(Value::U32(1 << 24).as_f32(), Some(16_777_216.0));
        assert_eq!(Value::U32((1 << 24) + 1).as_f32(), None);
        assert_eq!(Value::U32((1 << 24) + 1).as_f64(), Some(16_777_217.0));
        assert_eq!(Value::U64(u64::MAX).as_f64(), None);
        assert_eq!(Value::F64(1e-6).as_f32(), None);
        assert_eq!(Value::F32(1e-6).as_f32(), Some(1e-6));
        assert!(Value::F64(f64::NAN).as_f32().unwrap().is_nan());
    }

    #[test]
    fn a_long_string_is_shown_short() {
        let shown = Value::from("é".repeat(100)).to_string();
        assert_eq!(shown, format!("\"{}\"… (200 bytes)", "é".repeat(60)));
        assert_eq!(Value::from("a\nb").to_string(), "\"a\\nb\"");
    }

    #[test]
    fn a_value_names_its_type() {
        assert_eq!(Value::U32(1).type_name(), "u32");
        assert_eq!(Value::from("x").type_name(), "string");
        assert_eq!(Value::Array(vec![1u8].into()).type_name(), "array");
    }
}
