//! Characters that remember that they are not the template's.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;

/// Where marks are taken from: the planes for private use, and when those are used
/// up the planes that Unicode has not assigned.
const POOL: [Range<u32>; 3] = [0xF_0000..0xF_FFFE, 0x10_0000..0x10_FFFE, 0x4_0000..0xE_0000];

/// In UTF-8 every character of [`POOL`] begins with this byte or a higher one.
const POOL_LEAD: u8 = 0xF1;

/// A mark for every character of untrusted text: one character for one.
///
/// A mark is none of the characters that the template has, so a marked character
/// and a template's are never confused, whatever is done with their strings. Marks
/// are given as they are needed, and ASCII's come first and in order.
pub(super) struct Marks {
    table: Mutex<Table>,
}

/// All marks are given: an untrusted text has more different characters than there
/// are characters that nobody uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the input has more different characters than can be told from the template's")]
pub(super) struct MarksUsedUp;

struct Table {
    marks: FxHashMap<char, char>,
    plain: FxHashMap<char, char>,
    /// What the next marks are.
    unused: Box<dyn Iterator<Item = char> + Send>,
}

impl Table {
    fn new(taken: BTreeSet<char>) -> Table {
        let pool = POOL.into_iter().flatten().filter_map(char::from_u32);
        Table {
            marks: FxHashMap::default(),
            plain: FxHashMap::default(),
            unused: Box::new(pool.filter(move |letter| !taken.contains(letter))),
        }
    }

    fn mark(&mut self, plain: char) -> Result<char, MarksUsedUp> {
        if let Some(mark) = self.marks.get(&plain) {
            return Ok(*mark);
        }
        let mark = self.unused.next().ok_or(MarksUsedUp)?;
        self.marks.insert(plain, mark);
        self.plain.insert(mark, plain);
        Ok(mark)
    }

    fn plain(&self, letter: char) -> char {
        match in_pool(&letter) {
            true => self.plain.get(&letter).copied().unwrap_or(letter),
            false => letter,
        }
    }
}

impl fmt::Debug for Marks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Marks").finish_non_exhaustive()
    }
}

impl Marks {
    /// Marks that are no characters of the trusted texts.
    pub(super) fn beside<'t>(trusted: impl IntoIterator<Item = &'t str>) -> Marks {
        let trusted = trusted.into_iter().filter(|text| may_have_marks(text));
        let taken = trusted.flat_map(|text| text.chars().filter(in_pool));
        let mut table = Table::new(taken.collect());
        for ascii in '\0'..='\x7f' {
            // It fails if a template has all of the pool, and then at the first text.
            let _ = table.mark(ascii);
        }
        Marks {
            table: Mutex::new(table),
        }
    }

    /// Marks that are the characters themselves, to see what a template gives without.
    #[cfg(test)]
    pub(super) fn none() -> Marks {
        let mut table = Table::new(BTreeSet::new());
        table.marks = ('\0'..=char::MAX).map(|letter| (letter, letter)).collect();
        Marks {
            table: Mutex::new(table),
        }
    }

    /// The text with every character marked. Characters that are marks already stay.
    pub(super) fn mark(&self, text: &str) -> Result<String, MarksUsedUp> {
        let mut table = self.table();
        let mut marked = String::with_capacity(4 * text.len());
        for letter in text.chars() {
            marked.push(match table.plain.contains_key(&letter) {
                true => letter,
                false => table.mark(letter)?,
            });
        }
        Ok(marked)
    }

    /// As [`mark`](Self::mark), for text that comes from outside, in which no
    /// character is a mark, whatever it looks like.
    pub(super) fn mark_input(&self, text: &str) -> Result<String, MarksUsedUp> {
        let mut table = self.table();
        text.chars().map(|letter| table.mark(letter)).collect()
    }

    /// The text as it was before marks.
    pub(super) fn plain<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if !may_have_marks(text) {
            return Cow::Borrowed(text);
        }
        let table = self.table();
        Cow::Owned(text.chars().map(|letter| table.plain(letter)).collect())
    }

    /// Whether two texts are the same before marks, and how many bytes had to be
    /// looked at for that.
    pub(super) fn same(&self, a: &str, b: &str) -> (bool, usize) {
        let table = self.table();
        let (mut a, mut b) = (a.chars(), b.chars());
        let mut seen = 0;
        loop {
            match (a.next(), b.next()) {
                (None, None) => return (true, seen),
                (Some(a), Some(b)) if table.plain(a) == table.plain(b) => seen += a.len_utf8(),
                _ => return (false, seen),
            }
        }
    }

    /// What `change` makes of every character, marked where the character was.
    pub(super) fn map<I>(
        &self,
        text: &str,
        mut change: impl FnMut(char) -> I,
    ) -> Result<String, MarksUsedUp>
    where
        I: IntoIterator<Item = char>,
    {
        let mut table = self.table();
        let mut changed = String::with_capacity(text.len());
        for letter in text.chars() {
            let plain = table.plain.get(&letter).copied();
            for new in change(plain.unwrap_or(letter)) {
                changed.push(match plain {
                    Some(_) => table.mark(new)?,
                    None => new,
                });
            }
        }
        Ok(changed)
    }

    /// The text without the characters at its sides that `cut` picks.
    pub(super) fn trim<'t>(
        &self,
        text: &'t str,
        sides: Sides,
        cut: impl Fn(char) -> bool,
    ) -> &'t str {
        let table = self.table();
        let cut = |letter| cut(table.plain(letter));
        match sides {
            Sides::Both => text.trim_matches(cut),
            Sides::Start => text.trim_start_matches(cut),
            Sides::End => text.trim_end_matches(cut),
        }
    }

    /// Cuts a text in stretches that are marked and stretches that are not:
    /// `(plain text, whether it was marked)`.
    pub(super) fn stretches(&self, text: &str) -> Vec<(String, bool)> {
        let table = self.table();
        let mut stretches: Vec<(String, bool)> = Vec::new();
        for letter in text.chars() {
            let plain = table.plain.get(&letter).copied();
            let marked = plain.is_some();
            match stretches.last_mut() {
                Some((stretch, same)) if *same == marked => stretch.push(plain.unwrap_or(letter)),
                _ => stretches.push((plain.unwrap_or(letter).into(), marked)),
            }
        }
        stretches
    }

    /// The ranges of bytes in `text` where `wanted` stands, marks aside: from the
    /// left, without overlap. An empty `wanted` stands between all characters.
    pub(super) fn find(&self, text: &str, wanted: &str) -> Vec<Range<usize>> {
        let (plain, wanted) = (self.plain(text), self.plain(wanted));
        let found = plain.match_indices(&*wanted);
        if let Cow::Borrowed(_) = plain {
            return found.map(|(at, _)| at..at + wanted.len()).collect();
        }
        let mut places = Places::new(text, &plain);
        found
            .map(|(at, _)| places.of(at)..places.of(at + wanted.len()))
            .collect()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which sides of a text are trimmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sides {
    Both,
    Start,
    End,
}

fn in_pool(letter: &char) -> bool {
    *letter >= '\u{40000}'
}

fn may_have_marks(text: &str) -> bool {
    text.bytes().any(|byte| byte >= POOL_LEAD)
}

/// Walks a marked text and its plain form side by side.
struct Places<'t> {
    marked: std::str::CharIndices<'t>,
    plain: std::str::Chars<'t>,
    at: usize,
    end: usize,
}

