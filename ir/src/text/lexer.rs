//! Takes a text apart: a cursor that hands out the word, name or sign that is asked for.

use crate::plain::Plain;
use crate::text::error::ParseError;
use crate::text::is_name_char;

pub(crate) type Result<T> = std::result::Result<T, ParseError>;

/// A place in the text. Which words there are depends on the place (`1..=512`, `attn_norm-0`,
/// `1e-6`), so the parser asks and no list of tokens is made.
pub(crate) struct Cursor<'a> {
    text: &'a str,
    at: usize,
    /// Where the last taken word or sign ended.
    last_end: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(text: &'a str) -> Cursor<'a> {
        Cursor {
            text,
            at: 0,
            last_end: 0,
        }
    }

    /// Offset of the next word or sign.
    pub(crate) fn here(&mut self) -> usize {
        loop {
            let rest = &self.text[self.at..];
            let blank = rest.len() - rest.trim_start().len();
            self.at += blank;
            if !self.text[self.at..].starts_with(';') {
                return self.at;
            }
            let comment = self.text[self.at..].find('\n');
            self.at = comment.map_or(self.text.len(), |i| self.at + i);
        }
    }

    fn rest(&mut self) -> &'a str {
        let at = self.here();
        &self.text[at..]
    }

    /// The next character that is no space; `None` at the end.
    pub(crate) fn peek(&mut self) -> Option<char> {
        self.rest().chars().next()
    }

    /// Takes a sign if it is next.
    pub(crate) fn eat(&mut self, sign: &str) -> bool {
        let next = self.rest().starts_with(sign);
        if next {
            self.advance(sign.len());
        }
        next
    }

    pub(crate) fn expect(&mut self, sign: &str) -> Result<()> {
        if self.eat(sign) {
            return Ok(());
        }
        Err(self.unexpected(format!("`{sign}`")))
    }

    /// Takes a keyword if it is next.
    pub(crate) fn eat_word(&mut self, keyword: &str) -> bool {
        let next = self.peek_word() == keyword;
        if next {
            self.advance(keyword.len());
        }
        next
    }

    pub(crate) fn expect_word(&mut self, keyword: &str) -> Result<()> {
        if self.eat_word(keyword) {
            return Ok(());
        }
        Err(self.unexpected(format!("`{keyword}`")))
    }

    /// The characters of a name that are next, perhaps none.
    pub(crate) fn peek_word(&mut self) -> &'a str {
        run(self.rest(), is_name_char)
    }

    pub(crate) fn word(&mut self, expected: &str) -> Result<&'a str> {
        let word = self.peek_word();
        self.take(word, expected)
    }

    /// The characters of a number or of a dtype's name.
    pub(crate) fn number_word(&mut self, expected: &str) -> Result<&'a str> {
        let word = run(self.rest(), |c| is_name_char(c) || c == '+');
        self.take(word, expected)
    }

    /// A whole number.
    pub(crate) fn int(&mut self, expected: &str) -> Result<usize> {
        let at = self.here();
        let digits = run(self.rest(), |c| c.is_ascii_digit());
        let digits = self.take(digits, expected)?;
        digits
            .parse()
            .map_err(|_| self.error(at, format!("{} is too large", clipped(digits)), expected))
    }

    /// The name after a sign like `%` or `@`, and whether it was quoted.
    pub(crate) fn name_after(&mut self, sign: &str, expected: &str) -> Result<(String, bool)> {
        if !self.eat(sign) {
            return Err(self.unexpected(expected));
        }
        if self.text[self.at..].starts_with(char::is_whitespace) {
            return Err(self.error(self.at, format!("a lone `{sign}`"), expected));
        }
        self.name(expected)
    }

    /// A name, plain or quoted, and whether it was quoted.
    pub(crate) fn name(&mut self, expected: &str) -> Result<(String, bool)> {
        if self.peek() == Some('"') {
            return Ok((self.string()?, true));
        }
        Ok((self.word(expected)?.to_string(), false))
    }

    /// A string in quotes.
    pub(crate) fn string(&mut self) -> Result<String> {
        let start = self.here();
        self.expect("\"")?;
        let mut out = String::new();
        let mut chars = self.text[self.at..].char_indices();
        while let Some((i, c)) = chars.next() {
            match c {
                '"' => {
                    self.advance(i + 1);
                    return Ok(out);
                }
                '\n' => break,
                '\\' => {
                    let at = self.at + i;
                    let c = unescape(&mut chars);
                    out.push(c.ok_or_else(|| {
                        self.error(at, "no such escape", r#"\", \\, \n, \t or \u{hex}"#)
                    })?);
                }
                c => out.push(c),
            }
        }
        Err(self.error(
            start,
            "the string does not end on its line",
            "a closing `\"`",
        ))
    }

    /// An error at an offset.
    pub(crate) fn error(
        &self,
        at: usize,
        message: impl Into<String>,
        expected: impl Into<String>,
    ) -> ParseError {
        ParseError::new(self.text, at, message, expected)
    }

    /// The error that what comes next is not what was expected. It stands behind the last word
    /// where the line ends there: what is missing is missing on that line.
    pub(crate) fn unexpected(&mut self, expected: impl Into<String>) -> ParseError {
        if self.last_end > 0 && self.at_line_end() {
            return self.error(self.last_end, "the line ends", expected);
        }
        self.unexpected_here(expected)
    }

    /// The same where a new line may begin: it stands at what comes next, or at the end.
    pub(crate) fn unexpected_here(&mut self, expected: impl Into<String>) -> ParseError {
        let at = self.here();
        let word = self.peek_word();
        match self.peek() {
            None => self.error(self.last_end, "the text ends", expected),
            Some(_) if !word.is_empty() => {
                self.error(at, format!("found `{}`", clipped(word)), expected)
            }
            Some(c) => self.error(
                at,
                format!("found `{}`", Plain(c.encode_utf8(&mut [0; 4]))),
                expected,
            ),
        }
    }

    /// Whether the next word stands on a later line than the last.
    pub(crate) fn at_line_end(&mut self) -> bool {
        let at = self.here();
        at < self.text.len() && self.text[self.last_end..at].contains('\n')
    }

    fn take(&mut self, word: &'a str, expected: &str) -> Result<&'a str> {
        if word.is_empty() {
            return Err(self.unexpected(expected));
        }
        self.advance(word.len());
        Ok(word)
    }

    fn advance(&mut self, bytes: usize) {
        self.at += bytes;
        self.last_end = self.at;
    }
}

/// The character that an escape stands for, behind its backslash.
fn unescape(chars: &mut std::str::CharIndices<'_>) -> Option<char> {
    match chars.next()?.1 {
        'n' => Some('\n'),
        't' => Some('\t'),
        c @ ('"' | '\\') => Some(c),
        'u' => {
            let hex = chars.as_str().strip_prefix('{')?;
            let hex = &hex[..hex.find('}').filter(|n| *n <= 6)?];
            // The braces and the digits, all of them one byte.
            chars.nth(hex.len() + 1)?;
            let code = u32::from_str_radix(hex, 16).ok()?;
            char::from_u32(code)
        }
        _ => None,
    }
}

fn run(text: &str, belongs: impl Fn(char) -> bool) -> &str {
    let end = text.find(|c| !belongs(c));
    &text[..end.unwrap_or(text.len())]
}

/// The beginning of a name or word on one line, for messages.
pub(crate) fn clipped(word: &str) -> String {
    Plain(word).to_string()
}
