//! A choice of rows of a tensor.

use std::fmt;
use std::ops::Range;

/// Some rows of a tensor, ascending, each once.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct RowSet {
    /// Ascending, none empty, and none next to another.
    ranges: Vec<Range<usize>>,
}

impl RowSet {
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
}
