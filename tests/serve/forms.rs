//! Answers held to a form.

use super::*;

fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 8},
            "age": {"type": "integer", "minimum": 1, "maximum": 99},
            "lines": {"type": "array", "items": {"type": "string", "maxLength": 9}, "maxItems": 2},
        },
        "required": ["name", "age"],
        "additionalProperties": false,
        "x-guidance": {"whitespace_flexible": false},
    })
}

fn check(text: &str) {
    let value: Value = serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"));
    let known = ["name", "age", "lines"];
    let fields = value.as_object().expect("an object");
    assert!(
        fields.keys().all(|key| known.contains(&key.as_str())),
        "{text}"
    );
    assert!(
        fields["name"].as_str().expect("a name").chars().count() <= 8,
        "{text}"
    );
    assert!(
        (1..=99).contains(&fields["age"].as_u64().expect("an age")),
        "{text}"
    );
    for line in fields
        .get("lines")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        assert!(
            line.as_str().expect("a line").chars().count() <= 9,
            "{text}"
        );
    }
}

fn with(mut body: Value, fields: Value) -> Value {
    for (key, value) in fields.as_object().expect("fields") {
        body[key] = value.clone();
    }
    body
}

#[test]
fn every_api_answers_in_the_form_that_it_is_asked_for() {
    let server = Server::start(greedy());
    let strict = json!({"type": "json_schema", "json_schema": {"name": "n", "strict": true, "schema": schema()}});
    let sampled = json!({"max_tokens": 200, "temperature": 1.2, "seed": 4});
    let chat = with(ask("Who art thou?"), sampled.clone());
    let plain = with(json!({"prompt": "ROMEO:"}), sampled);
    for form in [
        json!({"response_format": strict}),
        json!({"json_schema": schema()}),
    ] {
        let body = with(chat.clone(), form.clone());
        let whole = server.ok("/v1/chat/completions", &body);
        let choice = &whole["choices"][0];
        let content = choice["message"]["content"].as_str().expect("content");
        assert_eq!(choice["finish_reason"], "stop", "{content}");
        check(content);
        let chunks = server.stream("/v1/chat/completions", &with(body, json!({"stream": true})));
        let pieces = chunks
            .iter()
            .filter_map(|c| c["choices"][0]["delta"]["content"].as_str());
        assert_eq!(pieces.collect::<String>(), content);

        let whole = server.ok("/v1/messages", &with(chat.clone(), form.clone()));
        assert_eq!(whole["stop_reason"], "end_turn");
        check(whole["content"][0]["text"].as_str().expect("text"));
        let several = with(plain.clone(), with(form.clone(), json!({"n": 3})));
        for choice in server.ok("/v1/completions", &several)["choices"]
            .as_array()
            .unwrap()
        {
            check(choice["text"].as_str().expect("text"));
        }
        let whole = server.ok("/completion", &with(plain.clone(), form));
        assert_eq!(whole["stop_type"], "eos");
        check(whole["content"].as_str().expect("text"));
    }
}

#[test]
fn objects_and_grammars_can_be_asked_for() {
    let server = Server::start(greedy());
    let content = |fields: Value| {
        let whole = server.ok("/v1/chat/completions", &with(ask("Speak."), fields));
        whole["choices"][0]["message"]["content"]
            .as_str()
            .expect("content")
            .to_string()
    };
    let grammar = "root ::= \"Aye, \" ([a-z]{1,6} \" \"){2} \"!\"";
    let aye = content(json!({"grammar": grammar}));
    assert!(aye.starts_with("Aye, ") && aye.ends_with(" !"), "{aye}");
    let lark = "%llguidance {}\nstart: /[0-9]{4}/ \"-\" /[0-9]{2}/";
    let date = content(json!({"grammar": lark}));
    assert!(date.len() == 7 && date.as_bytes()[4] == b'-', "{date}");
    let nothing = json!({"response_format": {"type": "text"}, "grammar": "", "json_schema": null});
    assert_eq!(content(nothing), content(json!({})));
    let object = json!({"type": "json_object"});
    let long = json!({"response_format": object, "max_tokens": 150, "repeat_penalty": 1.5});
    assert!(content(long).trim_start().starts_with('{'));
}

fn tools() -> Value {
    let parameters = json!({
        "type": "object",
        "properties": {
            "place": {"type": "string", "minLength": 1, "maxLength": 12},
            "days": {"type": "integer", "minimum": 1, "maximum": 9},
            "unit": {"enum": ["celsius", "kelvin"]},
        },
        "required": ["place", "days"],
        "additionalProperties": false,
    });
    json!([
        {"type": "function", "function": {"name": "weather", "parameters": parameters}},
        {"type": "function", "function": {"name": "stop"}},
    ])
}

fn check_call(name: &str, arguments: &Value) {
    if name == "stop" {
        assert_eq!(*arguments, json!({}));
        return;
    }
    assert_eq!(name, "weather");
    assert!(
        (1..=12).contains(
            &arguments["place"]
                .as_str()
                .expect("a place")
                .chars()
                .count()
        )
    );
    assert!((1..=9).contains(&arguments["days"].as_u64().expect("days")));
    let unit = arguments.get("unit").and_then(Value::as_str);
    assert!(unit.is_none_or(|unit| ["celsius", "kelvin"].contains(&unit)));
}

