//! A server that gives set answers, and keeps what it was asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use serde_json::{Value, json};

/// A server in a thread of this process. It ends with the process.
pub struct FakeServer {
    /// Its address.
    pub url: String,
    asked: Receiver<(String, Value)>,
}

/// Status and body for a path; none at all to stay silent.
type Answers = fn(path: &str) -> Option<(u16, String)>;

impl FakeServer {
    /// Starts a server that answers like this.
    pub fn start(answers: Answers) -> FakeServer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (ask, asked) = channel();
        thread::spawn(move || {
            let mut silent = Vec::new();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let (path, body) = request(&stream);
                match answers(&path) {
                    Some((status, answer)) => respond(&mut stream, status, &answer),
                    // Kept open, or the other side would hear that nothing comes.
                    None => silent.push(stream),
                }
                if ask.send((path, body)).is_err() {
                    return;
                }
            }
        });
        FakeServer { url, asked }
    }

    /// What was asked so far: paths and bodies.
    pub fn asked(&self) -> Vec<(String, Value)> {
        self.asked.try_iter().collect()
    }
}

fn request(stream: &TcpStream) -> (String, Value) {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let path = line.split(' ').nth(1).unwrap().to_string();
    let mut length = 0;
    loop {
        line.clear();
        reader.read_line(&mut line).unwrap();
        let line = line.trim_end().to_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let body = match body.is_empty() {
        true => json!(null),
        false => serde_json::from_slice(&body).unwrap(),
    };
    (path, body)
}

fn respond(stream: &mut TcpStream, status: u16, body: &str) {
    write!(
        stream,
        "HTTP/1.1 {status} Status\r\nContent-Type: application/json; charset=utf-8\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
}
