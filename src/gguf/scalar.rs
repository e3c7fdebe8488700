//! Fixed-size little-endian numbers.

/// A number with a fixed little-endian encoding.
pub(super) trait Scalar: Copy {
    /// Size of the encoding in bytes.
    const BYTES: usize;
    /// Decodes exactly [`BYTES`](Scalar::BYTES) bytes.
    fn decode(bytes: &[u8]) -> Self;
    /// Appends the encoding to `out`.
    fn encode(self, out: &mut Vec<u8>);
}

macro_rules! scalar {
    ($($t:ty)*) => {$(
        impl Scalar for $t {
            const BYTES: usize = size_of::<$t>();
            fn decode(bytes: &[u8]) -> $t {
                let mut le = [0; size_of::<$t>()];
                le.copy_from_slice(bytes);
                <$t>::from_le_bytes(le)
            }
            fn encode(self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }
        }
    )*};
}

scalar!(u8 i8 u16 i16 u32 i32 u64 i64 f32 f64);
