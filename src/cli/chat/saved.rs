//! Conversations in files.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sharpi_compile::regular_file;
use sharpi_ir::plain::PlainPath;
use tempfile::NamedTempFile;

use super::params::Params;
use super::transcript::{Transcript, Turn};
use crate::cli::answer::Said;
use crate::cli::failure::Failure;

/// The form of the file.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    sharpi_chat: u32,
    system: Option<String>,
    messages: Vec<SavedMessage>,
    params: Params,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedMessage {
    role: Role,
    content: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    reasoning_content: String,
}

#[derive(Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Role {
    User,
    Assistant,
}

/// Writes a conversation, whole or not at all. A file that is something else is left alone.
pub(super) fn write(
    file: &str,
    transcript: &Transcript,
    params: &Params,
) -> Result<PathBuf, Failure> {
    let path = expanded(file);
    if path.exists() && read_saved(&path).is_err() {
        return Err(Failure::plain(
            format!(
                "{} is there already and is no saved conversation",
                PlainPath(&path)
            ),
            "name another file",
        ));
    }
    let saved = Saved {
        sharpi_chat: VERSION,
        system: transcript.system.clone(),
        messages: transcript.turns.iter().flat_map(messages).collect(),
        params: params.clone(),
    };
    replace(&path, &saved).map_err(|error| {
        Failure::plain(
            format!("{}: {error}", PlainPath(&path)),
            "name a file that can be written",
        )
    })?;
    Ok(path)
}

/// Reads a conversation.
pub(super) fn read(file: &str) -> Result<(Transcript, Params), Failure> {
    let path = expanded(file);
    let fault = |what: String| {
        Failure::plain(
            format!("{}: {what}", PlainPath(&path)),
            "name a file that /save has written",
        )
    };
    let saved = read_saved(&path).map_err(fault)?;
    let turns = turns(saved.messages).map_err(fault)?;
    let system = saved.system;
    Ok((Transcript { system, turns }, saved.params))
}

fn replace(path: &Path, saved: &Saved) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let mut part = NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
    serde_json::to_writer_pretty(&mut part, saved)?;
    writeln!(part)?;
    part.persist(path)?;
    Ok(())
}

fn read_saved(path: &Path) -> Result<Saved, String> {
    let bytes = regular_file::read(path).map_err(|error| error.to_string())?;
    let mut json = serde_json::Deserializer::from_slice(&bytes);
    let saved: Saved = serde_path_to_error::deserialize(&mut json).map_err(|e| e.to_string())?;
    json.end().map_err(|error| error.to_string())?;
    if saved.sharpi_chat != VERSION {
        return Err(format!(
            "sharpi_chat: version {}, expected {VERSION}",
            saved.sharpi_chat
        ));
    }
    match saved.params.fault() {
        Some((name, expected)) => Err(format!("params.{name}: expected {expected}")),
        None => Ok(saved),
    }
}

fn messages(turn: &Turn) -> [SavedMessage; 2] {
    let message = |role, content: &str, reasoning: &str| SavedMessage {
        role,
        content: content.into(),
        reasoning_content: reasoning.into(),
    };
    [
        message(Role::User, &turn.user, ""),
        message(
            Role::Assistant,
            &turn.answer.content,
            &turn.answer.reasoning,
        ),
    ]
}

fn turns(messages: Vec<SavedMessage>) -> Result<Vec<Turn>, String> {
    let mut turns = Vec::new();
    let mut messages = messages.into_iter().enumerate();
    while let Some((i, user)) = messages.next() {
        if user.role != Role::User {
            return Err(format!("messages[{i}].role: expected user"));
        }
        if !user.reasoning_content.is_empty() {
            return Err(format!(
                "messages[{i}].reasoning_content: only the model has one"
            ));
        }
        let answer = messages
            .next()
            .filter(|(_, answer)| answer.role == Role::Assistant);
        let Some((_, answer)) = answer else {
            return Err(format!(
                "messages[{i}]: expected an answer of the assistant behind it"
            ));
        };
        turns.push(Turn {
            user: user.content,
            answer: Said {
                content: answer.content,
                reasoning: answer.reasoning_content,
            },
        });
    }
    Ok(turns)
}

/// A path as shells read it: `~/` is the user's home.
fn expanded(file: &str) -> PathBuf {
    match (file.strip_prefix("~/"), etcetera::home_dir()) {
        (Some(rest), Ok(home)) => home.join(rest),
        _ => file.into(),
    }
}