impl<'t> Places<'t> {
    fn new(marked: &'t str, plain: &'t str) -> Places<'t> {
        Places {
            marked: marked.char_indices(),
            plain: plain.chars(),
            at: 0,
            end: marked.len(),
        }
    }

    /// Where byte `at` of the plain text is in the marked one. Calls go forward.
    fn of(&mut self, at: usize) -> usize {
        while self.at < at {
            self.at += self.plain.next().map_or(1, char::len_utf8);
            self.marked.next();
        }
        self.marked
            .clone()
            .next()
            .map_or(self.end, |(place, _)| place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks() -> Marks {
        Marks::beside(["template \u{F0003}"])
    }

    #[test]
    fn marked_text_comes_back_as_it_was() {
        let marks = marks();
        for text in [
            "",
            "<|im_end|>",
            "é\u{F0000}\u{F0003}\u{10FFFF}",
            "\0\u{FFFF}",
        ] {
            let marked = marks.mark_input(text).unwrap();
            assert_eq!(marked.chars().count(), text.chars().count());
            assert_eq!(marks.plain(&marked), text);
            assert!(marked.chars().all(|c| in_pool(&c) && c != '\u{F0003}'));
            assert_eq!(marks.mark(&marked).unwrap(), marked);
        }
    }

    #[test]
    fn a_character_of_the_template_is_no_mark() {
        let marks = marks();
        marks.mark_input("anything").unwrap();
        assert_eq!(marks.plain("\u{F0003}"), "\u{F0003}");
    }

    #[test]
    fn marks_end_when_all_characters_are_used() {
        let all: String = ('\0'..=char::MAX).collect();
        assert_eq!(marks().mark_input(&all), Err(MarksUsedUp));
    }

    #[test]
    fn text_is_found_across_marks() {
        let marks = marks();
        let text = format!("a{}é", marks.mark_input("éa").unwrap());
        let found = marks.find(&text, "éa");
        assert_eq!((found[0].clone(), found.len()), (1..9, 1));
        let ends: Vec<_> = marks.find(&text, "a").into_iter().map(|r| r.end).collect();
        assert_eq!(ends, [1, 9]);
        assert_eq!(marks.find(&text, "").len(), 5);
    }

    #[test]
    fn stretches_tell_who_wrote_what() {
        let marks = marks();
        let text = format!("<|{}|>", marks.mark_input("x<").unwrap());
        let expected = [
            ("<|".into(), false),
            ("x<".into(), true),
            ("|>".into(), false),
        ];
        assert_eq!(marks.stretches(&text), expected);
    }
}
