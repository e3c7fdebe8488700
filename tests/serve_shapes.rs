//! The shape of every endpoint's answers: fields, kinds and events, without texts and numbers.

#[path = "support/served.rs"]
mod served;

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use served::{Server, app, greedy};

/// Fields whose texts are of a fixed set, and so a part of the shape.
const KEPT: [&str; 13] = [
    "object",
    "type",
    "role",
    "finish_reason",
    "stop_reason",
    "status",
    "stop_type",
    "owned_by",
    "reason",
    "effort",
    "tool_choice",
    "truncation",
    "event",
];

/// A value with what differs from answer to answer left out, and what is alike in a list told once.
fn shape(key: &str, value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut names: Vec<&String> = fields.keys().collect();
            names.sort();
            let fields = names
                .into_iter()
                .map(|name| (name.clone(), shape(name, &fields[name])));
            Value::Object(fields.collect::<Map<_, _>>())
        }
        Value::Array(elements) => {
            let mut shapes: Vec<Value> = elements.iter().map(|e| shape(key, e)).collect();
            shapes.dedup();
            shapes.into()
        }
        Value::String(_) if !KEPT.contains(&key) => "[text]".into(),
        Value::Number(_) => "[number]".into(),
        other => other.clone(),
    }
}

/// The events of a stream, those alike behind one another once.
fn events(text: &str) -> Value {
    let mut all = Vec::new();
    let mut name = Value::Null;
    for line in text.lines() {
        if let Some(told) = line.strip_prefix("event: ") {
            name = told.into();
        }
        if let Some(data) = line.strip_prefix("data: ") {
            let data = match serde_json::from_str(data) {
                Ok(data) => shape("", &data),
                Err(_) => data.into(),
            };
            all.push(json!({"event": std::mem::take(&mut name), "data": data}));
        }
    }
    all.dedup();
    all.into()
}

fn server() -> Server {
    Server::of(app(greedy(), "qwen3.5", 2))
}

#[track_caller]
fn check(name: &str, shape: &Value) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let text = serde_json::to_string_pretty(&shape).expect("JSON");
    settings.bind(|| insta::assert_snapshot!(format!("serve.{name}"), text));
}

/// Checks an endpoint's answer, and the stream of it.
#[track_caller]
fn check_both(name: &str, path: &str, mut body: Value) {
    let server = server();
    check(name, &shape("", &server.ok(path, &body)));
    body["stream"] = true.into();
    let (status, text) = server.post(path, &body);
    assert_eq!(status, 200, "{text}");
    check(&format!("{name}.stream"), &events(&text));
}

#[test]
fn conversations_have_openais_shape() {
    check_both(
        "chat",
        "/v1/chat/completions",
        json!({
            "messages": [{"role": "user", "content": "Who art thou?"}],
            "max_tokens": 24, "thinking_budget_tokens": 8, "temperature": 0,
            "logprobs": true, "top_logprobs": 1, "stream_options": {"include_usage": true},
        }),
    );
}

#[test]
fn completions_have_openais_shape() {
    check_both(
        "completions",
        "/v1/completions",
        json!({
            "prompt": "ROMEO:", "max_tokens": 4, "temperature": 0, "logprobs": 1,
            "stream_options": {"include_usage": true},
        }),
    );
}

#[test]
fn completions_of_its_own_have_llama_servers_shape() {
    check_both(
        "completion",
        "/completion",
        json!({
            "prompt": "ROMEO:", "n_predict": 4, "temperature": 0, "n_probs": 1,
        }),
    );
}

#[test]
fn responses_have_openais_shape() {
    check_both(
        "responses",
        "/v1/responses",
        json!({
            "input": "Who art thou?", "max_output_tokens": 24, "thinking_budget_tokens": 8,
            "temperature": 0, "tools": [{"type": "function", "name": "f", "parameters": {}}],
        }),
    );
}

#[test]
fn messages_have_anthropics_shape() {
    check_both(
        "messages",
        "/v1/messages",
        json!({
            "messages": [{"role": "user", "content": "Who art thou?"}],
            "max_tokens": 24, "thinking": {"type": "enabled", "budget_tokens": 8}, "temperature": 0,
        }),
    );
}

#[test]
fn what_is_asked_about_the_model_has_llama_servers_shape() {
    let server = server();
    let conversation = json!({"messages": [{"role": "user", "content": "Hail!"}]});
    let posts = [
        ("/v1/messages/count_tokens", conversation.clone()),
        ("/apply-template", conversation),
        (
            "/tokenize",
            json!({"content": "Hail!", "with_pieces": true}),
        ),
        ("/detokenize", json!({"tokens": [1, 2]})),
    ];
    let posts = posts
        .iter()
        .map(|(path, body)| (path.to_string(), shape("", &server.ok(path, body))));
    let gets = [
        "/health",
        "/v1/models",
        "/v1/models/tiny",
        "/props",
        "/slots",
    ];
    let gets = gets.iter().map(|path| {
        let (status, text) = server.get(path);
        assert_eq!(status, 200, "{path}: {text}");
        let value = serde_json::from_str(&text).expect("JSON");
        (path.to_string(), shape("", &value))
    });
    check("about", &Value::Object(posts.chain(gets).collect()));
    let (_, metrics) = server.get("/metrics");
    let names = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "));
    check("metrics", &names.collect::<Value>());
}

#[test]
fn a_slot_tells_what_its_request_does() {
    let server = server();
    let slots = std::thread::scope(|scope| {
        let long = scope.spawn(|| {
            server.ok(
                "/completion",
                &json!({
                    "prompt": "ROMEO:", "n_predict": 450, "ignore_eos": true, "seed": 7,
                }),
            )
        });
        let slots = loop {
            let (_, text) = server.get("/slots");
            let slots: Value = serde_json::from_str(&text).expect("JSON");
            if slots[0]["n_decoded"].as_u64().is_some_and(|n| n > 0) {
                break slots;
            }
            assert!(!long.is_finished(), "it ended before it was seen");
        };
        long.join().expect("an answer");
        slots
    });
    let busy = &slots[0];
    assert_eq!(busy["id_task"], 0);
    assert_eq!(
        busy["n_past"].as_u64(),
        Some(busy["n_prompt_tokens"].as_u64().unwrap() + busy["n_decoded"].as_u64().unwrap(),)
    );
    assert_eq!(busy["params"]["seed"], 7);
    assert_eq!(slots[1]["is_processing"], false);
    check("slots", &shape("", &slots));
    // The slots are those of the last step, and the answer ends within one.
    let deadline = Instant::now() + Duration::from_secs(10);
    while server.get("/slots").1.contains("\"is_processing\":true") {
        assert!(Instant::now() < deadline, "the slot is never free");
    }
}

#[test]
fn errors_have_the_shape_of_their_api() {
    let server = server();
    let told = ["/v1/chat/completions", "/v1/responses", "/v1/messages"].map(|path| {
        let (status, text) = server.post(path, &json!({}));
        assert_eq!(status, 400, "{text}");
        (
            path.to_string(),
            shape("", &serde_json::from_str(&text).expect("JSON")),
        )
    });
    check("errors", &Value::Object(told.into_iter().collect()));
}
