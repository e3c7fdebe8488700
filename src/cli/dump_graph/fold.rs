//! Finds what repeats in a row of sections, so that it can be shown once.

use std::cmp::Reverse;
use std::ops::Range;

/// A part of a folded row.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::cli) enum Piece {
    /// The section of that index.
    One(usize),
    /// Sections that stand there several times.
    Repeat {
        /// The first time, itself folded.
        body: Vec<Piece>,
        /// All sections, the first time included; a whole multiple of the period.
        all: Range<usize>,
        /// Sections of one time.
        period: usize,
    },
}

/// Every section by itself.
pub(in crate::cli) fn unfolded(count: usize) -> Vec<Piece> {
    (0..count).map(Piece::One).collect()
}

/// Folds sections with equal keys; a section without a key equals no other. Where several
/// repetitions begin, the one that covers most sections is taken, and of equals the shortest.
pub(in crate::cli) fn fold<K: PartialEq>(keys: &[Option<K>]) -> Vec<Piece> {
    fold_within(keys, 0..keys.len())
}

fn fold_within<K: PartialEq>(keys: &[Option<K>], within: Range<usize>) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut at = within.start;
    while at < within.end {
        let periods = 1..=(within.end - at) / 2;
        let repeats = periods.map(|period| (covered(keys, at..within.end, period), period));
        let longest = repeats.max_by_key(|(covered, period)| (*covered, Reverse(*period)));
        match longest {
            Some((covered, period)) if covered > 0 => {
                let all = at..at + covered;
                let body = fold_within(keys, at..at + period);
                pieces.push(Piece::Repeat { body, all, period });
                at += covered;
            }
            _ => {
                pieces.push(Piece::One(at));
                at += 1;
            }
        }
    }
    pieces
}

/// Sections that the first `period` ones and their repetitions take; 0 if there are none.
fn covered<K: PartialEq>(keys: &[Option<K>], within: Range<usize>, period: usize) -> usize {
    let keys = &keys[within];
    let same = |i: &usize| keys[*i].is_some() && keys[*i] == keys[i - period];
    let again = (period..keys.len()).take_while(same).count() / period * period;
    // The keyless equal none, but a lone first time would not be compared with itself.
    if again > 0 { period + again } else { 0 }
}

/// For every section the one that is shown in its place.
pub(in crate::cli) fn shown_instead(pieces: &[Piece], count: usize) -> Vec<usize> {
    let mut shown: Vec<usize> = (0..count).collect();
    redirect(pieces, &mut shown);
    // A repetition within a body leads on to another.
    for i in 0..count {
        shown[i] = shown[shown[i]];
    }
    shown
}

fn redirect(pieces: &[Piece], shown: &mut [usize]) {
    for piece in pieces {
        if let Piece::Repeat { body, all, period } = piece {
            for i in all.clone() {
                shown[i] = all.start + (i - all.start) % period;
            }
            redirect(body, shown);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Letters are keys, dots are sections without one.
    fn folded(sections: &str) -> String {
        let keys: Vec<_> = sections.chars().map(|c| (c != '.').then_some(c)).collect();
        show(&fold(&keys), sections)
    }

    fn show(pieces: &[Piece], sections: &str) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::One(i) => sections[*i..=*i].to_string(),
            Piece::Repeat { body, all, period } => {
                format!("({})x{}", show(body, sections), all.len() / period)
            }
        };
        pieces.iter().map(piece).collect()
    }

    #[test]
    fn repetitions_are_folded_from_the_outside_in() {
        assert_eq!(folded(".dddadddaddda."), ".((d)x3a)x3.");
        assert_eq!(folded(".ddda."), ".(d)x3a.");
        assert_eq!(folded("abc"), "abc");
        assert_eq!(folded("aaaab"), "(a)x4b");
        assert_eq!(folded(".."), "..");
        assert_eq!(folded("ab.ab."), "ab.ab.");
        assert_eq!(folded(""), "");
    }

    #[test]
    fn a_hidden_section_leads_to_the_one_that_is_shown() {
        let keys: Vec<_> = "dddadddab".chars().map(Some).collect();
        let shown = shown_instead(&fold(&keys), keys.len());
        assert_eq!(shown, [0, 0, 0, 3, 0, 0, 0, 3, 8]);
    }
}
