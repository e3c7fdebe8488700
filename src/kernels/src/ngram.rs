//! N-grams of tokens, hashed to rows of a table.

/// A hash of n-grams, of two tokens up to as many as there are multipliers.
#[derive(Clone, Debug)]
pub struct Ngrams {
    /// The token that ends a text.
    pub end: u32,
    /// For each token of the longest n-gram, the newest first.
    pub multipliers: Vec<u64>,
    /// First row and rows of each head, those of the shortest n-grams first.
    pub heads: Vec<(u32, u32)>,
}

impl Ngrams {
    /// The row of each head for the n-grams that end with `id`. `before` are the tokens before it,
    /// the newest first, as many as there are multipliers but one, if they are known.
    ///
    /// An end of text stands for itself and all before it, as does a token that is not known; that
    /// of `id` itself cuts nothing off.
    ///
    /// # Panics
    /// If there are not as many rows as heads, or heads of some lengths only.
    pub fn rows(&self, id: u32, before: impl Iterator<Item = Option<u32>>, rows: &mut [i32]) {
        assert_eq!(rows.len(), self.heads.len(), "a row for each head");
        let by_length = self.heads.len() / (self.multipliers.len() - 1);
        let mut mixed = u64::from(id).wrapping_mul(self.multipliers[0]);
        let mut ended = false;
        let heads = self.heads.chunks_exact(by_length);
        let rows = rows.chunks_exact_mut(by_length);
        let before = before.zip(&self.multipliers[1..]);
        for (((id, by), heads), rows) in before.zip(heads).zip(rows) {
            let id = id.filter(|id| !ended && *id != self.end);
            ended |= id.is_none();
            mixed ^= u64::from(id.unwrap_or(self.end)).wrapping_mul(*by);
            for ((offset, size), row) in heads.iter().zip(rows) {
                *row = (mixed % u64::from(*size)) as i32 + *offset as i32;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(id: u32, before: [Option<u32>; 2]) -> [i32; 4] {
        let ngrams = Ngrams {
            end: 9,
            multipliers: vec![1, 1 << 8, u64::MAX],
            heads: vec![(0, 1000), (1000, 7), (2000, 1000), (3000, 11)],
        };
        let mut rows = [0; 4];
        ngrams.rows(id, before.into_iter(), &mut rows);
        rows
    }

    #[test]
    fn rows_are_those_of_the_pair_and_of_the_triple() {
        let pair = 5 ^ (3 << 8);
        let triple = pair ^ 2u64.wrapping_mul(u64::MAX);
        let expected = [
            (pair % 1000) as i32,
            1000 + (pair % 7) as i32,
            2000 + (triple % 1000) as i32,
            3000 + (triple % 11) as i32,
        ];
        assert_eq!(rows(5, [Some(3), Some(2)]), expected);
    }

    #[test]
    fn an_end_of_text_hides_all_before_it_and_what_is_missing_is_one() {
        assert_eq!(rows(5, [Some(9), Some(2)]), rows(5, [None, None]));
        assert_eq!(rows(5, [Some(9), Some(2)]), rows(5, [Some(9), Some(9)]));
        assert_eq!(rows(5, [None, Some(2)]), rows(5, [Some(9), Some(9)]));
        assert_ne!(rows(9, [Some(3), Some(2)]), rows(9, [Some(9), Some(2)]));
    }
}
