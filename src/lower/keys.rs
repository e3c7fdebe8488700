//! Reads the keys under an architecture's prefix, in whatever spelling writers give a value.

use crate::gguf::Value;

use super::LowerError;
use super::source::Source;

/// Far above any real model, and products of several stay within usize.
const MOST: u64 = 1 << 24;

/// The keys under an architecture's prefix. What is read counts as used.
pub(super) struct Keys<'s, 'g> {
    source: &'s Source<'g>,
    prefix: &'static str,
}

impl<'s, 'g> Keys<'s, 'g> {
    pub(super) fn new(source: &'s Source<'g>, prefix: &'static str) -> Keys<'s, 'g> {
        Keys { source, prefix }
    }

    /// The name of a key in the file.
    pub(super) fn full(&self, key: &str) -> String {
        format!("{}.{key}", self.prefix)
    }

    /// The file that is read.
    pub(super) fn source(&self) -> &'s Source<'g> {
        self.source
    }

    /// The whole name and the value of a key, if the file has it.
    pub(super) fn find(&self, key: &str) -> Option<(String, &'g Value)> {
        let key = self.full(key);
        let value = self.source.key(&key)?;
        Some((key, value))
    }

    /// A whole number above zero.
    pub(super) fn size(&self, key: &str) -> Result<usize, LowerError> {
        let found = self.optional_size(key)?;
        found.ok_or_else(|| self.missing(key, "a whole number above 0"))
    }

    /// A whole number above zero, if the file says one.
    pub(super) fn optional_size(&self, key: &str) -> Result<Option<usize>, LowerError> {
        match self.optional_count(key)? {
            Some(0) => Err(self.conflict(key, "a whole number above 0")),
            found => Ok(found),
        }
    }

    /// A whole number, if the file says one.
    pub(super) fn optional_count(&self, key: &str) -> Result<Option<usize>, LowerError> {
        let found = self.find(key);
        found.map(|(k, v)| count_of(k, v, |_| true)).transpose()
    }

    /// A whole number, which may be 0.
    pub(super) fn count(&self, key: &str) -> Result<usize, LowerError> {
        let found = self.optional_count(key)?;
        found.ok_or_else(|| self.missing(key, "a whole number"))
    }

    /// Whole numbers of any size, if the file says them.
    pub(super) fn optional_list(&self, key: &str) -> Result<Option<Vec<u64>>, LowerError> {
        let Some((key, value)) = self.find(key) else {
            return Ok(None);
        };
        let list = value.as_array().and_then(|array| array.to_u64s());
        list.map(Some)
            .ok_or_else(|| bad(key, value, "a list of whole numbers"))
    }

    /// A whole number for each of so many blocks, if the file says it: a scalar for all, or an array.
    pub(super) fn optional_counts(
        &self,
        key: &str,
        blocks: usize,
    ) -> Result<Option<Vec<usize>>, LowerError> {
        let Some((key, value)) = self.find(key) else {
            return Ok(None);
        };
        let count = |value: &Value| value.as_u64().filter(|n| *n <= MOST).map(|n| n as usize);
        let counts = match value.as_array() {
            None => count(value).map(|n| vec![n; blocks]),
            Some(array) if array.len() < blocks => None,
            Some(array) => (0..blocks).map(|i| count(&array.get(i)?)).collect(),
        };
        let expected = format!("{blocks} or more whole numbers up to {MOST}");
        counts.map(Some).ok_or_else(|| bad(key, value, expected))
    }

    /// A whole number above zero that is the same for all of some blocks, if the file says one:
    /// a scalar, or an array by block, `least` of them at least. What it says of other blocks
    /// does not matter.
    pub(super) fn optional_size_in(
        &self,
        key: &str,
        blocks: &[usize],
        least: usize,
    ) -> Result<Option<usize>, LowerError> {
        let Some((name, value)) = self.find(key) else {
            return Ok(None);
        };
        if let Some(array) = value.as_array()
            && array.len() < least
        {
            return Err(bad(
                name,
                value,
                format!("a number, or one for each of the {least} blocks"),
            ));
        }
        match count_of(name.clone(), value, |block| blocks.contains(&block))? {
            0 => Err(bad(name, value, "a whole number above 0")),
            n => Ok(Some(n)),
        }
    }

