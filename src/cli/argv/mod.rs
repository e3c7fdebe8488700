//! The command line before clap reads it. Options here are spelt as llama.cpp spells them, several
//! letters behind one dash too, which clap would take for several short options; and llama.cpp's
//! other options are carried out, accepted or refused by name.

mod table;

use std::ffi::{OsStr, OsString};
use std::iter::Peekable;
use std::vec::IntoIter;

use clap::{Arg, Command};

use super::failure::Failure;
use table::{Entry, Meaning, Takes};

/// A command line for clap.
pub(super) struct CommandLine {
    pub(super) args: Vec<OsString>,
    /// What was accepted and does nothing.
    pub(super) idle: Vec<Idle>,
}

/// An option that does nothing here.
#[derive(Debug, PartialEq)]
pub(super) struct Idle {
    /// `-ngl does nothing here: …`
    pub(super) text: String,
    /// Whether someone may have counted on it.
    pub(super) matters: bool,
}

/// Translates a command line, the program's name in front.
pub(super) fn translate(
    args: impl Iterator<Item = OsString>,
    root: &Command,
) -> Result<CommandLine, Failure> {
    let args: Vec<OsString> = args.collect();
    let mut reader = Reader {
        rest: args.into_iter().peekable(),
        commands: vec![root],
        line: CommandLine {
            args: Vec::new(),
            idle: Vec::new(),
        },
    };
    reader.line.args.extend(reader.rest.next());
    while let Some(arg) = reader.rest.next() {
        if arg == "--" {
            reader.line.args.push(arg);
            reader.line.args.extend(reader.rest);
            break;
        }
        reader.read(arg)?;
    }
    Ok(reader.line)
}

struct Reader<'a> {
    rest: Peekable<IntoIter<OsString>>,
    /// The program, and the commands named so far.
    commands: Vec<&'a Command>,
    line: CommandLine,
}

impl<'a> Reader<'a> {
    fn read(&mut self, arg: OsString) -> Result<(), Failure> {
        let Some(text) = arg.to_str().filter(|text| is_option(text)) else {
            let command = self.command();
            self.commands.extend(command.find_subcommand(&arg));
            self.line.args.push(arg);
            return Ok(());
        };
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        if let Some(known) = self.known(name) {
            let values = if value.is_some() { 0 } else { values(known) };
            let dashes = known.is_allow_hyphen_values_set();
            self.line.args.push(arg);
            self.pass_on(values, dashes);
            return Ok(());
        }
        match table::find(name, self.command().get_name()) {
            Some(entry) if self.commands.len() > 1 => self.entry(entry, name, value),
            _ if self.commands.len() == 1 && !is_short(name) => Err(self.no_command(name)),
            // A text may look like an option where texts are expected.
            _ if name.starts_with("--") || is_short(name) || self.takes_any_text() => {
                self.line.args.push(arg);
                Ok(())
            }
            _ => Err(self.unknown(name)),
        }
    }

