//! The rules that cut text into words, the units that no merge crosses.
//!
//! Qwen2's rule is published as a regular expression whose alternatives are
//! tried in order at every place:
//!
//! ```text
//! (?i:'s|'t|'re|'ve|'m|'ll|'d)    contraction
//! [^\r\n\p{L}\p{N}]?\p{L}+        letters
//! \p{N}                           digit
//!  ?[^\s\p{L}\p{N}]+[\r\n]*       symbols
//! \s*[\r\n]+ | \s+(?!\S) | \s+    blanks
//! ```
//!
//! Qwen3.5's puts `\p{M}` beside every `\p{L}` but the first. That first one
//! makes no difference, since a mark in front of letters ends up in their word
//! either way, so the two rules differ only in what a mark is: a letter in
//! Qwen3.5, a symbol in Qwen2.
//!
//! They are written out by hand because a backtracking engine is slower, takes
//! more than linear time on long runs of blanks and may give up on them.

use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

use super::TokenizerError;

/// A rule by which words are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WordRule {
    Qwen2,
    Qwen35,
}

/// What the rules distinguish characters by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Letter,
    Digit,
    Newline,
    Blank,
    Symbol,
}

impl WordRule {
    pub(super) fn named(pre: &str) -> Result<WordRule, TokenizerError> {
        match pre {
            "qwen2" => Ok(WordRule::Qwen2),
            "qwen35" => Ok(WordRule::Qwen35),
            _ => Err(TokenizerError::UnknownPreTokenizer {
                pre: pre.to_owned(),
            }),
        }
    }

    /// The words of `text`; together they are all of it.
    pub(super) fn words(self, text: &str) -> impl Iterator<Item = &str> {
        let mut rest = text;
        std::iter::from_fn(move || {
            let end = self.word(rest)?;
            let (word, after) = rest.split_at(end);
            rest = after;
            Some(word)
        })
    }

    /// Length in bytes of the first word, `None` at the end of the text.
    fn word(self, text: &str) -> Option<usize> {
        contraction(text)
            .or_else(|| self.letters(text))
            .or_else(|| self.digit(text))
            .or_else(|| self.symbols(text))
            .or_else(|| self.blanks(text))
    }

    fn letters(self, text: &str) -> Option<usize> {
        let first = text.chars().next()?;
        let start = match self.class(first) {
            Class::Letter | Class::Digit | Class::Newline => 0,
            Class::Blank | Class::Symbol => first.len_utf8(),
        };
        let run = self.run(&text[start..], Class::Letter);
        (run > 0).then_some(start + run)
    }

    fn digit(self, text: &str) -> Option<usize> {
        let first = text.chars().next()?;
        (self.class(first) == Class::Digit).then(|| first.len_utf8())
    }

    fn symbols(self, text: &str) -> Option<usize> {
        let start = usize::from(text.starts_with(' '));
        let run = self.run(&text[start..], Class::Symbol);
        let end = start + run;
        (run > 0).then(|| end + self.run(&text[end..], Class::Newline))
    }

    /// Blanks up to the last newline among them, or else all but the one that
    /// belongs to the word behind.
    fn blanks(self, text: &str) -> Option<usize> {
        let run = text
            .find(|c: char| !c.is_whitespace())
            .unwrap_or(text.len());
        let blanks = &text[..run];
        let last = blanks.chars().next_back()?.len_utf8();
        match blanks.rfind(['\r', '\n']) {
            Some(newline) => Some(newline + 1),
            None if run < text.len() && last < run => Some(run - last),
            None => Some(run),
        }
    }

    /// Length in bytes of the run of one class that `text` begins with.
    fn run(self, text: &str, class: Class) -> usize {
        text.find(|c| self.class(c) != class).unwrap_or(text.len())
    }

    fn class(self, c: char) -> Class {
        match c {
            'a'..='z' | 'A'..='Z' => Class::Letter,
            '0'..='9' => Class::Digit,
            '\r' | '\n' => Class::Newline,
            _ if c.is_whitespace() => Class::Blank,
            _ if c.is_ascii() => Class::Symbol,
            _ => match c.general_category_group() {
                GeneralCategoryGroup::Letter => Class::Letter,
                GeneralCategoryGroup::Mark if self == WordRule::Qwen35 => Class::Letter,
                GeneralCategoryGroup::Number => Class::Digit,
                _ => Class::Symbol,
            },
        }
    }
}

/// `'s`, `'re` and their like, in either case. Only ASCII folds here: `'ſ` is
/// none, though a regular expression without regard to case would take it.
fn contraction(text: &str) -> Option<usize> {
    let after = text.as_bytes().strip_prefix(b"'")?;
    let lower = |at: usize| after.get(at).map(u8::to_ascii_lowercase);
    match (lower(0)?, lower(1)) {
        (b's' | b't' | b'm' | b'd', _) => Some(2),
        (b'r' | b'v', Some(b'e')) | (b'l', Some(b'l')) => Some(3),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rule: WordRule, words: &[&str]) {
        let text = words.concat();
        let cut: Vec<&str> = rule.words(&text).collect();
        assert_eq!(cut, words);
    }

    #[test]
    fn a_word_takes_one_blank_or_symbol_before_it() {
        check(WordRule::Qwen2, &["one", " two", "\tthree", "(four", ")"]);
        check(WordRule::Qwen2, &["  ", " a", "\n", "b", "\u{3000}c"]);
    }

    #[test]
    fn every_digit_is_a_word_of_its_own() {
        check(WordRule::Qwen2, &["a", "1", "2", " ", "3", "½", "٣"]);
    }

    #[test]
    fn symbols_take_one_space_before_and_all_newlines_behind() {
        check(WordRule::Qwen2, &["a", " +=\r\n\n", "  ", " !?"]);
    }

    #[test]
    fn blanks_end_at_their_last_newline() {
        check(WordRule::Qwen2, &[" \n \r\n", "  ", " a", " \t "]);
    }

    #[test]
    fn contractions_are_cut_in_either_case() {
        check(
            WordRule::Qwen2,
            &["we", "'Ve", "a", "'lL", "'s", "ay", "''", "t"],
        );
        check(WordRule::Qwen2, &["'ſs", " '", "1"]);
    }

    #[test]
    fn a_mark_is_a_letter_in_qwen35_and_a_symbol_in_qwen2() {
        check(WordRule::Qwen35, &["re\u{301}sume\u{301}", " \u{301}x"]);
        check(WordRule::Qwen2, &["re", "\u{301}sume", "\u{301}"]);
        check(WordRule::Qwen2, &[" \u{301}", "x"]);
    }
}
