//! `/slots`: what each of the requests does that run at a time.

use axum::Json;
use axum::extract::{Query, State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::app::App;
use super::error::ApiError;
use crate::engine::Progress;

#[derive(Deserialize)]
pub(super) struct Asked {
    /// Whether to answer 503 while all slots are taken.
    #[serde(default)]
    fail_on_no_slot: Option<String>,
}

pub(super) async fn slots(
    State(app): State<App>,
    Query(asked): Query<Asked>,
) -> Result<Json<Value>, ApiError> {
    if !app.options.slots {
        return Err(ApiError::unsupported(
            "start the server without --no-slots to see them",
        ));
    }
    let running = app.engine.progress();
    let most = app.engine.options().parallel;
    if asked.fail_on_no_slot.is_some() && running.len() >= most {
        return Err(ApiError::unavailable("no slot available"));
    }
    let slots = (0..most).map(|id| match running.iter().find(|one| one.slot == id) {
        Some(one) => busy(one),
        None => json!({
            "id": id,
            "n_ctx": app.engine.options().context,
            "is_processing": false,
            "speculative": app.engine.can_draft(),
        }),
    });
    Ok(Json(slots.collect()))
}

fn busy(one: &Progress) -> Value {
    let sampler = &one.sampler;
    let most = one.max_tokens.map_or(-1, |n| n as i64);
    let left = one
        .max_tokens
        .map_or(-1, |n| n.saturating_sub(one.generated_tokens) as i64);
    json!({
        "id": one.slot,
        "id_task": one.request,
        "n_ctx": one.context,
        "is_processing": true,
        "speculative": one.drafts > 0,
        "n_prompt_tokens": one.prompt_tokens,
        "n_prompt_tokens_processed": one.prompt_done - one.remembered_tokens.min(one.prompt_done),
        "n_prompt_tokens_cache": one.remembered_tokens,
        "n_past": one.prompt_done + one.generated_tokens,
        "n_decoded": one.generated_tokens,
        "params": {
            "n_predict": most,
            "max_tokens": most,
            "seed": sampler.seed,
            "temperature": sampler.temp,
            "top_k": sampler.top_k,
            "top_p": sampler.top_p,
            "min_p": sampler.min_p,
            "repeat_penalty": sampler.repeat_penalty,
            "repeat_last_n": i64::try_from(sampler.repeat_last_n).unwrap_or(-1),
            "presence_penalty": sampler.presence_penalty,
            "frequency_penalty": sampler.frequency_penalty,
            "speculative.n_max": one.drafts,
        },
        "next_token": [{
            "has_next_token": left != 0,
            "n_remain": left,
            "n_decoded": one.generated_tokens,
        }],
    })
}
