//! Added tokens, which are cut out of a text before anything else looks at it.

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

    /// Cuts `text` at every added token; at control tokens only if asked to.
    ///
    /// One token after the other takes all its places in what the longer ones
    /// have left. Where two overlap the longer wins, even if it begins later.
    pub(super) fn split<'t>(&self, text: &'t str, parse_special: bool) -> Vec<Fragment<'t>> {
        let mut fragments = vec![Fragment::Text(text)];
        for token in &self.0 {
            let wanted = parse_special || !token.control;
            if wanted && token.text.find(text.as_bytes()).is_some() {
                fragments = fragments
                    .into_iter()
                    .flat_map(|fragment| token.cut(fragment))
                    .collect();
            }
        }
        fragments
    }
}

impl SpecialToken {
    /// The fragment, cut at every place of this token.
    fn cut<'t>(&self, fragment: Fragment<'t>) -> Vec<Fragment<'t>> {
        let Fragment::Text(text) = fragment else {
            return vec![fragment];
        };
        let mut cut = Vec::new();
        let mut rest = 0;
        for found in self.text.find_iter(text.as_bytes()) {
            cut.extend(between(text, rest, found));
            cut.push(Fragment::Token(self.id));
            rest = found + self.text.needle().len();
        }
        cut.extend(between(text, rest, text.len()));
        cut
    }
}

fn between(text: &str, start: usize, end: usize) -> Option<Fragment<'_>> {
    (start < end).then(|| Fragment::Text(&text[start..end]))
}
