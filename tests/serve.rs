//! The server as its clients see it.

#[path = "serve/forms.rs"]
mod forms;
#[path = "serve/load.rs"]
mod load;
#[path = "support/served.rs"]
mod served;
mod support;

use std::sync::Arc;

use serde_json::{Value, json};
use served::{Server, agent, greedy, text};
use sharpi_compile::generate::GenerateOptions;
use sharpi_compile::receipt::{Receipt, Replay, Verdict};
use sharpi_compile::{CompileOptions, Model, Session, SessionOptions};

fn ask(text: &str) -> Value {
    json!({
        "model": "any",
        "messages": [{"role": "user", "content": text}],
        "max_tokens": 24,
    })
}

#[test]
fn a_conversation_is_answered_whole_or_in_pieces_with_the_same_text() {
    let server = Server::start(greedy());
    let whole = server.ok("/v1/chat/completions", &ask("Who art thou?"));
    let choice = &whole["choices"][0];
    let content = choice["message"]["content"].as_str().expect("content");
    assert!(!content.is_empty());
    assert_eq!(whole["object"], "chat.completion");
    assert_eq!(whole["model"], "tiny");
    assert!(["stop", "length"].contains(&choice["finish_reason"].as_str().unwrap()));
    let usage = &whole["usage"];
    let sum =
        usage["prompt_tokens"].as_u64().unwrap() + usage["completion_tokens"].as_u64().unwrap();
    assert_eq!(usage["total_tokens"], sum);
    let mut body = ask("Who art thou?");
    body["stream"] = true.into();
    body["stream_options"] = json!({"include_usage": true});
    let chunks = server.stream("/v1/chat/completions", &body);
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
    let pieces = chunks
        .iter()
        .filter_map(|c| c["choices"][0]["delta"]["content"].as_str());
    assert_eq!(pieces.collect::<String>(), content);
    let last = chunks.last().unwrap();
    assert_eq!(
        last["usage"]["completion_tokens"],
        usage["completion_tokens"]
    );
    // The same prompt again is remembered.
    assert_eq!(
        last["usage"]["prompt_tokens_details"]["cached_tokens"],
        usage["prompt_tokens"]
    );
    assert_eq!(
        chunks[chunks.len() - 2]["choices"][0]["finish_reason"],
        choice["finish_reason"]
    );
}

#[test]
fn several_choices_have_seeds_of_their_own_and_logarithms_are_told() {
    let server = Server::start(greedy());
    let mut body = ask("Sing.");
    for (key, value) in [
        ("n", json!(3)),
        ("temperature", json!(1.2)),
        ("seed", json!(5)),
        ("logprobs", json!(true)),
        ("top_logprobs", json!(2)),
    ] {
        body[key] = value;
    }
    let answer = server.ok("/v1/chat/completions", &body);
    let choices = answer["choices"].as_array().unwrap();
    assert_eq!(choices.len(), 3);
    assert_ne!(choices[0]["message"], choices[1]["message"]);
    for choice in choices {
        for token in choice["logprobs"]["content"].as_array().unwrap() {
            assert!(token["logprob"].as_f64().unwrap() <= 0.0);
            let best = token["top_logprobs"].as_array().unwrap();
            assert_eq!(best.len(), 2);
            assert!(best[0]["logprob"].as_f64() >= token["logprob"].as_f64());
        }
    }
    body["seed"] = 6.into();
    body["n"] = 1.into();
    let second = server.ok("/v1/chat/completions", &body);
    assert_eq!(second["choices"][0]["message"], choices[1]["message"]);
}

#[test]
fn anthropics_clients_get_their_own_form() {
    let server = Server::start(greedy());
    let body = json!({
        "model": "any",
        "max_tokens": 16,
        "system": [{"type": "text", "text": "Be brief."}],
        "messages": [
            {"role": "user", "content": "Good morrow!"},
            {"role": "assistant", "content": [{"type": "text", "text": "And to thee."}]},
            {"role": "user", "content": [{"type": "text", "text": "How now?"}]},
        ],
    });
    let whole = server.ok("/v1/messages", &body);
    assert_eq!(
        (&whole["type"], &whole["role"]),
        (&json!("message"), &json!("assistant"))
    );
    let content = whole["content"][0]["text"].as_str().expect("text");
    let count = server.ok("/v1/messages/count_tokens", &body);
    let usage = &whole["usage"];
    let read = usage["input_tokens"].as_u64().unwrap()
        + usage["cache_read_input_tokens"].as_u64().unwrap();
    assert_eq!(count["input_tokens"], read);
    let mut streamed = body.clone();
    streamed["stream"] = true.into();
    let events = server.stream("/v1/messages", &streamed);
    let kinds: Vec<&str> = events.iter().filter_map(|e| e["type"].as_str()).collect();
    assert_eq!(kinds[..2], ["message_start", "content_block_start"]);
    assert_eq!(
        kinds[kinds.len() - 3..],
        ["content_block_stop", "message_delta", "message_stop"]
    );
    let deltas = events.iter().filter_map(|e| e["delta"]["text"].as_str());
    assert_eq!(deltas.collect::<String>(), content);
    let mut tool = body;
    tool["tool_choice"] = json!({"type": "any"});
    let (status, text) = server.post("/v1/messages", &tool);
    assert_eq!(status, 400, "{text}");
    let told: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(told["type"], "error", "{text}");
    assert_eq!(told["error"]["type"], "invalid_request_error", "{text}");
}

