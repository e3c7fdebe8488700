//! Added tokens, which are cut out of a text before anything else looks at it.

use std::ops::Range;

use memchr::memmem::Finder;

use super::vocabulary::Kind;

/// A stretch of text between added tokens, or one of those.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fragment<'t> {
    Text(&'t str),
    Token(u32),
}

struct SpecialToken {
    id: u32,
    text: Finder<'static>,
    control: bool,
}

/// The tokens to look for, the longest first.
pub(super) struct SpecialTokens(Vec<SpecialToken>);

impl SpecialTokens {
    pub(super) fn new(tokens: &[String], kinds: &[Kind]) -> SpecialTokens {
        let mut special: Vec<SpecialToken> = (0u32..)
            .zip(tokens.iter().zip(kinds))
            .filter(|(_, (text, kind))| {
                matches!(kind, Kind::Control | Kind::UserDefined) && !text.is_empty()
            })
            .map(|(id, (text, &kind))| SpecialToken {
                id,
                text: Finder::new(text).into_owned(),
                control: kind == Kind::Control,
            })
            .collect();
        special.sort_by_key(|token| std::cmp::Reverse(token.text.needle().len()));
        SpecialTokens(special)
    }

    /// The token of exactly this text.
    pub(super) fn find(&self, text: &str) -> Option<u32> {
        let mut all = self.0.iter();
        let found = all.find(|token| token.text.needle() == text.as_bytes());
        found.map(|token| token.id)
    }

    /// Cuts `text` at every added token; at control tokens only if asked to, and only at places that
    /// `may` allows.
    ///
    /// One token after the other takes all its places in what the longer ones
    /// have left. Where two overlap the longer wins, even if it begins later.
    pub(super) fn split<'t>(
        &self,
        text: &'t str,
        parse_special: bool,
        may: &impl Fn(Range<usize>) -> bool,
    ) -> Vec<Fragment<'t>> {
        let mut fragments = vec![(0, Fragment::Text(text))];
        for token in &self.0 {
            let wanted = parse_special || !token.control;
            if wanted && token.text.find(text.as_bytes()).is_some() {
                fragments = fragments
                    .into_iter()
                    .flat_map(|(at, fragment)| token.cut(at, fragment, may))
                    .collect();
            }
        }
        fragments
            .into_iter()
            .map(|(_, fragment)| fragment)
            .collect()
    }
}

impl SpecialToken {
    /// The fragment, which begins at byte `at` of the text, cut at every place of this token that is
    /// allowed; with the places of the pieces.
    fn cut<'t>(
        &self,
        at: usize,
        fragment: Fragment<'t>,
        may: &impl Fn(Range<usize>) -> bool,
    ) -> Vec<(usize, Fragment<'t>)> {
        let Fragment::Text(text) = fragment else {
            return vec![(at, fragment)];
        };
        let len = self.text.needle().len();
        let (mut cut, mut rest, mut from) = (Vec::new(), 0, 0);
        while let Some(found) = self.text.find(&text.as_bytes()[from..]) {
            let found = from + found;
            if !may(at + found..at + found + len) {
                from = found + 1;
                continue;
            }
            cut.extend(between(text, rest, found).map(|f| (at + rest, f)));
            cut.push((at + found, Fragment::Token(self.id)));
            rest = found + len;
            from = rest;
        }
        cut.extend(between(text, rest, text.len()).map(|f| (at + rest, f)));
        cut
    }
}

fn between(text: &str, start: usize, end: usize) -> Option<Fragment<'_>> {
    (start < end).then(|| Fragment::Text(&text[start..end]))
}
