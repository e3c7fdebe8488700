//! How n-grams of tokens are hashed to rows of a table.

use smallvec::SmallVec;

use crate::attr::{Attr, AttrValue};

/// Constants of a hash of n-grams, of two tokens up to as many as there are multipliers. Of the
/// tokens that end with one, the newest first, each times its multiplier: `x = m₀·t₀ ^ m₁·t₁ ^ …`
/// modulo 2⁶⁴. Each length has as many heads as any other, those of the shortest first; a head's row
/// is `offset + x mod size`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NgramHash {
    /// The token that ends a text: it and all before it stand for it, and so do missing ones.
    pub end: u32,
    /// One for each token of the longest n-gram, that of the newest first.
    pub multipliers: Vec<u64>,
    /// First row of each head,
    pub offsets: Vec<u32>,
    /// and how many rows it has.
    pub sizes: Vec<u32>,
}

impl NgramHash {
    /// Tokens before one that its rows depend on.
    pub fn before(&self) -> usize {
        self.multipliers.len().saturating_sub(1)
    }

    /// Heads of each length.
    pub fn heads_per_length(&self) -> usize {
        self.sizes.len().checked_div(self.before()).unwrap_or(0)
    }

    /// The least table that has all rows.
    pub fn rows(&self) -> usize {
        let ends = self.offsets.iter().zip(&self.sizes);
        ends.map(|(offset, size)| *offset as usize + *size as usize)
            .max()
            .unwrap_or(0)
    }

    /// What does not fit together, in words.
    pub(crate) fn fault(&self) -> Option<String> {
        let (heads, before) = (self.sizes.len(), self.before());
        if before == 0 {
            return Some("n-grams have two tokens or more, each with its multiplier".into());
        }
        if heads == 0 || !heads.is_multiple_of(before) || self.offsets.len() != heads {
            let offsets = self.offsets.len();
            return Some(format!(
                "{heads} sizes and {offsets} offsets are not those of as many heads for each of {before} lengths"
            ));
        }
        let most = i32::MAX as usize;
        (self.sizes.contains(&0) || self.rows() > most)
            .then(|| format!("heads have one row or more, all of them up to {most}"))
    }
}

const END: &str = "end";
const OFFSETS: &str = "offsets";
const SIZES: &str = "sizes";

/// The name of a multiplier.
fn multiplier(n: usize) -> String {
    format!("m{n}")
}

impl AttrValue for NgramHash {
    const KIND: &'static str =
        "a group of `end`, `m0`, `m1` and so on (whole numbers), `offsets` and `sizes` (lists)";

    fn to_attr(&self) -> Option<Attr> {
        let list = |list: &[u32]| Attr::Ints(list.iter().copied().collect());
        let multipliers = self.multipliers.iter().enumerate();
        let mut fields = vec![(END.to_string(), Attr::Int(u64::from(self.end)))];
        fields.extend(multipliers.map(|(n, by)| (multiplier(n), Attr::Int(*by))));
        fields.push((OFFSETS.into(), list(&self.offsets)));
        fields.push((SIZES.into(), list(&self.sizes)));
        Some(Attr::Group(fields))
    }

    fn from_attr(attr: Option<&Attr>) -> Option<NgramHash> {
        let Attr::Group(fields) = attr? else {
            return None;
        };
        let find = |name: &str| fields.iter().find(|(n, _)| n == name).map(|(_, attr)| attr);
        let list = |name| Some(<SmallVec<[u32; 4]>>::from_attr(find(name))?.to_vec());
        let named = (0..).map_while(|n| find(&multiplier(n)));
        let whole = |attr: &Attr| match attr {
            Attr::Int(n) => Some(*n),
            _ => None,
        };
        let multipliers: Vec<u64> = named.map(whole).collect::<Option<_>>()?;
        // Besides these there is `end` and the two lists.
        (fields.len() == multipliers.len() + 3).then_some(NgramHash {
            end: u32::from_attr(find(END))?,
            multipliers,
            offsets: list(OFFSETS)?,
            sizes: list(SIZES)?,
        })
    }
}