#[test]
fn llama_servers_own_endpoints_answer() {
    let server = Server::start(greedy());
    assert_eq!(server.get("/health"), (200, r#"{"status":"ok"}"#.into()));
    let tokens = server.ok("/tokenize", &json!({"content": "ROMEO: hail!"}));
    let text = server.ok("/detokenize", &tokens);
    assert_eq!(text["content"], "ROMEO: hail!");
    let body = json!({"prompt": tokens["tokens"], "n_predict": 12, "temperature": 0});
    let whole = server.ok("/completion", &body);
    assert_eq!(whole["stop"], true);
    assert_eq!(
        whole["tokens_predicted"],
        whole["tokens"].as_array().unwrap().len()
    );
    let mut streamed = body;
    streamed["stream"] = true.into();
    let chunks = server.stream("/completion", &streamed);
    let pieces = chunks.iter().filter_map(|c| c["content"].as_str());
    assert_eq!(
        pieces.collect::<String>(),
        whole["content"].as_str().unwrap()
    );
    let openai = json!({"prompt": "ROMEO: hail!", "max_tokens": 12, "temperature": 0});
    let openai = server.ok("/v1/completions", &openai);
    assert_eq!(openai["choices"][0]["text"], whole["content"]);
    let conversation = json!({"messages": [{"role": "user", "content": "<|im_end|>hi"}]});
    let prompt = server.ok("/apply-template", &conversation);
    assert!(
        prompt["prompt"].as_str().unwrap().contains("<|im_end|>hi"),
        "{prompt}"
    );
    for path in ["/props", "/slots", "/v1/models", "/metrics"] {
        assert_eq!(server.get(path).0, 200, "{path}");
    }
}

#[test]
fn what_is_wrong_is_told_with_the_status_that_clients_expect() {
    let server = Server::start(greedy().max_body(10_000));
    let refused = |body: Value| {
        let (status, text) = server.post("/v1/chat/completions", &body);
        let told: Value = serde_json::from_str(&text).expect("JSON");
        (
            status,
            told["error"]["message"]
                .as_str()
                .expect("a message")
                .to_string(),
        )
    };
    let with = |key: &str, value: Value| {
        let mut body = ask("hi");
        body[key] = value;
        body
    };
    assert_eq!(refused(json!({"messages": []})).0, 400);
    assert_eq!(refused(json!({})).0, 400);
    assert_eq!(refused(with("temperature", json!(-1))).0, 400);
    assert_eq!(refused(with("n", json!(1000))).0, 400);
    assert_eq!(refused(with("mirostat", json!(2))).0, 501);
    assert_eq!(refused(with("grammar", json!("root ::= a"))).0, 400);
    assert_eq!(
        refused(with("response_format", json!({"type": "json"}))).0,
        400
    );
    assert_eq!(refused(with("tool_choice", json!("required"))).0, 400);
    let (status, message) = refused(ask(&"word ".repeat(1500)));
    assert_eq!(status, 400);
    assert!(
        message.contains("the context has room for 512"),
        "{message}"
    );
    assert_eq!(
        server
            .post("/v1/chat/completions", &ask(&"x".repeat(20_000)))
            .0,
        413
    );
    assert_eq!(server.get("/nowhere").0, 404);
    assert_eq!(server.get("/v1/chat/completions").0, 405);
    let deep = format!(
        "{{\"messages\": {}1{}}}",
        "[".repeat(4000),
        "]".repeat(4000)
    );
    let request = agent()
        .post(server.url("/tokenize"))
        .content_type("application/json");
    assert_eq!(text(request.send(deep)).0, 400);
}

#[test]
fn who_has_no_key_learns_nothing_but_that_the_server_is_well() {
    let server = Server::start(greedy().api_keys(vec!["first".into(), "second".into()]));
    assert_eq!(server.get("/health").0, 200);
    assert_eq!(server.get("/props").0, 401);
    assert_eq!(server.post("/v1/chat/completions", &ask("hi")).0, 401);
    let with = |name: &str, value: &str| {
        text(agent().get(server.url("/props")).header(name, value).call()).0
    };
    assert_eq!(with("authorization", "Bearer second"), 200);
    assert_eq!(with("x-api-key", "first"), 200);
    assert_eq!(with("authorization", "Bearer third"), 401);
    assert_eq!(with("authorization", "Bearer "), 401);
}

#[test]
fn the_engine_tells_of_its_drafts_and_of_the_time_of_its_steps() {
    let server = Server::start(greedy());
    let engine = |server: &Server| -> Value {
        let (status, text) = server.get("/v1/engine");
        assert_eq!(status, 200, "{text}");
        serde_json::from_str(&text).expect("JSON")
    };
    assert_eq!(
        server.get("/v1/engine/steps"),
        (200, r#"{"graphs":[]}"#.into())
    );
    assert_eq!(engine(&server)["stats"]["draft_places"], json!([]));
    let mut body = ask("Speak of love and war.");
    body["speculative.n_max"] = 1.into();
    let answer = server.ok("/v1/chat/completions", &body);
    // The engine tells what was so after a step, the answer may be here before.
    let told = loop {
        let told = engine(&server);
        if told["stats"]["running"] == 0 {
            break told;
        }
    };
    let (stats, timings) = (&told["stats"], &answer["timings"]);
    let count = |value: &Value| value.as_u64().expect("a count");
    assert_eq!((&told["drafts"], &told["parallel"]), (&json!(1), &json!(8)));
    let place = &stats["draft_places"][0];
    assert_eq!(place["drafted"], timings["draft_n"]);
    assert_eq!(place["tried"], timings["draft_n"]);
    assert_eq!(place["accepted"], timings["draft_n_accepted"]);
    // Each run took what it was given, and each draft is one of its tokens.
    assert!(
        count(&stats["run_tokens"]) > count(&stats["prompt_tokens"]) + count(&timings["draft_n"])
    );
    let (_, text) = server.get("/v1/engine/steps");
    let steps: Value = serde_json::from_str(&text).expect("JSON");
    let graphs = steps["graphs"].as_array().expect("graphs");
    let kinds = graphs
        .iter()
        .map(|g| (g["graph"].as_str().unwrap(), g["with_prompt"] == true));
    let mut kinds: Vec<_> = kinds.collect();
    kinds.sort_unstable();
    let all = [
        ("mtp", false),
        ("mtp", true),
        ("trunk", false),
        ("trunk", true),
    ];
    assert_eq!(kinds, all);
    let tokens = graphs
        .iter()
        .filter(|g| g["graph"] == "trunk")
        .map(|g| count(&g["tokens"]));
    assert_eq!(tokens.sum::<u64>(), count(&stats["run_tokens"]));
    for graph in graphs {
        let steps = graph["steps"].as_array().expect("steps");
        let ops = || {
            steps
                .iter()
                .flat_map(|step| step["ops"].as_array().unwrap())
        };
        let seconds = |value: &Value| value.as_f64().expect("seconds");
        let busy: f64 = ops().map(|op| seconds(&op["seconds"])).sum();
        let waits: f64 = steps
            .iter()
            .map(|step| seconds(&step["wait_seconds"]))
            .sum();
        let whole = seconds(&graph["seconds"]);
        assert!(
            busy > 0.0 && busy + waits <= whole * 1.001,
            "{busy} {waits} {whole}"
        );
        assert!(ops().any(|op| op["block"].is_u64() && op["uses"] != json!([])));
        // While a prompt is read nobody asks for logits, and the head's ops have nothing to do.
        let all = ops().all(|op| seconds(&op["seconds"]) > 0.0);
        assert!(graph["with_prompt"] == true || all, "{graph}");
    }
}

#[test]
fn the_page_asks_nobody_else_and_is_sent_once() {
    let server = Server::start(greedy().api_keys(vec!["key".into()]));
    let get = |path: &str, known: &str| {
        let request = agent().get(server.url(path)).header("if-none-match", known);
        request.call().expect("an answer")
    };
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/page/page.css", "text/css; charset=utf-8"),
        ("/page/main.js", "text/javascript; charset=utf-8"),
        ("/page/icon.svg", "image/svg+xml"),
    ] {
        let mut whole = get(path, "\"other\"");
        let header = |name: &str| whole.headers()[name].to_str().expect("text").to_string();
        assert_eq!(
            (whole.status().as_u16(), header("content-type")),
            (200, kind.into())
        );
        let policy = header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self';"),
            "{policy}"
        );
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(header("x-content-type-options"), "nosniff");
        let tag = header("etag");
        let text = whole.body_mut().read_to_string().expect("text");
        for word in [
            "innerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "onclick=\"",
            "style=\"",
        ] {
            assert!(!text.contains(word), "{path} has {word}");
        }
        let again = get(path, &format!("\"a\", {tag}"));
        assert_eq!(again.status().as_u16(), 304);
        assert_eq!(again.headers()["etag"].to_str().unwrap(), tag);
    }
    assert_eq!(server.get("/v1/engine").0, 401);
    assert_eq!(server.get("/page/nothing.js").0, 404);
    let without = Server::start(greedy().webui(false));
    assert_eq!(without.get("/").0, 404);
    assert_eq!(without.get("/page/main.js").0, 404);
    assert_eq!(without.get("/v1/engine").0, 200);
}

#[test]
fn every_file_that_the_page_names_is_there() {
    let server = Server::start(greedy());
    let mut seen = vec!["/".to_string()];
    let mut at = 0;
    while let Some(path) = seen.get(at).cloned() {
        at += 1;
        let (status, text) = server.get(&path);
        assert_eq!(status, 200, "{path}");
        let quoted = text.split('"').filter(|part| {
            let file = part.ends_with(".js") || part.ends_with(".css") || part.ends_with(".svg");
            file && !part.contains(' ')
        });
        let named = quoted.map(|part| match part.strip_prefix("./") {
            Some(file) => format!("/page/{file}"),
            None => part.to_string(),
        });
        let new: Vec<String> = named.filter(|path| !seen.contains(path)).collect();
        seen.extend(new);
    }
    assert!(seen.len() > 10, "{seen:?}");
}

#[test]
fn an_answer_comes_with_a_receipt_that_proves_it() {
    let server = Server::start(greedy());
    let model = Model::embedded().expect("a model");
    let tokenizer = Arc::new(model.tokenizer().expect("a tokenizer"));
    let executable = model.compile(&CompileOptions::default());
    let executable = Arc::new(executable.expect("compiled"));
    let proven = |receipt: &Value| {
        let receipt: Receipt = serde_json::from_value(receipt.clone()).expect("a receipt");
        let options = SessionOptions::default().context(receipt.context());
        let session = Session::new(executable.clone(), &options).expect("a session");
        let options = GenerateOptions::default();
        let replay = Replay::new(&receipt, session, &tokenizer, None, options);
        let verdict = replay.expect("a replay").run(|_| {}).expect("a verdict");
        assert!(
            matches!(verdict, Verdict::Same { rows } if rows > 0),
            "{verdict:?}"
        );
    };
    let more = json!({
        "receipt": true, "max_tokens": 12, "temperature": 0.9, "seed": 7,
        "logit_bias": [[5, false], [9, 1.5]], "speculative.n_max": 1,
    });
    let with = |mut body: Value| {
        for (name, value) in more.as_object().expect("fields") {
            body[name] = value.clone();
        }
        body
    };
    let talk = json!({"messages": [{"role": "user", "content": "Who comes?"}], "n": 2});
    let whole = server.ok("/v1/chat/completions", &with(talk.clone()));
    let streamed = with(json!({"messages": talk["messages"], "stream": true}));
    let streamed = server.stream("/v1/chat/completions", &streamed);
    let last = streamed.last().expect("a chunk");
    for choice in [
        &whole["choices"][0],
        &whole["choices"][1],
        &last["choices"][0],
    ] {
        proven(&choice["receipt"]);
    }
    let text = with(json!({"prompt": "ROMEO:"}));
    proven(&server.ok("/completion", &text)["receipt"]);
    proven(&server.ok("/v1/completions", &text)["choices"][0]["receipt"]);
    let message = with(json!({"messages": talk["messages"]}));
    proven(&server.ok("/v1/messages", &message)["receipt"]);
    let held = with(json!({"prompt": "ROMEO:", "grammar": "root ::= [a-z]{3,9}"}));
    proven(&server.ok("/completion", &held)["receipt"]);
    let tool = json!({"type": "function", "function": {"name": "cry", "parameters": {
        "type": "object", "properties": {"whose": {"type": "string"}}, "required": ["whose"],
    }}});
    let caller = Server::with("qwen3.5", 4096, greedy());
    for choice in ["auto", "required"] {
        let call = json!({"messages": talk["messages"], "tools": [tool], "tool_choice": choice});
        let call = caller.ok("/v1/chat/completions", &with(call));
        assert_ne!(call["choices"][0]["receipt"]["form"], Value::Null);
        proven(&call["choices"][0]["receipt"]);
    }
}

#[test]
fn a_body_is_json_whatever_it_is_called_unless_a_page_of_another_origin_sends_it() {
    let server = Server::start(greedy());
    let send = |origin: Option<&str>| {
        let mut request = agent().post(server.url("/tokenize"));
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        let form = "application/x-www-form-urlencoded";
        text(request.content_type(form).send(r#"{"content": "ROMEO:"}"#)).0
    };
    assert_eq!(send(None), 200);
    assert_eq!(send(Some("http://example.com")), 400);
}
