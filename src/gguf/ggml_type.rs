//! The element types of tensors.

use std::fmt;

macro_rules! ggml_types {
    ($($id:literal $name:ident $len:literal $bytes:literal;)*) => {
        /// How the elements of a tensor are stored.
        ///
        /// Elements come in blocks of [`block_len`](GgmlType::block_len) that
        /// take [`block_bytes`](GgmlType::block_bytes) each; an unquantized
        /// type has blocks of one element.
        #[allow(non_camel_case_types)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u32)]
        pub enum GgmlType {
            $(
                #[doc = concat!("Id ", $id, ": blocks of ", $len, " in ", $bytes, " bytes.")]
                $name = $id,
            )*
        }

        impl GgmlType {
            /// Every type, in the order of the ids.
            pub const ALL: &'static [GgmlType] = &[$(GgmlType::$name,)*];

            /// The type with this id in the file format.
            pub fn from_id(id: u32) -> Option<GgmlType> {
                match id {
                    $($id => Some(GgmlType::$name),)*
                    _ => None,
                }
            }

            /// The name, such as `Q4_K`.
            pub fn name(self) -> &'static str {
                match self {
                    $(GgmlType::$name => stringify!($name),)*
                }
            }

            /// Elements in a block.
            pub fn block_len(self) -> u64 {
                match self {
                    $(GgmlType::$name => $len,)*
                }
            }

            /// Bytes in a block.
            pub fn block_bytes(self) -> u64 {
                match self {
                    $(GgmlType::$name => $bytes,)*
                }
            }
        }
    };
}

ggml_types! {
    0 F32 1 4;
    1 F16 1 2;
    2 Q4_0 32 18;
    3 Q4_1 32 20;
    6 Q5_0 32 22;
    7 Q5_1 32 24;
    8 Q8_0 32 34;
    9 Q8_1 32 36;
    10 Q2_K 256 84;
    11 Q3_K 256 110;
    12 Q4_K 256 144;
    13 Q5_K 256 176;
    14 Q6_K 256 210;
    15 Q8_K 256 292;
    16 IQ2_XXS 256 66;
    17 IQ2_XS 256 74;
    18 IQ3_XXS 256 98;
    19 IQ1_S 256 50;
    20 IQ4_NL 32 18;
    21 IQ3_S 256 110;
    22 IQ2_S 256 82;
    23 IQ4_XS 256 136;
    24 I8 1 1;
    25 I16 1 2;
    26 I32 1 4;
    27 I64 1 8;
    28 F64 1 8;
    29 IQ1_M 256 56;
    30 BF16 1 2;
    34 TQ1_0 256 54;
    35 TQ2_0 256 66;
    39 MXFP4 32 17;
    40 NVFP4 64 36;
    41 Q1_0 128 18;
    42 Q2_0 64 18;
}

impl GgmlType {
    /// The id in the file format.
    pub fn id(self) -> u32 {
        self as u32
    }

    /// The name of a type that files may no longer use.
    pub fn removed_name(id: u32) -> Option<&'static str> {
        Some(match id {
            4 => "Q4_2",
            5 => "Q4_3",
            31 => "Q4_0_4_4",
            32 => "Q4_0_4_8",
            33 => "Q4_0_8_8",
            36 => "IQ4_NL_4_4",
            37 => "IQ4_NL_4_8",
            38 => "IQ4_NL_8_8",
            _ => return None,
        })
    }
}

impl fmt::Display for GgmlType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_the_way_to_a_type_and_back() {
        for &ty in GgmlType::ALL {
            assert_eq!(GgmlType::from_id(ty.id()), Some(ty));
        }
    }

    #[test]
    fn every_id_below_the_newest_is_a_type_or_a_removed_type() {
        for id in 0..=GgmlType::Q2_0.id() {
            assert_ne!(
                GgmlType::from_id(id).is_some(),
                GgmlType::removed_name(id).is_some(),
                "id {id}"
            );
        }
        assert_eq!(GgmlType::from_id(43), None);
    }

    #[test]
    fn a_type_is_shown_by_its_name() {
        assert_eq!(GgmlType::Q4_K.to_string(), "Q4_K");
        assert_eq!(GgmlType::IQ4_NL.name(), "IQ4_NL");
    }
}
