//! All that holds an answer, as a receipt writes it down.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::budget::ReasoningBudget;
use super::error::GuideError;
use super::guide::{Guide, Plan};
use super::vocabulary::GuideVocabulary;
use crate::engine::Mask;
use crate::tokenizer::Tokenizer;

sharpi_passes::option_struct! {
    /// What an answer is held to: by default to nothing.
    #[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct Form {
        /// The grammars that hold.
        pub plan: Option<Plan> = None,
        /// How long it may reason.
        pub reasoning: Option<ReasoningBudget> = None,
    }
}

impl Form {
    /// The mask of one text whose [`plan`](Form::plan) has been compiled to `guide`; `None` if nothing
    /// holds it.
    pub fn mask(
        &self,
        guide: Option<&Arc<Guide>>,
        tokenizer: &Arc<Tokenizer>,
    ) -> Option<Box<dyn Mask + Send>> {
        let inner = guide.map(Guide::mask);
        match self.reasoning {
            Some(budget) => Some(budget.mask(tokenizer, inner)),
            None => inner,
        }
    }

    /// Compiles the plan for one text alone, and gives its mask.
    ///
    /// # Errors
    /// As [`GuideVocabulary::new`] and [`Guide::new`].
    pub fn compile(
        &self,
        tokenizer: &Arc<Tokenizer>,
    ) -> Result<Option<Box<dyn Mask + Send>>, GuideError> {
        let compile = |plan| {
            let vocabulary = Arc::new(GuideVocabulary::new(tokenizer.clone())?);
            Guide::new(&vocabulary, plan).map(Arc::new)
        };
        let guide = self.plan.as_ref().map(compile).transpose()?;
        Ok(self.mask(guide.as_ref(), tokenizer))
    }
}
