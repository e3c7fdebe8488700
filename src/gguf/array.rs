//! Metadata arrays.

use std::fmt;

use super::value::Value;
use super::value_type::ValueType;

/// Elements shown before the rest of an array is summed up as a count.
const SHOWN: usize = 6;

macro_rules! arrays {
    ($($variant:ident $ty:ty, $doc:literal;)*) => {
        /// A metadata array: elements of one type, stored compactly.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Array {
            $(#[doc = $doc] $variant(Vec<$ty>),)*
            /// Arrays, which need not have one element type between them.
            Nested(Vec<Array>),
        }

        impl Array {
            /// Number of elements.
            pub fn len(&self) -> usize {
                match self {
                    $(Array::$variant(v) => v.len(),)*
                    Array::Nested(v) => v.len(),
                }
            }

            /// The type of the elements.
            pub fn element_type(&self) -> ValueType {
                match self {
                    $(Array::$variant(_) => ValueType::$variant,)*
                    Array::Nested(_) => ValueType::Array,
                }
            }

            /// A copy of one element, or `None` past the end.
            pub fn get(&self, index: usize) -> Option<Value> {
                match self {
                    $(Array::$variant(v) => v.get(index).cloned().map(Value::$variant),)*
                    Array::Nested(v) => v.get(index).cloned().map(Value::Array),
                }
            }
        }

        $(
            impl From<Vec<$ty>> for Array {
                fn from(elements: Vec<$ty>) -> Array {
                    Array::$variant(elements)
                }
            }
        )*
    };
}

arrays! {
    U8 u8, "Unsigned 8-bit integers.";
    I8 i8, "Signed 8-bit integers.";
    U16 u16, "Unsigned 16-bit integers.";
    I16 i16, "Signed 16-bit integers.";
    U32 u32, "Unsigned 32-bit integers.";
    I32 i32, "Signed 32-bit integers.";
    F32 f32, "32-bit floats.";
    Bool bool, "Booleans.";
    Str String, "Strings.";
    U64 u64, "Unsigned 64-bit integers.";
    I64 i64, "Signed 64-bit integers.";
    F64 f64, "64-bit floats.";
}

impl Array {
    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements, if they are strings.
    pub fn as_strs(&self) -> Option<&[String]> {
        match self {
            Array::Str(v) => Some(v),
            _ => None,
        }
    }

    /// The elements, if each is an integer that a `u64` holds.
    pub fn to_u64s(&self) -> Option<Vec<u64>> {
        self.convert(|value| value.as_u64())
    }

    /// The elements, if each is a number that an `f32` holds exactly.
    pub fn to_f32s(&self) -> Option<Vec<f32>> {
        self.convert(|value| value.as_f32())
    }

    /// The elements, if they are booleans.
    pub fn to_bools(&self) -> Option<Vec<bool>> {
        self.convert(|value| value.as_bool())
    }

    fn convert<T>(&self, convert: impl Fn(Value) -> Option<T>) -> Option<Vec<T>> {
        (0..self.len())
            .map(|index| self.get(index).and_then(&convert))
            .collect()
    }
}

impl Array {
    fn first(&self) -> Vec<String> {
        let elements = (0..SHOWN).map_while(|i| self.get(i));
        elements.map(|element| element.to_string()).collect()
    }

    /// One of several arrays, of which only numbers are shown, as they are short.
    fn briefly(&self) -> String {
        match self {
            Array::Nested(_) | Array::Str(_) => format!("[{} in all]", self.len()),
            array => array.to_string(),
        }
    }
}

/// The first few elements, then the number of all of them.
impl fmt::Display for Array {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: Vec<String> = match self {
            Array::Nested(arrays) => arrays.iter().take(SHOWN).map(Array::briefly).collect(),
            array => array.first(),
        };
        let rest = (self.len() > SHOWN).then(|| format!("… {} in all", self.len()));
        let shown: Vec<String> = shown.into_iter().chain(rest).collect();
        write!(f, "[{}]", shown.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_of_any_width_become_u64s_unless_negative() {
        assert_eq!(Array::from(vec![1i8, 2]).to_u64s(), Some(vec![1, 2]));
        assert_eq!(Array::from(vec![1u16, 2]).to_u64s(), Some(vec![1, 2]));
        assert_eq!(Array::from(vec![1i32, -2]).to_u64s(), None);
        assert_eq!(Array::from(vec!["1".to_owned()]).to_u64s(), None);
    }

    #[test]
    fn a_float_that_f32_cannot_hold_refuses_the_conversion() {
        assert_eq!(Array::from(vec![0.5f64]).to_f32s(), Some(vec![0.5]));
        assert_eq!(Array::from(vec![0.1f64]).to_f32s(), None);
    }

    #[test]
    fn only_booleans_become_booleans() {
        assert_eq!(Array::from(vec![true]).to_bools(), Some(vec![true]));
        assert_eq!(Array::from(vec![1u8]).to_bools(), None);
    }

    #[test]
    fn a_long_array_is_shown_short() {
        let shown = Array::from((0..100u32).collect::<Vec<_>>()).to_string();
        assert_eq!(shown, "[0, 1, 2, 3, 4, 5, … 100 in all]");
        assert_eq!(Array::from(vec![1u8, 2]).to_string(), "[1, 2]");
        assert_eq!(Array::from(Vec::<u8>::new()).to_string(), "[]");
    }

    #[test]
    fn a_nested_array_is_an_array_of_arrays() {
        let nested = Array::Nested(vec![vec![1u8].into(), vec![true].into()]);
        assert_eq!(nested.element_type(), ValueType::Array);
        assert_eq!(nested.to_string(), "[[1], [true]]");
        let texts = Array::from(vec!["long".to_owned(); 100]);
        let nested = Array::Nested(vec![texts, Array::Nested(vec![nested])]);
        assert_eq!(nested.to_string(), "[[100 in all], [1 in all]]");
    }
}
