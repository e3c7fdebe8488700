//! Types of caches by their names.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serializer};
use sharpi_ir::DType;

use crate::lower::{CACHE_TYPES, cache_type_names};

pub(crate) fn serialize<S: Serializer>(ty: &DType, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(ty.name())
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<DType, D::Error> {
    let name = String::deserialize(from)?;
    let found = CACHE_TYPES.into_iter().find(|ty| ty.name() == name);
    found.ok_or_else(|| {
        D::Error::custom(format!(
            "cache type `{name}`, expected one of {}",
            cache_type_names()
        ))
    })
}
