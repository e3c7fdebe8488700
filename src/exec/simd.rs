//! Which vector instructions the kernels use.

use sharpi_kernels::simd::{Level, level};

/// The environment variable that chooses narrower ones.
pub const VARIABLE: &str = "SHARPI_SIMD";

/// What the variable can say, from narrow to wide.
pub const NAMES: [&str; 5] = [
    name(Level::Scalar),
    name(Level::Avx2),
    name(Level::AvxVnni),
    name(Level::Avx512),
    name(Level::Amx),
];

/// The name of those in use: the widest that the CPU has, unless [`VARIABLE`] says otherwise.
pub fn used() -> &'static str {
    name(level())
}

const fn name(level: Level) -> &'static str {
    match level {
        Level::Scalar => "scalar",
        Level::Avx2 => "avx2",
        Level::AvxVnni => "avxvnni",
        Level::Avx512 => "avx512",
        Level::Amx => "amx",
    }
}
