//! A bound of how much a model thinks before it speaks.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::engine::{Mask, MaskError, place_of};
use crate::tokenizer::Tokenizer;

/// What ends reasoning, as templates write it.
const END: &str = "\n</think>\n\n";
/// Where reasoning ends by itself.
const ENDS: [&str; 2] = ["</think>", "<tool_call>"];
/// What begins it.
const BEGIN: &str = "<think>";
/// Tokens among which [`BEGIN`] is looked for.
const BEGIN_WITHIN: usize = 8;
/// Most further tokens that a character may take which the budget cuts.
const REST: usize = 3;

/// How long an answer may reason.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReasoningBudget {
    /// Most tokens of it; it ends behind the last one, or behind the character which that one is part
    /// of.
    pub tokens: usize,
    /// Whether the answer begins within reasoning.
    pub begun: bool,
}

impl ReasoningBudget {
    /// The mask of one text, which leaves all else to `inner`.
    pub(super) fn mask(
        self,
        tokenizer: &Arc<Tokenizer>,
        inner: Option<Box<dyn Mask + Send>>,
    ) -> Box<dyn Mask + Send> {
        Box::new(Budget {
            tokens: self.tokens,
            begun: self.begun,
            end: tokenizer.encode(END, true),
            tokenizer: tokenizer.clone(),
            inner,
        })
    }
}

/// Ends reasoning once it has had its tokens, and leaves all else to another mask.
struct Budget {
    tokens: usize,
    /// Whether the answer begins within reasoning.
    begun: bool,
    /// The tokens of [`END`].
    end: Vec<u32>,
    tokenizer: Arc<Tokenizer>,
    inner: Option<Box<dyn Mask + Send>>,
}

impl Mask for Budget {
    fn apply(
        &mut self,
        generated: &[u32],
        ids: Option<&[u32]>,
        logits: &mut [f32],
    ) -> Result<(), MaskError> {
        if let Some(inner) = &mut self.inner {
            inner.apply(generated, ids, logits)?;
        }
        let Some(forced) = self.forced(generated) else {
            return Ok(());
        };
        let place = place_of(forced, ids);
        let kept = place.and_then(|place| logits.get(place).copied());
        logits.fill(f32::NEG_INFINITY);
        if let (Some(place), Some(kept)) = (place, kept) {
            logits[place] = if kept.is_finite() { kept } else { 0.0 };
        }
        Ok(())
    }
}

impl Budget {
    /// The token that must come next. It is found from the tokens alone, for drafts are tried and
    /// taken back.
    fn forced(&self, generated: &[u32]) -> Option<u32> {
        // Nothing is decoded while the budget lasts, or once it is over for sure.
        let most = BEGIN_WITHIN + self.tokens.saturating_add(REST + self.end.len());
        if !(self.tokens..most).contains(&generated.len()) {
            return None;
        }
        let thought = &generated[self.begin(generated)?..];
        let whole = |n: &usize| thought.get(..*n).is_some_and(|t| self.is_whole(t));
        let last = self.tokens + REST;
        let cut = (self.tokens..last).find(whole).unwrap_or(last);
        let text = self.tokenizer.decode(thought.get(..cut)?, true);
        match ENDS.iter().any(|end| text.contains(end)) {
            true => None,
            false => self.end.get(thought.len() - cut).copied(),
        }
    }

    /// Where reasoning begins, if it does.
    fn begin(&self, generated: &[u32]) -> Option<usize> {
        let begins = |n: &usize| {
            let text = self.tokenizer.decode(&generated[..*n], true);
            text.trim_start().starts_with(BEGIN)
        };
        match self.begun {
            true => Some(0),
            false => (1..=BEGIN_WITHIN.min(generated.len())).find(begins),
        }
    }

    /// Whether the tokens end where a character ends.
    fn is_whole(&self, tokens: &[u32]) -> bool {
        let bytes: Vec<u8> = tokens
            .iter()
            .flat_map(|id| self.tokenizer.token_bytes(*id).unwrap_or_default())
            .copied()
            .collect();
        match std::str::from_utf8(&bytes) {
            Ok(_) => true,
            Err(error) => error.error_len().is_some(),
        }
    }
}

#[cfg(all(test, feature = "embedded"))]
mod tests {
    use super::*;
    use crate::Model;

    fn tokenizer() -> Arc<Tokenizer> {
        Arc::new(Model::embedded().unwrap().tokenizer().unwrap())
    }

    fn budget(tokens: usize, begun: bool) -> Budget {
        let tokenizer = tokenizer();
        Budget {
            tokens,
            begun,
            end: tokenizer.encode(END, true),
            tokenizer,
            inner: None,
        }
    }

    /// What is forced behind a text, token by token, until nothing is.
    fn forced(budget: &Budget, text: &str) -> String {
        let mut ids = budget.tokenizer.encode(text, true);
        let first = ids.len();
        while let Some(id) = budget.forced(&ids) {
            ids.push(id);
        }
        budget.tokenizer.decode(&ids[first..], true)
    }

    #[test]
    fn reasoning_ends_when_its_tokens_are_used_up() {
        let tokens = budget(0, true)
            .tokenizer
            .encode("To be, or not", true)
            .len();
        assert_eq!(forced(&budget(tokens, true), "To be, or not"), END);
        assert_eq!(forced(&budget(tokens + 1, true), "To be, or not"), "");
        assert_eq!(forced(&budget(0, true), ""), END);
        let begun = budget(0, false);
        assert_eq!(forced(&begun, "To be, or not"), "");
        let marks = begun.tokenizer.encode(BEGIN, true).len();
        if marks <= BEGIN_WITHIN {
            assert_eq!(forced(&begun, BEGIN), END);
        }
    }

    #[test]
    fn what_has_ended_by_itself_is_left_alone() {
        for end in ENDS {
            let text = format!("To{end}");
            let tokens = budget(0, true).tokenizer.encode(&text, true).len();
            assert_eq!(forced(&budget(tokens, true), &text), "");
        }
    }

    #[test]
    fn a_character_is_not_cut() {
        let all = budget(0, true);
        let ids = all.tokenizer.encode("\u{1F600}", true);
        let whole = budget(1, true);
        for n in 1..ids.len() {
            assert_eq!(whole.forced(&ids[..n]), None, "after {n} of {ids:?}");
        }
        assert_eq!(whole.forced(&ids), Some(whole.end[0]));
    }

    #[test]
    fn the_token_that_is_forced_is_the_only_one_left() {
        let mut budget = budget(0, true);
        let mut logits = vec![1.0; budget.tokenizer.len()];
        budget.apply(&[], None, &mut logits).unwrap();
        let left: Vec<usize> = (0..logits.len())
            .filter(|i| logits[*i].is_finite())
            .collect();
        assert_eq!(left, [budget.end[0] as usize]);
    }
}
