//! How much a model thinks before it speaks, and where that goes.

use super::app::App;
use super::error::ApiError;
use super::tokens::Turns;
use crate::conversation::{ChatPrompt, ReasoningFormat};
use crate::guide::ReasoningBudget;

/// Efforts that clients ask for; `none` is no reasoning at all, the others are the template's to read.
const EFFORTS: [&str; 7] = ["none", "minimal", "low", "medium", "high", "xhigh", "max"];

/// Where the reasoning of an answer goes.
pub(super) fn format(app: &App, turns: &Turns) -> Result<ReasoningFormat, ApiError> {
    match &turns.reasoning_format {
        None => Ok(app.options.reasoning_format),
        Some(name) => ReasoningFormat::named(name).ok_or_else(|| {
            ApiError::invalid(format!(
                "`reasoning_format` is {name}, expected none, auto or deepseek"
            ))
        }),
    }
}

/// How much is to be thought, by the name that the client gives it.
pub(super) fn effort(turns: &Turns) -> Result<Option<&str>, ApiError> {
    let effort = turns.reasoning_effort.as_deref();
    match effort.filter(|effort| !EFFORTS.contains(effort)) {
        None => Ok(effort),
        Some(other) => Err(ApiError::invalid(format!(
            "`reasoning_effort` is {other}, expected one of {}",
            EFFORTS.join(", ")
        ))),
    }
}

/// Most tokens of reasoning; `None` for no bound.
pub(super) fn budget(app: &App, turns: &Turns) -> Option<usize> {
    match turns.thinking_budget_tokens {
        None => app.options.reasoning_budget,
        Some(tokens) => usize::try_from(tokens).ok(),
    }
}

/// The bound of an answer's reasoning, if it has one.
pub(super) fn bound(app: &App, turns: &Turns, prompt: &ChatPrompt) -> Option<ReasoningBudget> {
    let format = app.template.format_after(prompt);
    let tokens = budget(app, turns).filter(|_| format.reasoning)?;
    Some(ReasoningBudget {
        tokens,
        begun: format.starts_in_reasoning,
    })
}
