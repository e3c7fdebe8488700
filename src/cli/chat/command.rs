//! Commands: lines that begin with a slash.

use sharpi_ir::plain::Plain;

use crate::cli::failure::Failure;

/// A command with its arguments.
#[derive(Debug, PartialEq)]
pub(super) enum Command<'a> {
    Help,
    Clear,
    Regen,
    /// The text, if there is one.
    System(Option<&'a str>),
    /// A name, and a value for it.
    Params(Option<(&'a str, Option<&'a str>)>),
    Save(&'a str),
    Load(&'a str),
    Stats,
    Exit,
}

/// What somebody has typed.
#[derive(Debug, PartialEq)]
pub(super) enum Line<'a> {
    Nothing,
    Command(Command<'a>),
    Message(&'a str),
}

/// Names, arguments and what the commands do.
const COMMANDS: &[(&str, &str, &str)] = &[
    ("/help", "", "lists the commands"),
    (
        "/clear",
        "",
        "forgets what was said; what /system told stays",
    ),
    ("/regen", "", "answers the last message again"),
    (
        "/system",
        "[TEXT]",
        "tells the model something before all, or shows that; \"\" takes it away",
    ),
    (
        "/params",
        "[NAME [VALUE]]",
        "shows how answers are made, or changes it",
    ),
    ("/save", "FILE", "writes the conversation to a file"),
    ("/load", "FILE", "goes on with a conversation from a file"),
    ("/stats", "", "shows what the answers took"),
    ("/exit", "", "leaves; Ctrl-D does too"),
];

const LINES: &str = "\
A line that ends with \\ goes on with the next, and so does one that Alt+Enter ends. A text between
\"\"\" and \"\"\" may have any lines. A message that begins with a slash is written with two. Ctrl-C ends
an answer; what has come of it is kept.";

/// What `/help` shows.
pub(super) fn help() -> String {
    let rows = COMMANDS.iter().map(|(name, args, does)| {
        let usage = format!("{name} {args}");
        format!("  {usage:24}{does}\n")
    });
    rows.collect::<String>() + LINES
}

/// The names of all commands.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    COMMANDS.iter().map(|(name, ..)| *name)
}

impl<'a> Line<'a> {
    /// Reads what somebody has typed.
    ///
    /// # Errors
    /// A command that there is not, with the nearest, or that wants other arguments.
    pub(super) fn read(text: &'a str) -> Result<Line<'a>, Failure> {
        let bare = text.trim();
        if bare.is_empty() {
            return Ok(Line::Nothing);
        }
        if let Some(behind) = bare.strip_prefix('/') {
            return match behind.starts_with('/') {
                true => Ok(Line::Message(behind)),
                false => Command::read(bare).map(Line::Command),
            };
        }
        Ok(Line::Message(text))
    }
}

impl<'a> Command<'a> {
    fn read(text: &'a str) -> Result<Command<'a>, Failure> {
        let (name, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let rest = Some(rest.trim()).filter(|rest| !rest.is_empty());
        let Some((name, args, _)) = COMMANDS.iter().find(|(known, ..)| *known == name) else {
            return Err(unknown(name));
        };
        let fault = || {
            let takes = if args.is_empty() { "nothing" } else { args };
            Failure::usage(
                format!("{name} takes {takes}"),
                format!("write `{name} {args}`").replace(" `", "`"),
            )
        };
        match (*name, rest) {
            ("/help", None) => Ok(Command::Help),
            ("/clear", None) => Ok(Command::Clear),
            ("/regen", None) => Ok(Command::Regen),
            ("/system", text) => Ok(Command::System(text)),
            ("/params", rest) => {
                Ok(Command::Params(rest.map(
                    |rest| match rest.split_once(char::is_whitespace) {
                        Some((name, value)) => (name, Some(value.trim())),
                        None => (rest, None),
                    },
                )))
            }
            ("/save", Some(file)) => Ok(Command::Save(file)),
            ("/load", Some(file)) => Ok(Command::Load(file)),
            ("/stats", None) => Ok(Command::Stats),
            ("/exit", None) => Ok(Command::Exit),
            _ => Err(fault()),
        }
    }
}

fn unknown(name: &str) -> Failure {
    let alike = |known: &&str| strsim::damerau_levenshtein(known, name);
    let nearest = names().min_by_key(alike).filter(|known| alike(known) <= 2);
    let nearest = nearest.map_or(String::new(), |n| format!("`{n}` is the nearest; "));
    let shown = Plain(name);
    Failure::usage(
        format!("there is no command {shown}"),
        format!("{nearest}/help lists the commands; for a message write `/{shown}`"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Line<'_> {
        Line::read(text).unwrap_or_else(|_| panic!("{text} is refused"))
    }

    #[test]
    fn each_command_that_help_lists_is_read() {
        for (name, args, _) in COMMANDS {
            let line = format!("{name} {args}");
            assert!(matches!(read(&line), Line::Command(_)), "{line}");
            assert!(help().contains(name));
        }
    }

    #[test]
    fn a_line_is_a_message_a_command_or_nothing() {
        assert_eq!(read("  \n"), Line::Nothing);
        assert_eq!(read(" what is /help?"), Line::Message(" what is /help?"));
        assert_eq!(read("//etc"), Line::Message("/etc"));
        assert_eq!(
            read("/system a b\nc"),
            Line::Command(Command::System(Some("a b\nc")))
        );
        let set = Command::Params(Some(("temp", Some("0.5"))));
        assert_eq!(read("/params  temp  0.5"), Line::Command(set));
        assert!(Line::read("/clear now").is_err() && Line::read("/save").is_err());
        assert!(Line::read("/").is_err() && Line::read("/hepl").is_err());
    }
}