    /// A finite number, if the file says one: of any width.
    pub(super) fn optional_float(&self, key: &str) -> Result<Option<f32>, LowerError> {
        let Some((key, value)) = self.find(key) else {
            return Ok(None);
        };
        match float_of(value) {
            Some(x) => Ok(Some(x)),
            None => Err(bad(key, value, "a finite number")),
        }
    }

    /// A finite number above zero, if the file says one.
    pub(super) fn optional_positive(&self, key: &str) -> Result<Option<f32>, LowerError> {
        let Some((name, value)) = self.find(key) else {
            return Ok(None);
        };
        match float_of(value) {
            Some(x) if x > 0.0 => Ok(Some(x)),
            _ => Err(bad(name, value, "a finite number above 0")),
        }
    }

    /// A finite number above zero.
    pub(super) fn positive_float(&self, key: &str) -> Result<f32, LowerError> {
        let found = self.optional_positive(key)?;
        found.ok_or_else(|| self.missing(key, "a number above 0"))
    }

    /// A yes or no, if the file says it.
    pub(super) fn optional_flag(&self, key: &str) -> Result<Option<bool>, LowerError> {
        Ok(self.optional_flags(key, 1)?.map(|flags| flags[0]))
    }

    /// A yes or no for each of so many blocks, if the file says it: a scalar for all, or an array.
    pub(super) fn optional_flags(
        &self,
        key: &str,
        blocks: usize,
    ) -> Result<Option<Vec<bool>>, LowerError> {
        let Some((key, value)) = self.find(key) else {
            return Ok(None);
        };
        let flags = match value.as_array() {
            None => flag_of(value).map(|flag| vec![flag; blocks]),
            Some(array) if array.len() < blocks => None,
            Some(array) => (0..blocks).map(|i| flag_of(&array.get(i)?)).collect(),
        };
        match flags {
            Some(flags) => Ok(Some(flags)),
            None => Err(bad(
                key,
                value,
                format!("{blocks} or more booleans, or 0 and 1"),
            )),
        }
    }

    /// The error about a key that is not there.
    pub(super) fn missing(&self, key: &str, expected: &'static str) -> LowerError {
        let key = self.full(key);
        LowerError::MissingKey { key, expected }
    }

    /// The value of `key` is wrong in the light of others.
    pub(super) fn conflict(&self, key: &str, expected: impl Into<String>) -> LowerError {
        match self.find(key) {
            Some((key, value)) => bad(key, value, expected),
            None => self.missing(key, "a value"),
        }
    }
}

/// A whole number: a scalar, or an array whose used entries are all the same.
fn count_of(key: String, value: &Value, used: impl Fn(usize) -> bool) -> Result<usize, LowerError> {
    let expected = || format!("a whole number up to {MOST}");
    let flag = |value: &Value| value.as_bool().map(u64::from);
    let count = |value: &Value| {
        value
            .as_u64()
            .or_else(|| flag(value))
            .filter(|n| *n <= MOST)
    };
    let Some(array) = value.as_array() else {
        let found = count(value).ok_or_else(|| bad(key, value, expected()))?;
        return Ok(found as usize);
    };
    let entries = (0..array.len()).filter(|i| used(*i));
    let entries: Option<Vec<u64>> = entries.map(|i| count(&array.get(i)?)).collect();
    match entries.as_deref() {
        None | Some([]) => Err(bad(key, value, expected())),
        Some([first, rest @ ..]) if rest.iter().all(|n| n == first) => Ok(*first as usize),
        Some(_) => Err(bad(
            key,
            value,
            "one number, or the same for every block that uses it",
        )),
    }
}

/// A number as an `f32`, rounded where it was written with more digits.
pub(super) fn float_of(value: &Value) -> Option<f32> {
    let x = value.as_f64()? as f32;
    x.is_finite().then_some(x)
}

/// A boolean, or 0 or 1 of any width.
pub(super) fn flag_of(value: &Value) -> Option<bool> {
    match value.as_u64() {
        None => value.as_bool(),
        Some(0) => Some(false),
        Some(1) => Some(true),
        Some(_) => None,
    }
}

/// The error about a key whose value cannot be used.
pub(super) fn bad(key: String, value: &Value, expected: impl Into<String>) -> LowerError {
    LowerError::BadKey {
        key,
        found: value.to_string(),
        expected: expected.into(),
    }
}
