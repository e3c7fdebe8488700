//! Reads a file's header front to back, never past the end.

use super::error::{Fault, Malformed};
use super::scalar::Scalar;

/// A position in the bytes of one file.
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Cursor<'a> {
        Cursor { bytes, at: 0 }
    }

    /// Bytes read so far: the offset of the next byte.
    pub(super) fn position(&self) -> u64 {
        self.at as u64
    }

    fn left(&self) -> u64 {
        (self.bytes.len() - self.at) as u64
    }

    /// The next `needed` bytes; `what` names them in the error.
    pub(super) fn take(&mut self, what: &'static str, needed: u64) -> Result<&'a [u8], Malformed> {
        let left = self.left();
        if needed > left {
            let fault = Fault::Truncated { what, needed, left };
            return Err(Malformed::new(self.position(), fault));
        }
        let start = self.at;
        self.at += needed as usize;
        Ok(&self.bytes[start..self.at])
    }

    pub(super) fn scalar<T: Scalar>(&mut self, what: &'static str) -> Result<T, Malformed> {
        self.take(what, T::BYTES as u64).map(T::decode)
    }

    /// A count of things that take at least `least` bytes each, all of which
    /// must still fit the file, so that room for them may be allocated.
    pub(super) fn count(&mut self, what: &'static str, least: u64) -> Result<usize, Malformed> {
        let at = self.position();
        let count: u64 = self.scalar(what)?;
        let needed = u128::from(count) * u128::from(least);
        let left = self.left();
        if needed > u128::from(left) {
            let fault = Fault::Count {
                what,
                count,
                needed,
                left,
            };
            return Err(Malformed::new(at, fault));
        }
        Ok(count as usize)
    }

    /// `count` numbers, where `count` came from [`Cursor::count`].
    pub(super) fn scalars<T: Scalar>(&mut self, count: usize) -> Result<Vec<T>, Malformed> {
        let bytes = self.take("array", count as u64 * T::BYTES as u64)?;
        Ok(bytes.chunks_exact(T::BYTES).map(T::decode).collect())
    }

    /// A length and that many bytes of text. Those that are no UTF-8 are replaced: whoever needs
    /// the very bytes calls [`Cursor::string`].
    pub(super) fn text(&mut self, what: &'static str) -> Result<String, Malformed> {
        let length = self.scalar(what)?;
        let bytes = self.take(what, length)?;
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }

    /// A length and that many bytes of UTF-8.
    pub(super) fn string(&mut self, what: &'static str) -> Result<&'a str, Malformed> {
        let length = self.scalar(what)?;
        let start = self.position();
        let bytes = self.take(what, length)?;
        std::str::from_utf8(bytes).map_err(|error| {
            let valid = error.valid_up_to();
            let byte = bytes[valid];
            Malformed::new(start + valid as u64, Fault::Utf8 { what, byte })
        })
    }
}