#[test]
fn a_forced_call_comes_and_can_be_read() {
    for template in ["qwen3", "qwen3.5"] {
        let server = Server::with(template, 4096, greedy());
        let named = json!({"type": "function", "function": {"name": "weather"}});
        for (choice, seed) in [(json!("required"), 1), (json!("required"), 2), (named, 3)] {
            let asked = json!({
                "tools": tools(),
                "tool_choice": choice,
                "parallel_tool_calls": false,
                "reasoning_effort": "none",
                "max_tokens": 200,
                "temperature": 1.0,
                "seed": seed,
            });
            let body = with(ask("What is the weather?"), asked);
            let whole = server.ok("/v1/chat/completions", &body);
            let told = &whole["choices"][0];
            assert_eq!(told["finish_reason"], "tool_calls", "{template}: {whole}");
            assert_eq!(told["message"]["content"], Value::Null, "{whole}");
            let calls = told["message"]["tool_calls"].as_array().expect("calls");
            assert_eq!(calls.len(), 1, "{whole}");
            let name = calls[0]["function"]["name"].as_str().expect("a name");
            assert!(choice == "required" || name == "weather");
            let arguments = calls[0]["function"]["arguments"]
                .as_str()
                .expect("arguments");
            check_call(name, &serde_json::from_str(arguments).expect("JSON"));
        }
    }
}

#[test]
fn anthropics_clients_force_calls_too() {
    let server = Server::with("qwen3.5", 4096, greedy());
    let tools: Vec<Value> = tools()
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| &tool["function"])
        .map(|tool| json!({"name": tool["name"], "input_schema": tool.get("parameters")}))
        .collect();
    for choice in [
        json!({"type": "any"}),
        json!({"type": "tool", "name": "weather"}),
    ] {
        let asked = json!({
            "tools": tools,
            "tool_choice": with(choice.clone(), json!({"disable_parallel_tool_use": true})),
            "thinking": {"type": "disabled"},
            "max_tokens": 200,
        });
        let whole = server.ok("/v1/messages", &with(ask("What is the weather?"), asked));
        assert_eq!(whole["stop_reason"], "tool_use", "{whole}");
        let blocks = whole["content"].as_array().expect("blocks");
        assert_eq!(blocks.len(), 1, "{whole}");
        let name = blocks[0]["name"].as_str().expect("a name");
        assert!(choice["type"] == "any" || name == "weather");
        check_call(name, &blocks[0]["input"]);
    }
}

#[test]
fn tools_that_may_be_called_do_not_change_text_without_calls() {
    let server = Server::with("qwen3.5", 4096, greedy());
    let body = with(
        ask("Speak of love."),
        json!({"tools": tools(), "reasoning_effort": "none"}),
    );
    let whole = server.ok("/v1/chat/completions", &body);
    let prompt = server.ok("/apply-template", &body);
    let plain = json!({"prompt": prompt["prompt"], "max_tokens": 24});
    let plain = server.ok("/v1/completions", &plain);
    let message = &whole["choices"][0]["message"];
    assert_eq!(message.get("tool_calls"), None);
    let (content, text) = (
        message["content"].as_str(),
        plain["choices"][0]["text"].as_str(),
    );
    assert_eq!(content.expect("content").trim(), text.expect("text").trim());
}

#[test]
fn reasoning_stays_free_and_is_not_the_end_of_an_answer() {
    let server = Server::with("qwen3.5", 4096, greedy());
    let asked = json!({"json_schema": schema(), "max_tokens": 40});
    let whole = server.ok("/v1/chat/completions", &with(ask("Who art thou?"), asked));
    let choice = &whole["choices"][0];
    assert_eq!(choice["finish_reason"], "length", "{whole}");
    let reasoning = choice["message"]["reasoning_content"].as_str();
    assert!(
        reasoning.is_some_and(|text| !text.starts_with('{')),
        "{whole}"
    );
}

#[test]
fn a_form_that_cannot_be_is_told_with_its_place() {
    let server = Server::start(greedy());
    let refused = |path: &str, fields: Value| {
        let (status, text) = server.post(path, &with(ask("hi"), fields));
        let told: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(status, 400, "{text}");
        told["error"]["message"]
            .as_str()
            .expect("a message")
            .to_string()
    };
    let bad = json!({"properties": {"a": {"items": {"type": "strin"}}}});
    let not = json!({"properties": {"a": {"uniqueItems": true}}});
    let format = |schema: &Value, strict: bool| {
        let named = json!({"name": "n", "schema": schema, "strict": strict});
        json!({"response_format": {"type": "json_schema", "json_schema": named}})
    };
    for path in ["/v1/chat/completions", "/v1/messages"] {
        let told = refused(path, format(&bad, false));
        assert!(told.contains("#/properties/a/items"), "{told}");
        let told = refused(path, json!({"json_schema": not}));
        assert!(
            told.contains("uniqueItems") && told.contains("#/properties/a"),
            "{told}"
        );
        let told = refused(path, json!({"grammar": "root ::= \"a\n"}));
        assert!(told.contains("line 1, column"), "{told}");
    }
    let chat = "/v1/chat/completions";
    assert!(refused(chat, format(&not, true)).contains("uniqueItems"));
    server.ok(chat, &with(ask("hi"), format(&not, false)));
    refused(
        chat,
        json!({"grammar": "root ::= \"a\"", "json_schema": {}}),
    );
    refused(
        chat,
        json!({"grammar": "root ::= \"a\"", "ignore_eos": true}),
    );
    refused(chat, json!({"tool_choice": "required"}));
    refused(
        chat,
        json!({"tool_choice": {"type": "allowed"}, "tools": tools()}),
    );
    let other = json!({"type": "function", "function": {"name": "other"}});
    assert!(refused(chat, json!({"tool_choice": other, "tools": tools()})).contains("other"));
    let huge = json!({"json_schema": {"enum": vec!["x"; 30_000]}});
    assert!(refused(chat, huge).contains("20000"));
}
