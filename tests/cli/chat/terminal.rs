//! Somebody at a terminal.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use rexpect::process::WaitStatus;
use rexpect::session::{PtySession, spawn_command};
use tempfile::{TempDir, tempdir};

/// Long enough for a busy machine.
const PATIENCE: Option<u64> = Some(60_000);

/// A chat at a terminal, whose history is in `folder`.
fn at_terminal(folder: &Path, args: &[&str]) -> PtySession {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("sharpi-compile"));
    command.args(["chat", "--temp", "0"]).args(args);
    command.env("XDG_STATE_HOME", folder).env("TERM", "xterm");
    let mut session = spawn_command(command, PATIENCE).unwrap();
    session.exp_string("Ctrl-D leaves").unwrap();
    session.exp_string("> ").unwrap();
    session
}

fn leaves(mut session: PtySession) {
    session.send_control('d').unwrap();
    session.exp_eof().unwrap();
    let status = session.process().wait().unwrap();
    assert!(matches!(status, WaitStatus::Exited(_, 0)), "{status:?}");
}

fn folder() -> TempDir {
    tempdir().unwrap()
}

#[test]
fn an_interrupt_ends_the_answer_and_not_the_program() {
    let folder = folder();
    let mut chat = at_terminal(folder.path(), &["--ignore-eos", "-c", "200000"]);
    chat.send_line("Hello").unwrap();
    // The answer has begun, and would not end by itself.
    chat.exp_string(":").unwrap();
    chat.send_control('c').unwrap();
    chat.exp_string("stopped by Ctrl-C").unwrap();
    chat.exp_string("> ").unwrap();
    // What has come of it is kept.
    let file = folder.path().join("talk.json");
    chat.send_line(&format!("/save {}", file.display()))
        .unwrap();
    chat.exp_string("has 1 message and its answer").unwrap();
    let saved: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert!(
        saved["messages"][1]["content"]
            .as_str()
            .unwrap()
            .contains(':')
    );
    // The next message is answered.
    chat.send_line("/params n_predict 3").unwrap();
    chat.send_line("And now?").unwrap();
    chat.exp_string("3 tokens").unwrap();
    chat.exp_string("> ").unwrap();
    chat.send_control('c').unwrap();
    chat.exp_string("Ctrl-D or /exit leaves").unwrap();
    chat.exp_string("> ").unwrap();
    leaves(chat);
}

#[test]
fn what_fails_is_told_and_the_conversation_goes_on() {
    let folder = folder();
    let mut chat = at_terminal(folder.path(), &["-n", "3"]);
    chat.send_line("/hepl").unwrap();
    chat.exp_string("`/help` is the nearest").unwrap();
    chat.exp_string("> ").unwrap();
    chat.send_line("Hello").unwrap();
    chat.exp_string("3 tokens").unwrap();
    chat.exp_string("> ").unwrap();
    chat.send_line("/exit").unwrap();
    chat.exp_eof().unwrap();
}

#[test]
fn lines_are_kept_in_the_state_folder_unless_told_otherwise() {
    let folder = folder();
    let file = folder.path().join("sharpi-compile/chat-history");
    let mut chat = at_terminal(folder.path(), &["--no-history", "-n", "1"]);
    chat.send_line("not this").unwrap();
    chat.exp_string("read anew").unwrap();
    chat.exp_string("> ").unwrap();
    leaves(chat);
    assert!(!file.exists());
    let mut chat = at_terminal(folder.path(), &["-n", "1"]);
    chat.send_line("but this").unwrap();
    chat.exp_string("read anew").unwrap();
    chat.exp_string("> ").unwrap();
    leaves(chat);
    assert!(fs::read_to_string(&file).unwrap().contains("but this"));
    // The key that goes back finds it.
    let mut chat = at_terminal(folder.path(), &["-n", "1"]);
    chat.send("\x1b[A").unwrap();
    chat.flush().unwrap();
    chat.exp_string("but this").unwrap();
    chat.send_line("").unwrap();
    chat.exp_string("read anew").unwrap();
    chat.exp_string("> ").unwrap();
    leaves(chat);
}

#[test]
fn thoughts_are_dimmed_where_that_is_wanted() {
    let folder = folder();
    let template = "{{ messages[-1].content }}<think>{# </think> #}";
    let args = ["-n", "4", "--ignore-eos", "--chat-template", template];
    let mut chat = at_terminal(folder.path(), &args);
    chat.send_line("ROMEO:").unwrap();
    chat.exp_string("\x1b[2m").unwrap();
    chat.exp_string("\x1b[0m").unwrap();
    chat.exp_string("read anew").unwrap();
    chat.exp_string("> ").unwrap();
    leaves(chat);
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("sharpi-compile"));
    command
        .args(["chat", "--no-history"])
        .args(args)
        .env("NO_COLOR", "1");
    let mut chat = spawn_command(command, PATIENCE).unwrap();
    chat.exp_string("> ").unwrap();
    chat.send_line("ROMEO:").unwrap();
    let before = chat.exp_string("</think>").unwrap();
    assert!(
        before.contains("<think>") && !before.contains("\x1b[2m"),
        "{before:?}"
    );
    chat.exp_string("> ").unwrap();
    leaves(chat);
}

#[test]
fn an_interrupt_ends_a_script() {
    let mut child = Command::new(assert_cmd::cargo::cargo_bin!("sharpi-compile"))
        .args("chat --temp 0 --ignore-eos -c 200000".split(' '))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"Hello\nAgain\n").unwrap();
    let mut begun = [0; 16];
    child
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut begun)
        .unwrap();
    let pid = child.id().to_string();
    Command::new("kill").args(["-INT", &pid]).status().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let told: Vec<String> = lines.map(Result::unwrap).collect();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(
        told.iter().any(|line| line.contains("stopped by Ctrl-C")),
        "{told:?}"
    );
}
