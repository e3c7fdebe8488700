//! The types a metadata value can have.

use std::fmt;

macro_rules! value_types {
    ($($id:literal $variant:ident $name:literal $least:literal;)*) => {
        /// The type of a metadata value or of an array's elements.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u32)]
        pub enum ValueType {
            $(#[doc = concat!("`", $name, "`, id ", $id, ".")] $variant = $id,)*
        }

        impl ValueType {
            /// The type with this id in the file format.
            pub fn from_id(id: u32) -> Option<ValueType> {
                match id {
                    $($id => Some(ValueType::$variant),)*
                    _ => None,
                }
            }

            /// The short name, such as `u32` or `string`.
            pub fn name(self) -> &'static str {
                match self {
                    $(ValueType::$variant => $name,)*
                }
            }

            /// The least number of bytes a value of this type takes in a file.
            pub(super) fn least_bytes(self) -> u64 {
                match self {
                    $(ValueType::$variant => $least,)*
                }
            }
        }
    };
}

value_types! {
    0 U8 "u8" 1;
    1 I8 "i8" 1;
    2 U16 "u16" 2;
    3 I16 "i16" 2;
    4 U32 "u32" 4;
    5 I32 "i32" 4;
    6 F32 "f32" 4;
    7 Bool "bool" 1;
    8 Str "string" 8;
    9 Array "array" 12;
    10 U64 "u64" 8;
    11 I64 "i64" 8;
    12 F64 "f64" 8;
}

impl ValueType {
    /// The id in the file format.
    pub fn id(self) -> u32 {
        self as u32
    }
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
