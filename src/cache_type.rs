//! Types of caches by their names.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serializer};
use sharpi_ir::DType;

pub(crate) fn serialize<S: Serializer>(ty: &DType, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(ty.name())
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<DType, D::Error> {
    let name = String::deserialize(from)?;
    let known = [DType::F16, DType::BF16, DType::F32];
    let found = known.into_iter().find(|ty| ty.name() == name);
    found.ok_or_else(|| D::Error::unknown_variant(&name, &["f16", "bf16", "f32"]))
}
