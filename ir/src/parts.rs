//! How the indices of an axis are divided among ranks.

use std::fmt;

use crate::attr::{Attr, AttrValue};
use crate::rows::RowSet;

/// Of each rank the indices of an axis that it has. Some ranks may have the same ones: then they
/// compute the same.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Parts(Vec<RowSet>);

impl Parts {
    /// The indices of each rank.
    pub fn new(of_ranks: impl IntoIterator<Item = RowSet>) -> Parts {
        Parts(of_ranks.into_iter().collect())
    }

    /// `count` indices in ranges, as even as whole units of `unit` allow. With more ranks than
    /// units the ranks behind the last repeat what those before them have, so that none is without.
    pub fn ranges(count: usize, unit: usize, ranks: usize) -> Parts {
        let units = count.div_ceil(unit.max(1)).max(1);
        let sharing = ranks.min(units).max(1);
        let bound = |i: usize| (units * i).div_ceil(sharing) * unit;
        let range = |rank: usize| {
            let i = rank % sharing;
            RowSet::from(bound(i).min(count)..bound(i + 1).min(count))
        };
        Parts((0..ranks).map(range).collect())
    }

    /// How many ranks there are.
    pub fn ranks(&self) -> usize {
        self.0.len()
    }

    /// The indices of a rank; none of one that there is not.
    pub fn of(&self, rank: usize) -> &RowSet {
        static NONE: RowSet = RowSet::NONE;
        self.0.get(rank).unwrap_or(&NONE)
    }

    /// The indices of each rank in turn.
    pub fn iter(&self) -> impl Iterator<Item = &RowSet> {
        self.0.iter()
    }

    /// The same, with the indices of each rank changed alike; `None` where that fails for one.
    pub fn map(&self, change: impl FnMut(&RowSet) -> Option<RowSet>) -> Option<Parts> {
        self.0.iter().map(change).collect::<Option<_>>().map(Parts)
    }

    /// The indices that a rank has and none before it: what it gives to the others.
    pub fn own(&self, rank: usize) -> RowSet {
        let before = self.0.iter().take(rank);
        before.fold(self.of(rank).clone(), |left, taken| left.minus(taken))
    }

    /// How many indices all have together, if these are all from 0 on.
    pub fn whole(&self) -> Option<usize> {
        let nothing = RowSet::default();
        let all = (self.0.iter()).fold(nothing, |all, part| all.union(part));
        (all.is_prefix() && !all.is_empty()).then_some(all.len())
    }
}

/// As `[0..2, 4..6 | 2..4]`.
impl fmt::Display for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = self.0.iter().map(RowSet::to_string).collect();
        write!(f, "[{}]", parts.join(" | "))
    }
}

impl AttrValue for Parts {
    const KIND: &'static str = "the indices of each rank, `[0..2, 4..6 | 2..4]`";

    fn to_attr(&self) -> Option<Attr> {
        Some(Attr::Parts(self.clone()))
    }

    fn from_attr(attr: Option<&Attr>) -> Option<Parts> {
        match attr? {
            Attr::Parts(parts) => Some(parts.clone()),
            Attr::Int(_)
            | Attr::Float(_)
            | Attr::Ints(_)
            | Attr::Floats(_)
            | Attr::DType(_)
            | Attr::Group(_)
            | Attr::Case(..) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_even_in_whole_units() {
        assert_eq!(
            Parts::ranges(20, 4, 3).to_string(),
            "[0..8 | 8..16 | 16..20]"
        );
        assert_eq!(Parts::ranges(10, 4, 2).to_string(), "[0..8 | 8..10]");
        assert_eq!(Parts::ranges(7, 1, 1).whole(), Some(7));
    }

    #[test]
    fn ranks_beyond_the_units_repeat_and_give_nothing() {
        let parts = Parts::ranges(2, 1, 3);
        assert_eq!(parts.to_string(), "[0..1 | 1..2 | 0..1]");
        assert_eq!(parts.own(1), RowSet::from(1..2));
        assert!(parts.own(2).is_empty());
        assert_eq!(Parts::new([RowSet::from(1..2)]).whole(), None);
    }
}
