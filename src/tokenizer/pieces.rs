//! The bytes of every token, end to end in one buffer.

use rustc_hash::FxHashMap;

use super::sentencepiece::SPACE;
use super::vocabulary::Kind;
use super::{TokenizerError, alphabet};

/// Bytes by token id.
pub(super) struct Pieces {
    bytes: Vec<u8>,
    /// Where each token's bytes end; they begin where the previous token's do.
    ends: Vec<usize>,
}

impl Pieces {
    /// `in_bytes` says whether normal tokens are spelt in the byte alphabet; else spaces alone are
    /// spelt by another character.
    pub(super) fn new(
        tokens: &[String],
        kinds: &[Kind],
        in_bytes: bool,
    ) -> Result<Pieces, TokenizerError> {
        let mut bytes = Vec::new();
        let mut ends = Vec::with_capacity(tokens.len());
        for (id, (text, kind)) in (0u32..).zip(tokens.iter().zip(kinds)) {
            match kind {
                Kind::Normal if in_bytes => spell(text, &mut bytes),
                Kind::Normal => bytes.extend_from_slice(text.replace(SPACE, " ").as_bytes()),
                Kind::Control | Kind::UserDefined => bytes.extend_from_slice(text.as_bytes()),
                Kind::Byte => bytes.push(named_byte(id, text)?),
                Kind::Unused => {}
            }
            ends.push(bytes.len());
        }
        Ok(Pieces { bytes, ends })
    }

    /// The ids of normal tokens by their bytes.
    pub(super) fn by_bytes(&self, kinds: &[Kind]) -> FxHashMap<Box<[u8]>, u32> {
        let normal = (0u32..)
            .zip(kinds)
            .filter(|(_, kind)| **kind == Kind::Normal);
        normal
            .filter_map(|(id, _)| Some((self.get(id)?.into(), id)))
            .collect()
    }

    pub(super) fn get(&self, id: u32) -> Option<&[u8]> {
        let id = id as usize;
        let end = *self.ends.get(id)?;
        let start = id.checked_sub(1).map_or(0, |before| self.ends[before]);
        Some(&self.bytes[start..end])
    }
}

/// Appends the bytes that a text in the byte alphabet spells. Other characters
/// stand for themselves; no merge can make a token that has one.
fn spell(text: &str, bytes: &mut Vec<u8>) {
    for letter in text.chars() {
        match alphabet::byte(letter) {
            Some(byte) => bytes.push(byte),
            None => bytes.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

/// The byte that `<0x41>` names.
fn named_byte(id: u32, text: &str) -> Result<u8, TokenizerError> {
    text.strip_prefix("<0x")
        .and_then(|rest| rest.strip_suffix('>'))
        .filter(|digits| digits.len() == 2 && digits.bytes().all(|d| d.is_ascii_hexdigit()))
        .and_then(|digits| u8::from_str_radix(digits, 16).ok())
        .ok_or_else(|| TokenizerError::MalformedByteToken {
            id,
            text: text.to_owned(),
        })
}
