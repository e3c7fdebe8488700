//! A guide as a mask of one text.

use std::collections::VecDeque;
use std::sync::Arc;

use llguidance::Matcher;
use llguidance::toktrie::SimpleVob;

use super::guide::{Guide, clean};
use crate::engine::{Mask, MaskError, place_of};

/// Sets of tokens that are kept: what was computed for a draft is looked up when it is verified.
const KEPT: usize = 16;

/// Follows one text.
pub(super) struct GuideMask {
    guide: Arc<Guide>,
    /// The tokens that have been followed.
    path: Vec<u32>,
    /// What holds behind them; nothing in free text.
    held: Option<Held>,
    /// Tokens that may follow, by how many stand before.
    sets: VecDeque<(usize, SimpleVob)>,
}

/// A grammar in use.
struct Held {
    /// The mark that it came with, if not from the start.
    mark: Option<usize>,
    /// Tokens before it.
    at: usize,
    /// Tokens before the first one that ends a text, if such a one has been followed: the matcher
    /// stands before it.
    end: Option<usize>,
    matcher: Matcher,
}

impl GuideMask {
    pub(super) fn new(guide: Arc<Guide>) -> GuideMask {
        let held = Held::at_start(&guide);
        GuideMask {
            guide,
            path: Vec::new(),
            held,
            sets: VecDeque::new(),
        }
    }

    /// Goes to a text, from whichever it was at.
    fn go_to(&mut self, text: &[u32]) -> Result<(), MaskError> {
        let both = self.path.iter().zip(text);
        let common = both.take_while(|(a, b)| a == b).count();
        if common < self.path.len() {
            self.go_back(common);
        }
        if let Some(held) = &mut self.held
            && held.matcher.is_error()
        {
            // It failed on a draft that came to nothing, perhaps.
            held.restart(&self.guide, &self.path)?;
        }
        text[common..].iter().try_for_each(|id| self.follow(*id))
    }

    fn go_back(&mut self, to: usize) {
        let from = self.path.len();
        self.path.truncate(to);
        self.sets.retain(|(at, _)| *at <= to);
        match &mut self.held {
            Some(held) if held.at <= to => held.go_back(from, to),
            _ if to == 0 => self.held = Held::at_start(&self.guide),
            _ => self.held = None,
        }
    }

    fn follow(&mut self, id: u32) -> Result<(), MaskError> {
        match &mut self.held {
            Some(_) if self.path.is_empty() && self.guide.opens == Some(id) => self.held = None,
            Some(held) => held.follow(&self.guide, self.path.len(), id)?,
            None => {
                let tokenizer = self.guide.vocabulary.tokenizer();
                let mut tail = self.tail();
                tail.extend(tokenizer.token_bytes(id).unwrap_or_default());
                let mut marks = self.guide.marks.iter();
                let mark = marks.position(|(mark, _)| mark.ends(&tail));
                self.held = mark.map(|mark| Held {
                    mark: Some(mark),
                    at: self.path.len() + 1,
                    end: None,
                    matcher: self.guide.marks[mark].1.deep_clone(),
                });
            }
        }
        self.path.push(id);
        Ok(())
    }

    /// The last bytes of the text, enough to find any mark in.
    fn tail(&self) -> Vec<u8> {
        let marks = self.guide.marks.iter().map(|(mark, _)| mark.len());
        let (wanted, mut found) = (marks.max().unwrap_or(0), 0);
        let tokenizer = self.guide.vocabulary.tokenizer();
        let last = self.path.iter().rev().take_while(|id| {
            let more = found < wanted;
            found += tokenizer.token_bytes(**id).map_or(0, <[u8]>::len);
            more
        });
        let last: Vec<u32> = last.copied().collect();
        let bytes = last
            .iter()
            .rev()
            .filter_map(|id| tokenizer.token_bytes(*id));
        bytes.flatten().copied().collect()
    }

