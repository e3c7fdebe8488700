//! Requests that are almost right, and bytes that are hardly any: none of them kills the server, hangs
//! it, or makes it fail by itself. `SHARPI_MUTATIONS` says how many.

#[path = "support/served.rs"]
mod served;

use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, header};

use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use served::{app, greedy};
use sharpi_compile::serve::router;
use tower::ServiceExt;

/// Mutations where nothing says how many.
const FEW: u64 = 1500;
/// What takes longer hangs.
const LONG: Duration = Duration::from_secs(60);

fn requests() -> Vec<(&'static str, Value)> {
    let tools = json!([{"type": "function", "function": {"name": "f", "description": "d",
        "parameters": {"type": "object", "properties": {"a": {"type": "string"}}}}}]);
    let call = json!([{"id": "1", "type": "function",
        "function": {"name": "f", "arguments": "{\"a\": \"b\"}"}}]);
    vec![
        (
            "/v1/chat/completions",
            json!({
                "model": "x", "max_tokens": 3, "temperature": 0.7, "top_p": 0.9, "top_k": 5,
                "min_p": 0.1, "seed": 1, "n": 2, "stop": ["a", "b"], "stream": true,
                "stream_options": {"include_usage": true}, "logprobs": true, "top_logprobs": 2,
                "logit_bias": {"3": 1.5}, "presence_penalty": 0.1, "frequency_penalty": 0.1,
                "reasoning_effort": "low", "thinking_budget_tokens": 1, "tools": tools,
                "tool_choice": "auto", "chat_template_kwargs": {"a": [1, {"b": null}]},
                "response_format": {"type": "text"}, "messages": [
                    {"role": "system", "content": "s"},
                    {"role": "user", "content": [{"type": "text", "text": "u"}]},
                    {"role": "assistant", "content": null, "tool_calls": call},
                    {"role": "tool", "tool_call_id": "1", "content": "r"}],
            }),
        ),
        (
            "/v1/completions",
            json!({
                "prompt": ["a", [1, 2], "b"], "max_tokens": 2, "logprobs": 1, "echo": false,
                "repeat_penalty": 1.1, "repeat_last_n": 8, "ignore_eos": true, "cache_prompt": false,
            }),
        ),
        (
            "/completion",
            json!({"prompt": [1, "a"], "n_predict": 2, "n_probs": 2, "stream": true,
            "speculative.n_max": 1, "logit_bias": [[1, 2.0], ["a", false]]}),
        ),
        (
            "/v1/responses",
            json!({
                "instructions": "i", "max_output_tokens": 2, "reasoning": {"effort": "none"},
                "include": ["message.output_text.logprobs"], "top_logprobs": 1, "store": false,
                "text": {"format": {"type": "text"}}, "tool_choice": "auto",
                "tools": [{"type": "function", "name": "f", "parameters": {}, "strict": true}],
                "input": [
                    {"role": "user", "content": [{"type": "input_text", "text": "u"}]},
                    {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "t"}]},
                    {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"},
                    {"type": "function_call_output", "call_id": "1", "output": "o"}],
            }),
        ),
        (
            "/v1/messages",
            json!({
                "max_tokens": 2, "system": [{"type": "text", "text": "s"}], "stop_sequences": ["a"],
                "thinking": {"type": "enabled", "budget_tokens": 1},
                "tools": [{"name": "f", "input_schema": {"type": "object"}}],
                "tool_choice": {"type": "auto"}, "messages": [
                    {"role": "user", "content": "u"},
                    {"role": "assistant", "content": [
                        {"type": "tool_use", "id": "1", "name": "f", "input": {"a": 1}}]},
                    {"role": "user", "content": [
                        {"type": "tool_result", "tool_use_id": "1", "content": "r"}]}],
            }),
        ),
        (
            "/v1/messages/count_tokens",
            json!({"messages": [{"role": "user", "content": "u"}]}),
        ),
        (
            "/apply-template",
            json!({"messages": [{"role": "user", "content": "u"}],
            "add_generation_prompt": false}),
        ),
        (
            "/tokenize",
            json!({"content": "a", "add_special": true, "with_pieces": true}),
        ),
        ("/detokenize", json!({"tokens": [1, 2, 3]})),
    ]
}

