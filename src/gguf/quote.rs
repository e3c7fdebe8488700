//! Shows text of unknown length and content on one line.

use std::fmt;

/// At most this many characters of a text are shown.
const LIMIT: usize = 60;

/// Text between quotation marks, escaped, and cut short if long.
pub(super) struct Quoted<'a>(pub(super) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(LIMIT) {
            None => write!(f, "{:?}", self.0),
            Some((end, _)) => {
                let (shown, len) = (&self.0[..end], self.0.len());
                write!(f, "{shown:?}… ({len} bytes)")
            }
        }
    }
}
