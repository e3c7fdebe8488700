//! Escape sequences in a prompt, as llama.cpp reads them.

use super::failure::Failure;

/// Puts in what `\n`, `\r`, `\t`, `\'`, `\"`, `\\` and `\x41` stand for; anything else behind a
/// backslash stays as it is.
///
/// # Errors
/// Bytes of `\x` that are no UTF-8 together.
pub(super) fn unescaped(text: &str) -> Result<String, Failure> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        let (byte, length) = match (first, behind) {
            (b'\\', [b'x', digits @ ..]) if let Some(byte) = hex(digits) => (byte, 4),
            (b'\\', [letter, ..]) if let Some(byte) = meant(*letter) => (byte, 2),
            _ => (*first, 1),
        };
        bytes.push(byte);
        rest = &rest[length..];
    }
    String::from_utf8(bytes).map_err(|_| {
        Failure::usage(
            "the bytes that \\x stands for in -p are no UTF-8",
            "write the character itself, or take backslashes as they are with --no-escape",
        )
    })
}

fn meant(letter: u8) -> Option<u8> {
    match letter {
        b'n' => Some(b'\n'),
        b'r' => Some(b'\r'),
        b't' => Some(b'\t'),
        b'\'' | b'"' | b'\\' => Some(letter),
        _ => None,
    }
}

/// The byte of two hexadecimal digits.
fn hex(digits: &[u8]) -> Option<u8> {
    let digit = |i: usize| char::from(*digits.get(i)?).to_digit(16);
    Some((digit(0)? * 16 + digit(1)?) as u8)
}

#[cfg(test)]
mod tests {
    use super::unescaped;

    #[test]
    fn sequences_are_those_of_llama_cpp() {
        for (typed, meant) in [
            (r"a\nb", "a\nb"),
            (r"\t\r\\n", "\t\r\\n"),
            (r#"\'\""#, "'\""),
            (r"\x41\xc3\xa4", "Aä"),
            (r"\x4", r"\x4"),
            (r"\xzz \q \", r"\xzz \q \"),
            ("ä\\nö", "ä\nö"),
            ("", ""),
        ] {
            let Ok(found) = unescaped(typed) else {
                panic!("{typed} is refused");
            };
            assert_eq!(found, meant);
        }
        assert!(unescaped(r"\xff").is_err());
    }
}
