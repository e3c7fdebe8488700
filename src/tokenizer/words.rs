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
//! Llama 3's and GLM-4's take up to three digits in a word, `\p{N}{1,3}`, and are Qwen2's otherwise.
//! GPT-2's is older:
//!
//! ```text
//! 's|'t|'re|'ve|'m|'ll|'d         contraction, in this case alone
//!  ?\p{L}+ |  ?\p{N}+             letters, digits
//!  ?[^\s\p{L}\p{N}]+             symbols
//! \s+(?!\S) | \s+                blanks
//! ```
//!
//! SmolLM's cuts every digit out first, and what is left of the text by GPT-2's.
//!
//! They are written out by hand because a backtracking engine is slower, takes
//! more than linear time on long runs of blanks and may give up on them.

use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

/// A rule by which words are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WordRule {
    Qwen2,
    Qwen35,
    /// Also GLM-4's.
    Llama3,
    Gpt2,
    SmolLm,
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
        match self {
            WordRule::Qwen2 | WordRule::Qwen35 | WordRule::Llama3 => contraction(text)
                .or_else(|| self.letters(text))
                .or_else(|| self.digits(text))
                .or_else(|| self.symbols(text))
                .or_else(|| self.blanks(text)),
            WordRule::Gpt2 => self.gpt2_word(text),
            WordRule::SmolLm => {
                let is_digit = |c: char| self.class(c) == Class::Digit;
                match text.find(is_digit) {
                    Some(0) => text.chars().next().map(char::len_utf8),
                    Some(digit) => self.gpt2_word(&text[..digit]),
                    None => self.gpt2_word(text),
                }
            }
        }
    }

    /// Length of the first word by GPT-2's rule.
    fn gpt2_word(self, text: &str) -> Option<usize> {
        let contraction = contraction(text).filter(|end| {
            let letters = &text.as_bytes()[1..*end];
            letters.iter().all(u8::is_ascii_lowercase)
        });
        if contraction.is_some() {
            return contraction;
        }
        let start = usize::from(text.starts_with(' '));
        let class = text[start..].chars().next().map(|c| self.class(c));
        match class {
            Some(class @ (Class::Letter | Class::Digit | Class::Symbol)) => {
                Some(start + self.run(&text[start..], class))
            }
            Some(Class::Newline | Class::Blank) | None => blanks_alone(text),
        }
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

    fn digits(self, text: &str) -> Option<usize> {
        let most = match self {
            WordRule::Llama3 => 3,
            WordRule::Qwen2 | WordRule::Qwen35 | WordRule::Gpt2 | WordRule::SmolLm => 1,
        };
        let digits = text.chars().take_while(|c| self.class(*c) == Class::Digit);
        let length = digits.take(most).map(char::len_utf8).sum();
        (length > 0).then_some(length)
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
        let blanks = &text[..blank_run(text)];
        match blanks.rfind(['\r', '\n']) {
            Some(newline) => Some(newline + 1),
            None => blanks_alone(text),
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

/// Length in bytes of the blanks that `text` begins with.
fn blank_run(text: &str) -> usize {
    text.find(|c: char| !c.is_whitespace())
        .unwrap_or(text.len())
}

/// All blanks but the one that belongs to the word behind.
fn blanks_alone(text: &str) -> Option<usize> {
    let run = blank_run(text);
    let last = text[..run].chars().next_back()?.len_utf8();
    match run < text.len() && last < run {
        true => Some(run - last),
        false => Some(run),
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
    fn llama_s_words_take_up_to_three_digits() {
        check(WordRule::Llama3, &["a", "123", "456", "7", " ", "89", " b"]);
    }

    #[test]
    fn gpt2_s_words_take_a_space_and_no_other_blank() {
        check(
            WordRule::Gpt2,
            &["a", " 12", "\t", "b", "\n", "c", "'s", "'", "S"],
        );
        check(
            WordRule::Gpt2,
            &[" \n", " d", " !?", "\n\n", "\n", "e", "  "],
        );
    }

    #[test]
    fn smollm_s_digits_end_what_is_before_them() {
        check(WordRule::SmolLm, &["a", "  ", "1", "2", " b", " ", "3"]);
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
    fn letters_that_are_younger_than_unicode_15_1_are_symbols() {
        // A Cyrillic letter of Unicode 16.0; an ideograph of 15.1.
        check(WordRule::Qwen2, &["a", "\u{1c89}.", "\u{2ebf0}b"]);
    }

    #[test]
    fn a_mark_is_a_letter_in_qwen35_and_a_symbol_in_qwen2() {
        check(WordRule::Qwen35, &["re\u{301}sume\u{301}", " \u{301}x"]);
        check(WordRule::Qwen2, &["re", "\u{301}sume", "\u{301}"]);
        check(WordRule::Qwen2, &[" \u{301}", "x"]);
    }
}
