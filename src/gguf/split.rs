//! Models split over several files.
//!
//! Part `k` of `N` is called `X-0000k-of-0000N.gguf`, counted from 1, and says
//! so in its metadata, counted from 0; only `split.count` there makes a file a part. The first part has the metadata of the
//! whole model.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;

use super::error::GgufError;
use super::value::Value;

const NO: &str = "split.no";
const COUNT: &str = "split.count";
const TENSORS: &str = "split.tensors.count";

/// A split set, as its first part describes it.
pub(super) struct Set {
    first: PathBuf,
    stem: String,
    /// Number of parts.
    count: u64,
    /// Number of tensors in all parts together.
    tensors: u64,
}

impl Set {
    /// The set that the file at `path` is the first part of, if it is split.
    ///
    /// Fails for a later part, and if a part is missing.
    pub(super) fn find(
        path: &Path,
        metadata: &IndexMap<String, Value>,
    ) -> Result<Option<Set>, GgufError> {
        let keys = Keys { path, metadata };
        // A name alone says nothing: whole files are given such names too.
        if declared_count(metadata) <= 1 {
            return Ok(None);
        }
        let name = PartName::parse(path);
        let (no, count) = (keys.integer(NO)?, keys.integer(COUNT)?);
        let part = no.saturating_add(1);
        let Some(name) = name else {
            let path = path.to_owned();
            return Err(GgufError::PartName { path, part, count });
        };
        keys.expect(COUNT, name.count)?;
        keys.expect(NO, name.part - 1)?;
        let set = Set {
            first: part_path(path, name.stem, 1, count),
            stem: name.stem.to_owned(),
            count,
            tensors: keys.integer(TENSORS)?,
        };
        set.check_first(path, part)?;
        set.check_present()?;
        Ok(Some(set))
    }

    /// The number (from 1) and path of each part but the first.
    pub(super) fn others(&self) -> impl Iterator<Item = (u64, PathBuf)> {
        (2..=self.count).map(|part| {
            let path = part_path(&self.first, &self.stem, part, self.count);
            (part, path)
        })
    }

    fn check_first(&self, path: &Path, part: u64) -> Result<(), GgufError> {
        if part == 1 {
            return Ok(());
        }
        Err(GgufError::NotFirstPart {
            path: path.to_owned(),
            part,
            count: self.count,
            first: self.first.clone(),
        })
    }

    fn check_present(&self) -> Result<(), GgufError> {
        match self.others().find(|(_, path)| !path.exists()) {
            None => Ok(()),
            Some((part, path)) => Err(GgufError::MissingPart {
                path,
                part,
                count: self.count,
            }),
        }
    }

    /// Checks that a file describes itself as part number `part` of this set.
    pub(super) fn check_part(
        &self,
        part: u64,
        path: &Path,
        metadata: &IndexMap<String, Value>,
    ) -> Result<(), GgufError> {
        let keys = Keys { path, metadata };
        keys.expect(NO, part - 1)?;
        keys.expect(COUNT, self.count)?;
        keys.expect(TENSORS, self.tensors)
    }

    /// Checks the number of tensors found in all parts together.
    pub(super) fn check_tensors(&self, found: usize) -> Result<(), GgufError> {
        let (expected, found) = (self.tensors, found as u64);
        if expected == found {
            return Ok(());
        }
        Err(GgufError::SplitTensors {
            path: self.first.clone(),
            expected,
            found,
        })
    }
}

/// Fails if the metadata is that of one part of several.
pub(super) fn refuse_in_memory(metadata: &IndexMap<String, Value>) -> Result<(), GgufError> {
    match declared_count(metadata) {
        0 | 1 => Ok(()),
        count => Err(GgufError::SplitInMemory { count }),
    }
}

fn declared_count(metadata: &IndexMap<String, Value>) -> u64 {
    metadata.get(COUNT).and_then(Value::as_u64).unwrap_or(1)
}

/// The `split.` keys of one part.
struct Keys<'a> {
    path: &'a Path,
    metadata: &'a IndexMap<String, Value>,
}

impl Keys<'_> {
    fn integer(&self, key: &'static str) -> Result<u64, GgufError> {
        self.metadata
            .get(key)
            .and_then(Value::as_u64)
            .ok_or_else(|| self.unexpected(key, "a count".to_owned()))
    }

    fn expect(&self, key: &'static str, expected: u64) -> Result<(), GgufError> {
        match self.metadata.get(key).and_then(Value::as_u64) {
            Some(found) if found == expected => Ok(()),
            _ => Err(self.unexpected(key, expected.to_string())),
        }
    }

    fn unexpected(&self, key: &'static str, expected: String) -> GgufError {
        GgufError::SplitKey {
            path: self.path.to_owned(),
            key,
            expected,
            found: match self.metadata.get(key) {
                None => "nothing".to_owned(),
                Some(value) => value.to_string(),
            },
        }
    }
}

/// A file name that says which part of how many the file is.
struct PartName<'a> {
    stem: &'a str,
    part: u64,
    count: u64,
}

impl PartName<'_> {
    fn parse(path: &Path) -> Option<PartName<'_>> {
        let name = path.file_name()?.to_str()?.strip_suffix(".gguf")?;
        let (name, count) = name.rsplit_once("-of-")?;
        let (stem, part) = name.rsplit_once('-')?;
        let (part, count) = (five_digits(part)?, five_digits(count)?);
        (1..=count)
            .contains(&part)
            .then_some(PartName { stem, part, count })
    }
}

fn five_digits(text: &str) -> Option<u64> {
    let digits = text.len() == 5 && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

fn part_path(sibling: &Path, stem: &str, part: u64, count: u64) -> PathBuf {
    sibling.with_file_name(format!("{stem}-{part:05}-of-{count:05}.gguf"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_name_ends_in_its_number_and_the_count() {
        let name = PartName::parse(Path::new("dir/a-b-00002-of-00010.gguf")).unwrap();
        assert_eq!((name.stem, name.part, name.count), ("a-b", 2, 10));
    }

    #[test]
    fn other_names_are_not_part_names() {
        for name in [
            "a.gguf",
            "a-2-of-3.gguf",
            "a-00004-of-00003.gguf",
            "a-00000-of-00003.gguf",
            "a-+0001-of-00003.gguf",
            "a-00001-of-00003.bin",
        ] {
            assert!(PartName::parse(Path::new(name)).is_none(), "{name}");
        }
    }
}
