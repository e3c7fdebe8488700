//! A choice of rows of a tensor.

use std::fmt;
use std::ops::Range;

/// Some rows of a tensor, ascending, each once.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct RowSet {
    /// Ascending, none empty, and none next to another.
    ranges: Vec<Range<usize>>,
}

impl From<Range<usize>> for RowSet {
    fn from(range: Range<usize>) -> RowSet {
        RowSet::of_ranges(std::iter::once(range))
    }
}

impl RowSet {
    pub(crate) const NONE: RowSet = RowSet { ranges: Vec::new() };

    /// The first `count` rows.
    pub fn first(count: usize) -> RowSet {
        RowSet {
            ranges: (count > 0).then_some(0..count).into_iter().collect(),
        }
    }

    /// These ranges in any order, which may overlap.
    pub fn of_ranges(ranges: impl IntoIterator<Item = Range<usize>>) -> RowSet {
        let mut sorted: Vec<Range<usize>> = ranges.into_iter().filter(|r| !r.is_empty()).collect();
        sorted.sort_by_key(|range| range.start);
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for range in sorted {
            match ranges.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => ranges.push(range),
            }
        }
        RowSet { ranges }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ranges.iter().map(Range::len).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The last of them.
    pub fn last(&self) -> Option<usize> {
        self.ranges.last().map(|range| range.end - 1)
    }

    /// Whether they are the tensor's first ones, without a gap.
    pub fn is_prefix(&self) -> bool {
        self.last().is_none_or(|last| last + 1 == self.len())
    }

    /// Whether they follow one another without a gap.
    pub fn is_range(&self) -> bool {
        self.ranges.len() <= 1
    }

    /// Each row in the place of `by` rows that follow one another.
    pub fn scaled(&self, by: usize) -> RowSet {
        let scaled = |r: &Range<usize>| r.start * by..r.end * by;
        RowSet::of_ranges(self.ranges.iter().map(scaled))
    }

    /// The other way round; `None` where a range does not begin and end at a multiple of `by`.
    pub fn divided(&self, by: usize) -> Option<RowSet> {
        let whole = |n: usize| by > 0 && n.is_multiple_of(by);
        let all = self.ranges.iter().all(|r| whole(r.start) && whole(r.end));
        let divided = |r: &Range<usize>| r.start / by..r.end / by;
        all.then(|| RowSet::of_ranges(self.ranges.iter().map(divided)))
    }

    /// All of them so much further behind.
    pub fn shifted(&self, by: usize) -> RowSet {
        RowSet {
            ranges: (self.ranges.iter().map(|r| r.start + by..r.end + by)).collect(),
        }
    }

    /// Those of a range, counted from its start on.
    pub fn within(&self, range: Range<usize>) -> RowSet {
        let clipped = (self.ranges.iter())
            .map(|r| r.start.max(range.start)..r.end.min(range.end))
            .filter(|r| !r.is_empty());
        RowSet {
            ranges: (clipped.map(|r| r.start - range.start..r.end - range.start)).collect(),
        }
    }

    /// Those of both.
    pub fn union(&self, other: &RowSet) -> RowSet {
        RowSet::of_ranges(self.ranges.iter().chain(&other.ranges).cloned())
    }

    /// Those that `other` lacks.
    pub fn minus(&self, other: &RowSet) -> RowSet {
        let mut left = Vec::new();
        for range in &self.ranges {
            let mut start = range.start;
            for taken in other.ranges.iter().filter(|t| t.start < range.end) {
                left.push(start..taken.start.max(start));
                start = start.max(taken.end);
            }
            left.push(start..range.end.max(start));
        }
        RowSet::of_ranges(left)
    }

    /// The rows that stand in these places among them.
    pub fn select(&self, places: &RowSet) -> RowSet {
        let mut before = 0;
        let mut chosen = Vec::new();
        for range in &self.ranges {
            let own = places.within(before..before + range.len());
            chosen.extend(own.shifted(range.start).ranges);
            before += range.len();
        }
        RowSet::of_ranges(chosen)
    }

    /// The ranges, ascending, with a gap between any two.
    pub fn ranges(&self) -> &[Range<usize>] {
        &self.ranges
    }
}

impl FromIterator<usize> for RowSet {
    fn from_iter<T: IntoIterator<Item = usize>>(rows: T) -> RowSet {
        RowSet::of_ranges(rows.into_iter().map(|row| row..row + 1))
    }
}

/// As `0..300, 512..513`.
impl fmt::Display for RowSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, Range { start, end }) in self.ranges.iter().enumerate() {
            let comma = if i > 0 { ", " } else { "" };
            write!(f, "{comma}{start}..{end}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_in_order_and_once() {
        let rows: RowSet = [7, 3, 4, 3, 5].into_iter().collect();
        assert_eq!(rows.to_string(), "3..6, 7..8");
        assert_eq!(
            (rows.len(), rows.last(), rows.is_prefix()),
            (4, Some(7), false)
        );
        assert_eq!(RowSet::of_ranges([2..4, 0..2]), RowSet::first(4));
        assert!(RowSet::first(4).is_prefix() && RowSet::first(0).is_empty());
    }

    #[test]
    fn rows_are_taken_apart_and_put_together() {
        let rows = RowSet::of_ranges([2..4, 6..10]);
        assert_eq!(rows.scaled(3).to_string(), "6..12, 18..30");
        assert_eq!(rows.scaled(3).divided(3), Some(rows.clone()));
        assert_eq!(rows.divided(2), Some(RowSet::of_ranges([1..2, 3..5])));
        assert_eq!(rows.divided(4), None);
        assert_eq!(rows.within(3..8), RowSet::of_ranges([0..1, 3..5]));
        assert_eq!(
            rows.within(3..8).shifted(3),
            RowSet::of_ranges([3..4, 6..8])
        );
        assert_eq!(
            rows.minus(&RowSet::of_ranges([0..3, 7..8])).to_string(),
            "3..4, 6..7, 8..10"
        );
        assert_eq!(rows.union(&RowSet::from(4..6)).to_string(), "2..10");
        assert_eq!(
            rows.select(&RowSet::of_ranges([1..4, 5..6])).to_string(),
            "3..4, 6..8, 9..10"
        );
    }
}
