//! Grammars compiled for a vocabulary.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use llguidance::Matcher;
use llguidance::api::TopLevelGrammar;
use serde::{Deserialize, Serialize};

use super::error::GuideError;
use super::grammar::Grammar;
use super::mark::Mark;
use super::mask::GuideMask;
use super::vocabulary::GuideVocabulary;
use super::{limits, place};
use crate::engine::Mask;

sharpi_passes::option_struct! {
    /// Which grammar holds from where on.
    #[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct Plan {
        /// What holds from the first token on; none if text is free at first.
        pub start: Option<Grammar> = None,
        /// A token that may come first instead of what `start` begins with; free text follows it.
        pub opens: Option<u32> = None,
        /// Free text ends at the first of these marks, behind which a grammar holds to the end.
        pub marks: Vec<(String, Grammar)> = Vec::new(),
        /// Whether free text must not be the end: one of the marks has to come.
        pub required: bool = false,
    }
}

/// Grammars that are ready to be followed.
pub struct Guide {
    pub(super) vocabulary: Arc<GuideVocabulary>,
    pub(super) start: Option<Matcher>,
    pub(super) opens: Option<u32>,
    pub(super) marks: Vec<(Arc<Mark>, Matcher)>,
    pub(super) required: bool,
}

impl Guide {
    /// Compiles a plan, in a thread of its own.
    ///
    /// # Errors
    /// A grammar that is wrong, too large, or of which no text comes.
    pub fn new(vocabulary: &Arc<GuideVocabulary>, plan: &Plan) -> Result<Guide, GuideError> {
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().stack_size(limits::STACK);
            let compile = || Guide::compile(vocabulary, plan);
            let thread = thread.spawn_scoped(scope, compile);
            let thread = thread.map_err(|error| GuideError::Vocabulary(error.to_string()))?;
            let failed = |_| GuideError::Invalid("the grammar cannot be compiled".into());
            thread.join().map_err(failed)?
        })
    }

    fn compile(vocabulary: &Arc<GuideVocabulary>, plan: &Plan) -> Result<Guide, GuideError> {
        let start = plan
            .start
            .as_ref()
            .map(|grammar| matcher(vocabulary, grammar));
        let marks = plan
            .marks
            .iter()
            .map(|(text, grammar)| Ok((vocabulary.mark(text), matcher(vocabulary, grammar)?)));
        Ok(Guide {
            marks: marks.collect::<Result<_, GuideError>>()?,
            start: start.transpose()?,
            opens: plan.opens,
            required: plan.required,
            vocabulary: vocabulary.clone(),
        })
    }

    /// The vocabulary that it is for.
    pub fn vocabulary(&self) -> &GuideVocabulary {
        &self.vocabulary
    }

    /// A mask for one text.
    pub fn mask(self: &Arc<Guide>) -> Box<dyn Mask + Send> {
        Box::new(GuideMask::new(self.clone()))
    }
}

impl std::fmt::Debug for Guide {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guide").finish_non_exhaustive()
    }
}

fn matcher(vocabulary: &GuideVocabulary, grammar: &Grammar) -> Result<Matcher, GuideError> {
    let compiled = matcher_of(vocabulary, grammar.lower(vocabulary)?);
    if let (Err(fault), Some(looser)) = (&compiled, grammar.looser()) {
        tracing::debug!("{} is held to loosely: {fault}", grammar.kind());
        return matcher(vocabulary, &looser);
    }
    compiled.map_err(|fault| {
        let place = place::of(vocabulary, grammar);
        let place = place.map_or(String::new(), |place| format!(", at {place}"));
        GuideError::Invalid(format!("{}: {fault}{place}", grammar.kind()))
    })
}

/// A parser at the start of a grammar from which at least one token leads on.
pub(super) fn matcher_of(
    vocabulary: &GuideVocabulary,
    grammar: TopLevelGrammar,
) -> Result<Matcher, String> {
    let compile = || {
        let mut matcher = Matcher::new(vocabulary.factory.create_parser(grammar));
        // It finds out what the first token may be, which all texts share.
        let first = matcher.compute_mask_or_eos();
        first
            .map(|_| matcher)
            .map_err(|error| clean(&format!("{error:#}")))
    };
    let compiled = catch_unwind(AssertUnwindSafe(compile));
    compiled.unwrap_or_else(|_| Err("it cannot be compiled".into()))
}

/// A message of the parser without what only its authors can use.
pub(super) fn clean(message: &str) -> String {
    let message = message.split("\n<").next().unwrap_or_default();
    let message = message.strip_prefix("panic: ").unwrap_or(message).trim();
    match message {
        "NoExtensionBias" | "NoExtension" => "no token can follow, so no text satisfies it".into(),
        "" => "it cannot be followed".into(),
        message => message.into(),
    }
}