    /// The tokens that the grammar lets follow.
    fn set(&mut self) -> Result<Option<&SimpleVob>, MaskError> {
        let here = self.path.len();
        let Some(held) = &mut self.held else {
            return Ok(None);
        };
        if !self.sets.iter().any(|(at, _)| *at == here) {
            let mut set = match held.end {
                Some(_) => self.guide.vocabulary.ends(),
                None => held.matcher.compute_mask_or_eos().map_err(failure)?,
            };
            if let (0, Some(id)) = (here, self.guide.opens) {
                set.allow_token(id);
            }
            if self.sets.len() == KEPT {
                self.sets.pop_front();
            }
            self.sets.push_back((here, set));
        }
        let set = self.sets.iter().find(|(at, _)| *at == here);
        Ok(set.map(|(_, set)| set))
    }

    /// The tokens that free text must not go on with.
    fn excluded(&self) -> Vec<u32> {
        let tail = self.tail();
        let beyond = self
            .guide
            .marks
            .iter()
            .flat_map(|(mark, _)| mark.beyond(&tail));
        let mut excluded: Vec<u32> = beyond.collect();
        if self.guide.required {
            let tokenizer = self.guide.vocabulary.tokenizer();
            excluded.extend(tokenizer.end_of_text_ids());
        }
        excluded
    }
}

impl Held {
    fn at_start(guide: &Guide) -> Option<Held> {
        let matcher = guide.start.as_ref()?.deep_clone();
        Some(Held {
            mark: None,
            at: 0,
            end: None,
            matcher,
        })
    }

    /// Follows a token with so many before it. What a draft goes on with behind the end of its text
    /// is never looked at.
    fn follow(&mut self, guide: &Guide, before: usize, id: u32) -> Result<(), MaskError> {
        if self.end.is_some() || guide.vocabulary.tokenizer().is_end_of_text(id) {
            self.end.get_or_insert(before);
            return Ok(());
        }
        self.matcher.consume_token(id).map_err(failure)
    }

    /// Goes back from so many tokens to so many.
    fn go_back(&mut self, from: usize, to: usize) {
        let from = self.end.unwrap_or(from);
        self.end = self.end.filter(|end| *end < to);
        // A failure stays with the matcher, and is looked at before it is used again.
        let _ = self.matcher.rollback(from.saturating_sub(to));
    }

    /// Begins anew, and follows the text so far again.
    fn restart(&mut self, guide: &Guide, path: &[u32]) -> Result<(), MaskError> {
        let fresh = match self.mark {
            Some(mark) => Some(&guide.marks[mark].1),
            None => guide.start.as_ref(),
        };
        if let Some(fresh) = fresh {
            self.matcher = fresh.deep_clone();
        }
        self.end = None;
        let mut path = path.iter().enumerate().skip(self.at);
        path.try_for_each(|(before, id)| self.follow(guide, before, *id))
    }
}

impl Mask for GuideMask {
    fn apply(
        &mut self,
        generated: &[u32],
        ids: Option<&[u32]>,
        logits: &mut [f32],
    ) -> Result<(), MaskError> {
        self.go_to(generated)?;
        if let Some(set) = self.set()? {
            keep(set, ids, logits);
            return Ok(());
        }
        for id in self.excluded() {
            let place = place_of(id, ids);
            if let Some(x) = place.and_then(|place| logits.get_mut(place)) {
                *x = f32::NEG_INFINITY;
            }
        }
        Ok(())
    }
}

/// Excludes all tokens but those of a set.
fn keep(set: &SimpleVob, ids: Option<&[u32]>, logits: &mut [f32]) {
    let has = |id: usize| id < set.len() && set.get(id);
    if let Some(ids) = ids {
        for (x, id) in logits.iter_mut().zip(ids) {
            if !has(*id as usize) {
                *x = f32::NEG_INFINITY;
            }
        }
        return;
    }
    // An output layer may be wider than the vocabulary.
    let known = set.len().min(logits.len());
    let (logits, beyond) = logits.split_at_mut(known);
    beyond.fill(f32::NEG_INFINITY);
    for (word, logits) in set.as_slice().iter().zip(logits.chunks_mut(32)) {
        match *word {
            0 => logits.fill(f32::NEG_INFINITY),
            u32::MAX => {}
            word => {
                let bits = (0..32).map(|bit| word & (1 << bit) != 0);
                for (x, _) in logits.iter_mut().zip(bits).filter(|(_, bit)| !bit) {
                    *x = f32::NEG_INFINITY;
                }
            }
        }
    }
}

fn failure(error: impl std::fmt::Display) -> MaskError {
    MaskError(clean(&format!("{error:#}")))
}
