//! llama.cpp's options that this program does not have under the same name, and what becomes of
//! each.

mod bench;
mod common;
mod conversation;
mod serve;

/// An option of llama.cpp.
pub(super) struct Entry {
    /// Its spellings.
    pub(super) names: &'static [&'static str],
    pub(super) takes: Takes,
    pub(super) meaning: Meaning,
}

/// Whether a value follows.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Takes {
    Nothing,
    Value,
    /// `on`, `off` and the like, which older versions leave out.
    Switch,
    /// Two of them.
    Two,
}

/// What becomes of an option.
#[derive(Clone, Copy)]
pub(super) enum Meaning {
    /// An option of this program; the value goes with it.
    As(&'static str),
    /// An option of this program without a value.
    Flag(&'static str),
    /// It changes nothing here, for this reason: said with `-v` only.
    Harmless(&'static str),
    /// It is not done, which changes no token: always said.
    Told(&'static str),
    /// It would change what comes out and cannot be done: why, and what to do instead.
    Refused(&'static str, &'static str),
    /// Refused, unless the value is one of these, with which it does nothing.
    Unless(&'static [&'static str], &'static str, &'static str),
    /// By the value: what these values mean, and what all others do.
    When(&'static [&'static str], &'static Meaning, &'static Meaning),
}

/// The switch words, of which `-fa` and the like may have one.
pub(super) const SWITCH: &[&str] = &["on", "off", "auto", "0", "1", "true", "false", "enabled"];

/// Values with which a switch is off.
const OFF: &[&str] = &["0", "off", "false", "disabled"];
/// Values with which it is on.
const ON: &[&str] = &["1", "on", "true", "enabled"];

/// What a command has before what all have: llama-bench's options, llama-server's, and those of
/// conversations.
fn own(command: &str) -> &'static [&'static [Entry]] {
    match command {
        "bench" => &[bench::OPTIONS],
        "chat" => &[conversation::CHAT, conversation::BOTH],
        "run" => &[conversation::RUN, conversation::BOTH],
        "serve" => &[serve::OPTIONS],
        _ => &[],
    }
}

/// All that a command knows, what counts first in front.
fn all(command: &str) -> impl Iterator<Item = &'static Entry> {
    own(command)
        .iter()
        .copied()
        .flatten()
        .chain(common::OPTIONS)
}

/// The entry of a name for a command.
pub(super) fn find(name: &str, command: &str) -> Option<&'static Entry> {
    all(command).find(|entry| entry.names.contains(&name))
}

/// All names that a command knows, for suggestions.
pub(super) fn names(command: &str) -> impl Iterator<Item = &'static str> {
    all(command).flat_map(|entry| entry.names).copied()
}

const fn entry(names: &'static [&'static str], takes: Takes, meaning: Meaning) -> Entry {
    Entry {
        names,
        takes,
        meaning,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_option_is_listed_once() {
        let commands = ["bench", "chat", "run", "serve"].map(own);
        for tables in commands.into_iter().chain([&[common::OPTIONS] as _]) {
            let mut seen = HashSet::new();
            for name in tables
                .iter()
                .copied()
                .flatten()
                .flat_map(|entry| entry.names)
            {
                assert!(name.starts_with('-'), "{name}");
                assert!(seen.insert(name), "{name} is listed twice");
            }
        }
    }
}
