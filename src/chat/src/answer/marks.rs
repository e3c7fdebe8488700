//! Looking for marks in a text whose end has not come yet.

/// What the beginning of a text is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Start<T> {
    /// It, and what came of it.
    Is(T),
    /// It cannot be it, whatever comes.
    IsNot,
    /// That depends on what comes.
    MayBe,
}

impl<T> Start<T> {
    /// Once nothing comes, what may be is not.
    pub(super) fn at_end(self, ended: bool) -> Start<T> {
        match self {
            Start::MayBe if ended => Start::IsNot,
            other => other,
        }
    }
}

/// Whether `text` starts with `mark`; the text behind it.
pub(super) fn starts<'t>(text: &'t str, mark: &str) -> Start<&'t str> {
    match text.strip_prefix(mark) {
        Some(rest) => Start::Is(rest),
        None if mark.starts_with(text) => Start::MayBe,
        None => Start::IsNot,
    }
}

/// The first place where one of the marks stands, or may stand once more has come:
/// `(place, which mark)`, with no mark for a place that is not certain.
pub(super) fn find(text: &str, marks: &[&str]) -> Option<(usize, Option<usize>)> {
    for (at, _) in text.match_indices('<') {
        let mut may_be = false;
        for (which, mark) in marks.iter().enumerate() {
            match starts(&text[at..], mark) {
                Start::Is(_) => return Some((at, Some(which))),
                Start::MayBe => may_be = true,
                Start::IsNot => {}
            }
        }
        if may_be {
            return Some((at, None));
        }
    }
    None
}
