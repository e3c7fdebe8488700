//! The byte alphabet of GPT-2: one printable character for every byte, in which
//! vocabularies spell tokens that are no valid UTF-8.
//!
//! The printable characters of Latin-1 stand for themselves and the other 68
//! bytes, in order, for the characters from U+0100 on; a space is `Ġ`. Source:
//! `bytes_to_unicode` in OpenAI's gpt-2.

/// Whether a byte stands for itself.
const fn is_printable(byte: u8) -> bool {
    matches!(byte, 0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF)
}

const SHIFTED: usize = 68;

/// The bytes spelt U+0100, U+0101 and so on.
const SHIFTED_BYTES: [u8; SHIFTED] = {
    let mut bytes = [0; SHIFTED];
    let (mut byte, mut n) = (0, 0);
    while n < SHIFTED {
        if !is_printable(byte) {
            bytes[n] = byte;
            n += 1;
        }
        byte += 1;
    }
    bytes
};

/// The byte that a character stands for, if it is of the alphabet.
pub(super) fn byte(letter: char) -> Option<u8> {
    match u8::try_from(letter) {
        Ok(byte) => is_printable(byte).then_some(byte),
        Err(_) => SHIFTED_BYTES.get(letter as usize - 0x100).copied(),
    }
}

/// All 256 bytes, each with its character.
pub(crate) fn letters() -> impl Iterator<Item = (u8, char)> {
    let itself = (0..=u8::MAX)
        .filter(|&b| is_printable(b))
        .map(|b| (b, char::from(b)));
    itself.chain(SHIFTED_BYTES.into_iter().zip('\u{100}'..))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_one_letter_and_comes_back_from_it() {
        let mut bytes: Vec<u8> = letters().map(|(byte, _)| byte).collect();
        bytes.sort_unstable();
        assert!(bytes.into_iter().eq(0..=u8::MAX));
        assert!(letters().all(|(b, letter)| byte(letter) == Some(b)));
    }

    #[test]
    fn characters_outside_the_alphabet_are_no_bytes() {
        for letter in [' ', '\n', '\u{AD}', '\u{144}', 'あ'] {
            assert_eq!(byte(letter), None, "{letter:?}");
        }
    }

    #[test]
    fn space_and_newline_are_spelt_as_in_gpt_2() {
        assert_eq!((byte('Ġ'), byte('Ċ')), (Some(b' '), Some(b'\n')));
    }
}