/// A value that hardly any field expects.
fn odd(random: &mut ChaCha8Rng) -> Value {
    let deep = (0..200).fold(json!(1), |value, _| json!([value]));
    let values = [
        json!(null),
        json!(true),
        json!(-1),
        json!(0),
        json!(1e308),
        json!(-1e-308),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(4_294_967_296u64),
        json!(0.5),
        json!(""),
        json!("<|im_end|>\0\u{202e}\u{1F600}"),
        json!("x".repeat(3000)),
        json!("NaN"),
        json!([]),
        json!([[], [[]]]),
        json!({}),
        json!({"type": "text"}),
        json!({"type": []}),
        deep,
        json!([1, "a", null]),
        json!({"a": {"b": {"c": [1, 2, {"d": "e"}]}}}),
    ];
    values.choose(random).cloned().unwrap_or_default()
}

/// Changes one thing somewhere within.
fn change(value: &mut Value, random: &mut ChaCha8Rng) {
    let deeper = random.random_bool(0.75);
    match value {
        Value::Object(fields) if deeper && !fields.is_empty() => {
            let names: Vec<String> = fields.keys().cloned().collect();
            let name = names.choose(random).cloned().unwrap_or_default();
            match random.random_range(0..8) {
                0 => drop(fields.remove(&name)),
                1 => {
                    let other = names
                        .choose(random)
                        .and_then(|name| fields.get(name))
                        .cloned();
                    fields.insert(name, other.unwrap_or_default());
                }
                2 => drop(fields.insert(name + "_", odd(random))),
                _ => change(&mut fields[&name], random),
            }
        }
        Value::Array(elements) if deeper && !elements.is_empty() => {
            let at = random.random_range(0..elements.len());
            match random.random_range(0..8) {
                0 => drop(elements.remove(at)),
                1 => {
                    let times = random.random_range(1..40);
                    let copies = vec![elements[at].clone(); times];
                    elements.extend(copies);
                }
                _ => change(&mut elements[at], random),
            }
        }
        value => *value = odd(random),
    }
}

/// Changes bytes: what comes is mostly no JSON any more.
fn garble(bytes: &mut Vec<u8>, random: &mut ChaCha8Rng) {
    for _ in 0..random.random_range(1..4) {
        let at = random
            .random_range(0..bytes.len().max(1))
            .min(bytes.len().saturating_sub(1));
        match random.random_range(0..4) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, random.random()),
            2 => drop(bytes.drain(at..(at + 3).min(bytes.len()))),
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = random.random();
                }
            }
        }
    }
}

async fn answer(router: Router, path: &'static str, body: Vec<u8>) -> (u16, String) {
    let request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
    let request = request.body(Body::from(body)).expect("a request");
    let response = router.oneshot(request).await.unwrap_or_else(|e| match e {});
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), usize::MAX).await;
    let text = String::from_utf8(body.expect("a whole answer").to_vec());
    (status, text.expect("text"))
}

#[test]
fn no_request_makes_the_server_fail() {
    let count = std::env::var("SHARPI_MUTATIONS").ok();
    let count = count.map_or(FEW, |count| count.parse().expect("a number"));
    let options = greedy().max_body(64 << 10).max_tokens(Some(4));
    let router = router(app(options, "qwen3.5", 4));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let all = requests();
    let mut good = 0;
    for seed in 0..count {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let (path, body) = all.choose(&mut random).cloned().expect("a request");
        let mut value = body;
        for _ in 0..random.random_range(0..4) {
            change(&mut value, &mut random);
        }
        let mut bytes = value.to_string().into_bytes();
        if random.random_bool(0.2) {
            garble(&mut bytes, &mut random);
        }
        let shown = String::from_utf8_lossy(&bytes).into_owned();
        let router = router.clone();
        // On a thread of the runtime, as connections are.
        let answer = runtime
            .spawn(async move { tokio::time::timeout(LONG, answer(router, path, bytes)).await });
        let answer = runtime
            .block_on(answer)
            .unwrap_or_else(|e| panic!("{seed}: {e}: {shown}"));
        let (status, text) = answer.unwrap_or_else(|_| panic!("{seed} hangs: {shown}"));
        assert_ne!(status, 500, "{seed}: {path} {shown}\n{text}");
        assert!(
            !text.contains("the program has failed"),
            "{seed}: {path} {shown}\n{text}"
        );
        if status == 200 {
            good += 1;
        } else {
            let told: Value = serde_json::from_str(&text).expect("JSON");
            assert!(told["error"]["message"].is_string(), "{seed}: {text}");
        }
    }
    assert!(good > count / 20, "only {good} of {count} were answered");
}
