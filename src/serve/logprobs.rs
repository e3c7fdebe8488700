//! How likely tokens were.

use serde_json::{Value, json};

use super::app::App;
use crate::engine::Token;

/// OpenAI's account of a token and of the best ones in its place.
pub(super) fn logprob(app: &App, token: &Token, top: usize) -> Value {
    let one = |id: u32, logprob: f32| {
        let bytes = app.tokenizer.token_bytes(id).unwrap_or_default();
        json!({
            "id": id,
            "token": String::from_utf8_lossy(bytes),
            "bytes": bytes,
            // JSON knows no infinity.
            "logprob": logprob.max(f32::MIN),
        })
    };
    let best = token.top.iter().take(top);
    let best: Vec<Value> = best
        .map(|(id, logit)| one(*id, logit - token.log_sum))
        .collect();
    let mut told = one(token.id, token.logprob);
    told["top_logprobs"] = best.into();
    told
}

/// What is told of tokens: lists side by side, as OpenAI has it here, and llama-server's `content`.
/// `offset` is where the first of them begins in the text, in characters.
pub(super) fn logprobs(app: &App, tokens: &[Token], top: usize, offset: &mut usize) -> Value {
    let content: Vec<Value> = tokens.iter().map(|t| logprob(app, t, top)).collect();
    let each = |field: &str| content.iter().map(|t| t[field].clone()).collect::<Value>();
    let best = content.iter().map(|token| {
        let best = token["top_logprobs"].as_array().into_iter().flatten();
        let best = best.map(|one| {
            let text = one["token"].as_str().unwrap_or_default();
            (text.to_string(), one["logprob"].clone())
        });
        Value::Object(best.collect())
    });
    let offsets = content.iter().map(|token| {
        let text = token["token"].as_str().unwrap_or_default();
        std::mem::replace(offset, *offset + text.chars().count())
    });
    json!({
        "text_offset": offsets.collect::<Vec<_>>(),
        "tokens": each("token"),
        "token_logprobs": each("logprob"),
        "top_logprobs": best.collect::<Vec<_>>(),
        "content": content,
    })
}
