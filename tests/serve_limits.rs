//! Clients that are slow, many or never done.

#[path = "support/served.rs"]
mod served;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;
use served::{Server, app, greedy};

/// How long clients may take here.
const TIMEOUT: Duration = Duration::from_secs(1);
/// When they must have been dropped.
const LATE: Duration = Duration::from_secs(20);

impl Server {
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("a connection");
        stream.set_read_timeout(Some(LATE)).expect("a timeout");
        stream
    }

    /// A connection that has sent this.
    fn send(&self, text: &str) -> TcpStream {
        let mut stream = self.connect();
        stream.write_all(text.as_bytes()).expect("sent");
        stream
    }
}

/// All that comes until the connection is closed.
fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => panic!("still open: {error}"),
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn head(path: &str, more: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n{more}\r\n\r\n")
}

fn whole(path: &str, body: &serde_json::Value) -> String {
    let body = body.to_string();
    let length = format!("connection: close\r\ncontent-length: {}", body.len());
    head(path, &length) + &body
}

const HEALTH: &str = "GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

#[test]
fn who_does_not_finish_a_request_is_dropped() {
    let server = Server::start(greedy().timeout(TIMEOUT).max_body(100_000));
    let clock = Instant::now();
    let mut silent = server.connect();
    let mut in_head = server.send("POST /v1/chat/completions HTTP/1.1\r\nhost:");
    let mut in_body = server.send(&(head("/completion", "content-length: 1000") + "{\"prompt\""));
    let mut idle = server.send(&HEALTH.replace("close", "keep-alive"));
    assert!(!rest(&mut silent).contains("200"));
    assert!(!rest(&mut in_head).contains("200"));
    let told = rest(&mut in_body);
    assert!(told.starts_with("HTTP/1.1 408"), "{told}");
    assert!(rest(&mut idle).contains(r#"{"status":"ok"}"#));
    assert!(clock.elapsed() < LATE);
}

#[test]
fn a_body_without_end_ends_at_its_bound() {
    let server = Server::start(greedy().max_body(100_000));
    let mut stream = server.send(&head("/completion", "transfer-encoding: chunked"));
    let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
    for _ in 0..1000 {
        if stream.write_all(chunk.as_bytes()).is_err() {
            break;
        }
    }
    let told = rest(&mut stream);
    // What was sent and never read may have reset the connection before the answer was read.
    assert!(
        told.is_empty() || told.starts_with("HTTP/1.1 413"),
        "{told}"
    );
    let declared = head("/completion", "content-length: 100000000000");
    let mut told = [0; 12];
    let mut stream = server.send(&declared);
    stream.read_exact(&mut told).expect("an answer");
    assert_eq!(&told, b"HTTP/1.1 413");
}

#[test]
fn heads_are_bounded() {
    let server = Server::start(greedy());
    let long = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "x".repeat(1 << 20));
    let mut stream = server.connect();
    // It may be refused before all is sent.
    stream.write_all(long.as_bytes()).ok();
    assert!(!rest(&mut stream).contains(" 200 "));
    let many: String = (0..1000).map(|i| format!("x-{i}: 1\r\n")).collect();
    let told = rest(&mut server.send(&format!("GET /health HTTP/1.1\r\n{many}\r\n")));
    assert!(told.starts_with("HTTP/1.1 431"), "{told}");
}

#[test]
fn who_does_not_read_is_dropped() {
    let server = Server::start(greedy().timeout(TIMEOUT));
    let body = json!({
        "prompt": vec!["ROMEO:"; 8], "n": 2, "max_tokens": 450, "ignore_eos": true,
        "logprobs": 100, "stream": true,
    });
    let mut stream = server.send(&whole("/v1/completions", &body));
    let mut first = [0; 12];
    stream.read_exact(&mut first).expect("a beginning");
    assert_eq!(&first, b"HTTP/1.1 200");
    let clock = Instant::now();
    let runs = || {
        let (_, metrics) = server.get("/metrics");
        !metrics.contains("llamacpp:requests_processing 0\n")
    };
    while runs() {
        assert!(clock.elapsed() < 3 * LATE, "never ended");
        std::thread::sleep(Duration::from_millis(100));
    }
    std::thread::sleep(4 * TIMEOUT);
    let told = rest(&mut stream);
    let ended = told.contains("[DONE]");
    assert!(told.contains("data: ") && !ended, "all of it was sent");
}

#[test]
fn connections_beyond_the_bound_wait_while_all_others_have_a_request() {
    let server = Server::with("chatml", 4096, greedy().max_connections(2));
    let long = json!({"prompt": "ROMEO:", "max_tokens": 2000, "ignore_eos": true, "stream": true});
    let mut busy = [0, 1].map(|_| server.send(&whole("/v1/completions", &long)));
    for stream in &mut busy {
        stream.read_exact(&mut [0; 64]).expect("a beginning");
    }
    let mut third = server.send(HEALTH);
    third
        .set_read_timeout(Some(Duration::from_millis(20)))
        .expect("a timeout");
    let early = third.read(&mut [0]).expect_err("there is no room yet");
    // A process that was stopped for a while goes on with the latter.
    let waits = [ErrorKind::WouldBlock, ErrorKind::Interrupted];
    assert!(waits.contains(&early.kind()), "{early}");
    for stream in &mut busy {
        assert!(rest(stream).contains("[DONE]"), "an answer was cut");
    }
    third.set_read_timeout(Some(LATE)).expect("a timeout");
    assert!(rest(&mut third).starts_with("HTTP/1.1 200"));
}

#[test]
fn whoever_only_connects_keeps_nobody_from_an_answer() {
    let server = Server::start(greedy().max_connections(8));
    let clock = Instant::now();
    let mut idle: Vec<TcpStream> = (0..300).map(|_| server.connect()).collect();
    let body = json!({"prompt": "ROMEO:", "max_tokens": 4});
    server.ok("/v1/completions", &body);
    assert!(clock.elapsed() < TIMEOUT * 5, "{:?}", clock.elapsed());
    assert_eq!(rest(&mut idle[0]), "", "the oldest is closed");
    drop(idle);
    server.ok("/v1/completions", &body);
}

#[test]
fn until_the_model_is_loaded_every_request_gets_503() {
    let (loaded, waits) = tokio::sync::oneshot::channel();
    let server = Server::after(async { waits.await.expect("a model") });
    let ask = json!({"messages": [{"role": "user", "content": "hi"}], "max_tokens": 4});
    for (path, kind) in [
        ("/health", "unavailable_error"),
        ("/v1/chat/completions", "unavailable_error"),
        ("/v1/messages", "overloaded_error"),
    ] {
        let (status, told) = server.post(path, &ask);
        assert_eq!(status, 503, "{path}: {told}");
        assert!(
            told.contains("Loading model") && told.contains(kind),
            "{told}"
        );
    }
    loaded.send(app(greedy(), "chatml", 2)).ok().expect("sent");
    let clock = Instant::now();
    while server.get("/health").0 != 200 {
        assert!(clock.elapsed() < LATE, "still loading");
    }
    server.ok("/v1/chat/completions", &ask);
}

#[test]
fn while_it_is_being_stopped_answers_end_and_new_requests_get_503() {
    let mut server = Server::start(greedy());
    let body = json!({"prompt": "ROMEO:", "max_tokens": 400, "ignore_eos": true, "stream": true});
    let mut running = server.send(&whole("/v1/completions", &body));
    let mut first = [0; 64];
    running.read_exact(&mut first).expect("a beginning");
    // Keeps it from ending at once.
    let body = json!({"prompt": "JULIET:", "max_tokens": 1}).to_string();
    let length = format!("connection: close\r\ncontent-length: {}", body.len());
    let mut late = server.send(&head("/completion", &length));
    let answered = server.send(HEALTH);
    drop(answered);
    server.ok(
        "/tokenize",
        &json!({"content": "so that the one before is under way"}),
    );
    server.stop();
    let clock = Instant::now();
    while rest(&mut server.send(HEALTH)).starts_with("HTTP/1.1 200") {
        assert!(clock.elapsed() < LATE, "still healthy");
    }
    let told = rest(&mut server.send(HEALTH));
    assert!(told.starts_with("HTTP/1.1 503"), "{told}");
    let (status, told) = server.post(
        "/v1/chat/completions",
        &json!({
            "messages": [{"role": "user", "content": "hi"}], "max_tokens": 4,
        }),
    );
    assert_eq!(status, 503, "{told}");
    late.write_all(body.as_bytes()).expect("sent");
    assert!(rest(&mut late).starts_with("HTTP/1.1 503"));
    assert!(
        rest(&mut running)
            .trim_end()
            .trim_end_matches("0")
            .contains("[DONE]")
    );
}