    fn command(&self) -> &'a Command {
        self.commands[self.commands.len() - 1]
    }

    /// The option of this program that has a name.
    fn known(&self, name: &str) -> Option<&'a Arg> {
        let mut args = self.commands.iter().rev().flat_map(|c| c.get_arguments());
        args.find(|arg| spellings(arg).any(|spelling| spelling == name))
    }

    /// Takes values of a known option over as they are.
    fn pass_on(&mut self, values: usize, dashes: bool) {
        for _ in 0..values {
            let is_value = |next: &OsString| dashes || !next.to_str().is_some_and(is_option);
            self.line.args.extend(self.rest.next_if(is_value));
        }
    }

    fn entry(
        &mut self,
        entry: &'static Entry,
        name: &str,
        attached: Option<&str>,
    ) -> Result<(), Failure> {
        let value = match (entry.takes, attached) {
            (Takes::Nothing, None) => None,
            (Takes::Nothing, Some(_)) => return Err(self.unwanted_value(name)),
            (_, Some(value)) => Some(OsString::from(value)),
            (Takes::Switch, None) => self.rest.next_if(|next| is_one_of(next, table::SWITCH)),
            (Takes::Value | Takes::Two, None) => Some(self.value(name)?),
        };
        if entry.takes == Takes::Two {
            self.value(name)?;
        }
        self.carry_out(entry.meaning, name, value)
    }

    fn carry_out(
        &mut self,
        meaning: Meaning,
        name: &str,
        value: Option<OsString>,
    ) -> Result<(), Failure> {
        let shown = value.as_deref().map(OsStr::to_string_lossy);
        let is = |values: &[&str]| value.as_deref().is_some_and(|v| is_one_of(v, values));
        let idle = |why: &str, matters| Idle {
            text: match &shown {
                Some(value) => format!("{name} {value} does nothing here: {why}"),
                None => format!("{name} does nothing here: {why}"),
            },
            matters,
        };
        match meaning {
            Meaning::As(option) | Meaning::Flag(option) if self.known(option).is_none() => {
                return Err(self.unknown(name));
            }
            Meaning::As(option) => {
                self.line.args.push(option.into());
                self.line.args.extend(value);
            }
            Meaning::Flag(option) => self.line.args.push(option.into()),
            Meaning::Harmless(why) => self.line.idle.push(idle(why, false)),
            Meaning::Told(why) => self.line.idle.push(idle(why, true)),
            Meaning::Unless(values, why, _) if is(values) => {
                self.line.idle.push(idle(why, false));
            }
            Meaning::Refused(why, instead) | Meaning::Unless(_, why, instead) => {
                let given = shown.map_or(String::new(), |value| format!(" {value}"));
                return Err(Failure::usage(
                    format!("{name}{given} cannot be carried out: {why}"),
                    instead,
                ));
            }
            Meaning::When(values, yes, no) => {
                let meaning = if is(values) { yes } else { no };
                return self.carry_out(*meaning, name, value);
            }
        }
        Ok(())
    }

    fn value(&mut self, name: &str) -> Result<OsString, Failure> {
        let next = self
            .rest
            .next_if(|next| !next.to_str().is_some_and(is_option));
        next.ok_or_else(|| {
            Failure::usage(
                format!("{name} needs a value"),
                format!("write it behind, as in `{name} VALUE`"),
            )
        })
    }

    fn unwanted_value(&self, name: &str) -> Failure {
        Failure::usage(
            format!("{name} takes no value"),
            format!("write `{name}` alone"),
        )
    }

    fn takes_any_text(&self) -> bool {
        let mut positionals = self.command().get_positionals();
        positionals.any(|arg| arg.is_allow_hyphen_values_set())
    }

    fn no_command(&self, name: &str) -> Failure {
        let names = self.command().get_subcommands().map(Command::get_name);
        let names: Vec<_> = names.collect();
        Failure::usage(
            format!("{name} stands where a command is expected"),
            format!(
                "`sharpi-compile run -p TEXT` continues a text; the commands are {}",
                names.join(", ")
            ),
        )
    }

    fn unknown(&self, name: &str) -> Failure {
        let command = self.command();
        let own = self.commands.iter().flat_map(|c| c.get_arguments());
        let own = own.filter(|arg| !arg.is_hide_set()).flat_map(spellings);
        let all = own.chain(table::names(command.get_name()).map(String::from));
        let alike = |known: &String| strsim::damerau_levenshtein(known, name);
        let nearest = all.min_by_key(alike).filter(|known| alike(known) <= 2);
        let nearest = nearest.map_or(String::new(), |n| format!("`{n}` is the nearest; "));
        Failure::usage(
            format!("`{}` has no option {name}", command.get_name()),
            format!(
                "{nearest}`sharpi-compile {} --help` lists them",
                self.path()
            ),
        )
    }

    /// The commands so far, as they are typed.
    fn path(&self) -> String {
        let names: Vec<_> = self.commands[1..].iter().map(|c| c.get_name()).collect();
        names.join(" ")
    }
}

/// `-x…` or `--x…`, but no number such as `-1`, and not `-`, which stands for the standard input.
fn is_option(text: &str) -> bool {
    let name = text.trim_start_matches('-');
    text.len() > name.len() && name.starts_with(|c: char| c.is_ascii_alphabetic())
}

/// A single letter, or one with a value at it that no name can be: `-n20`, `-m./model.gguf`.
fn is_short(name: &str) -> bool {
    let Some(letters) = name.strip_prefix('-').filter(|n| !n.starts_with('-')) else {
        return false;
    };
    let in_name = |c: char| c.is_ascii_alphabetic() || c == '-';
    letters.chars().count() == 1 || !letters.chars().all(in_name)
}

fn is_one_of(value: &OsStr, values: &[&str]) -> bool {
    values.iter().any(|known| value == *known)
}

/// How many values have to follow.
fn values(arg: &Arg) -> usize {
    match arg.get_action().takes_values() {
        true => arg.get_num_args().map_or(1, |range| range.min_values()),
        false => 0,
    }
}

/// `-t`, `--threads` and whatever else an option is called.
fn spellings(arg: &Arg) -> impl Iterator<Item = String> {
    let long = arg.get_long_and_visible_aliases().unwrap_or_default();
    let short = arg.get_short_and_visible_aliases().unwrap_or_default();
    let long = long.into_iter().map(|name| format!("--{name}"));
    long.chain(short.into_iter().map(|name| format!("-{name}")))
}

#[cfg(test)]
mod tests;
