//! Many clients at once.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::ask;
use crate::served::{Server, greedy};

const CLIENTS: u64 = 32;

fn body(i: u64) -> Value {
    let mut body = ask(&format!("Speak, number {i}, of love and war."));
    body["temperature"] = json!(if i.is_multiple_of(3) { 0.0 } else { 0.9 });
    body["seed"] = i.into();
    body["speculative.n_max"] = (i % 2).into();
    body
}

/// The text of an answer and how many tokens it has; every third one is streamed.
fn answer(server: &Server, i: u64) -> (String, u64) {
    let (path, mut body) = ("/v1/chat/completions", body(i));
    if !i.is_multiple_of(3) {
        let whole = server.ok(path, &body);
        let tokens = whole["usage"]["completion_tokens"].as_u64();
        let text = whole["choices"][0]["message"]["content"].as_str();
        return (text.expect("a text").into(), tokens.expect("a count"));
    }
    body["stream"] = true.into();
    body["stream_options"] = json!({"include_usage": true});
    let events = server.stream(path, &body);
    let pieces = events
        .iter()
        .filter_map(|event| event["choices"][0]["delta"]["content"].as_str());
    let tokens = events
        .iter()
        .find_map(|e| e["usage"]["completion_tokens"].as_u64());
    (pieces.collect(), tokens.expect("a count"))
}

/// A client that goes away after the first bytes of its answer.
fn leave(server: &Server, i: u64) {
    let mut body = body(i);
    (body["stream"], body["max_tokens"]) = (true.into(), 400.into());
    let body = body.to_string();
    let mut stream = TcpStream::connect(server.address).expect("a connection");
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).expect("sent");
    stream.read_exact(&mut [0; 32]).expect("a beginning");
}

fn metric(server: &Server, name: &str) -> u64 {
    let (_, metrics) = server.get("/metrics");
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix(&format!("llamacpp:{name} ")));
    let value = line.and_then(|value| value.parse().ok());
    value.unwrap_or_else(|| panic!("no {name} in {metrics}"))
}

/// All clients at a time.
fn together<T: Send>(client: impl Fn(u64) -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let client = &client;
        let all: Vec<_> = (0..CLIENTS)
            .map(|i| scope.spawn(move || client(i)))
            .collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    })
}

#[test]
fn answers_under_load_are_those_of_a_request_alone() {
    let server = Server::start(greedy());
    let alone: Vec<_> = (0..CLIENTS).map(|i| answer(&server, i)).collect();
    let server = Server::start(greedy());
    assert_eq!(together(|i| answer(&server, i)), alone);
    let tokens: u64 = alone.iter().map(|(_, tokens)| tokens).sum();
    assert_eq!(metric(&server, "tokens_predicted_total"), tokens);
    assert_eq!(metric(&server, "http_errors_total"), 0);
}

#[test]
fn who_goes_away_under_load_leaves_nothing_behind() {
    let server = Server::start(greedy());
    let alone: Vec<_> = (0..CLIENTS).map(|i| answer(&server, i)).collect();
    let found = together(|i| {
        leave(&server, CLIENTS + i);
        answer(&server, i)
    });
    assert_eq!(found, alone);
    let left = || {
        ["requests_processing", "requests_deferred", "sequence_bytes"]
            .map(|name| metric(&server, name))
    };
    let clock = Instant::now();
    while left() != [0; 3] {
        assert!(clock.elapsed() < Duration::from_secs(20), "{:?}", left());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(metric(&server, "http_errors_total"), 0);
}
