//! Errors of the parser, which point at the text.

use std::fmt;

use crate::plain;

/// At most this many characters of a line are shown before a place, and as many behind it.
const NEAR: usize = 100;

/// Where a text is no module, why, and what would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What would be accepted.
    pub expected: String,
    source: String,
}

impl ParseError {
    /// An error at a byte offset of `text`.
    pub(crate) fn new(
        text: &str,
        offset: usize,
        message: impl Into<String>,
        expected: impl Into<String>,
    ) -> ParseError {
        let before = &text[..offset];
        let start = before.rfind('\n').map_or(0, |i| i + 1);
        ParseError {
            line: before.matches('\n').count() + 1,
            column: before[start..].chars().count() + 1,
            message: message.into(),
            expected: expected.into(),
            source: text[start..].lines().next().unwrap_or("").to_string(),
        }
    }
}

impl ParseError {
    /// What stands on the line before the place and from there on: all of it, or what is near.
    fn excerpt(&self) -> (String, String) {
        let at =
            (self.source.char_indices().nth(self.column - 1)).map_or(self.source.len(), |(i, _)| i);
        let (before, behind) = self.source.split_at(at);
        let first = before.char_indices().rev().nth(NEAR);
        let before = match first {
            Some((i, c)) => format!("…{}", plain::lines(&before[i + c.len_utf8()..])),
            None => plain::lines(before),
        };
        let behind = match behind.char_indices().nth(NEAR) {
            Some((end, _)) => format!("{}…", plain::lines(&behind[..end])),
            None => plain::lines(behind),
        };
        (before, behind)
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        let (before, behind) = self.excerpt();
        // Tabs stay tabs, so that the caret stands under its character.
        let blank = |c| if c == '\t' { '\t' } else { ' ' };
        let pad: String = before.chars().map(blank).collect();
        writeln!(f, "line {number}, column {}: {}", self.column, self.message)?;
        writeln!(f, "{number} | {before}{behind}")?;
        write!(f, "{margin} | {pad}^ expected {}", self.expected)
    }
}

impl std::error::Error for ParseError {}

/// The candidate nearest to a mistyped name, if one is near.
pub(crate) fn nearest<'a>(
    name: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    let limit = (name.chars().count() / 3).clamp(1, 3);
    let near = candidates.filter_map(|c| Some((distance(name, c, limit)?, c)));
    near.min().map(|(_, c)| c)
}

/// Levenshtein's distance where it is at most `limit`.
fn distance(a: &str, b: &str, limit: usize) -> Option<usize> {
    let b: Vec<char> = b.chars().collect();
    if a.chars().count().abs_diff(b.len()) > limit {
        return None;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().filter(|d| *d <= limit)
}
