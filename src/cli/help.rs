//! What `--help` shows beside the options: commands in groups, and examples.

use clap::{Arg, Command, CommandFactory};

use super::{Cli, version};

/// The program's name.
pub(super) const NAME: &str = "sharpi-compile";

/// Commands by what they are for.
const GROUPS: [(&str, &[&str]); 5] = [
    ("Run a model", &["run", "chat", "serve", "bench", "profile"]),
    ("Look into a file", &["inspect", "tokenize", "detokenize"]),
    (
        "Know before running",
        &["memory", "cost", "hwbench", "synth"],
    ),
    ("Trust the result", &["replay", "parity", "perplexity"]),
    ("See the compiler", &["dump-graph", "passes", "reduce"]),
];

/// Options by what they are about, in all commands that have them; others stand under `Options`.
const HEADINGS: [(&str, &[&str]); 8] = [
    ("Prompt", &["prompt", "file", "escape", "no-escape"]),
    (
        "Conversation",
        &[
            "chat",
            "system",
            "system-file",
            "chat-template",
            "chat-template-file",
            "chat-template-kwargs",
            "think",
            "no-think",
            "reasoning-format",
            "show-prompt",
        ],
    ),
    (
        "Drafting",
        &[
            "model-draft",
            "spec-type",
            "spec-draft-n-max",
            "spec-draft-n-min",
            "spec-draft-p-min",
            "draft-vocab",
            "trace-mtp",
        ],
    ),
    (
        "Sampling (llama.cpp's defaults, once --temp is above 0)",
        &[
            "temp",
            "top-k",
            "top-p",
            "min-p",
            "seed",
            "repeat-penalty",
            "repeat-last-n",
        ],
    ),
    (
        "Form of the text",
        &["grammar", "grammar-file", "json-schema", "json-schema-file"],
    ),
    (
        "Machine",
        &[
            "threads",
            "pin",
            "no-repack",
            "repack-cache",
            "mlock",
            "ranks",
            "numa",
        ],
    ),
    (
        "Graphs",
        &[
            "batch-size",
            "ubatch-size",
            "cache-type-k",
            "cache-type-v",
            "passes",
            "skip-pass",
            "fuel",
            "dump-after-each",
        ],
    ),
    ("Messages", &["verbose", "quiet"]),
];

/// Where commands stand that no group names.
const OTHERS: &str = "The program itself";

/// Examples of each command, without the program's name.
const EXAMPLES: &[(&str, &[&str])] = &[
    (
        "run",
        &[
            "run -p 'KING RICHARD III:' -n 60",
            "run -m model.gguf -f prompt.txt -n -1 -c 8192",
            "run -m model.gguf --chat -p 'Who was Ada Lovelace?' -n -1",
            "run -m model.gguf -p Once --temp 0.8 --top-k 20 -s 42",
            "run -m model.gguf -p Once --spec-type auto --json",
            "run -m model.gguf -p 'A year: ' --grammar 'root ::= [12] [0-9]{3}'",
            "run -m model.gguf -p Once --ranks 2 --numa",
            "run -m model.gguf -p 'As JSON: ' -n 200 -j '{\"type\": \"object\"}'",
        ],
    ),
    (
        "chat",
        &[
            "chat -m model.gguf --spec-type auto -c 8192",
            "chat -m model.gguf -sys 'Answer in one sentence.' -p 'Why is the sky blue?'",
            "chat -m model.gguf --no-think --temp 0.7 -s 42",
            "chat -m model.gguf --show-prompt -p Hello",
        ],
    ),
    (
        "serve",
        &[
            "serve -m model.gguf -np 8 -c 8192 --spec-type auto",
            "serve --port 8081 --api-key KEY --metrics",
        ],
    ),
    (
        "bench",
        &[
            "bench -m model.gguf -p 512 -n 128 -t 1,2",
            "bench -m model.gguf -p 0 -n 64 -d 0-4096+1024 -o jsonl",
            "bench -m model.gguf -p 0 -n 64 --spec-draft-n-max 0,2",
        ],
    ),
    (
        "profile",
        &[
            "profile -m model.gguf -p 'Once upon' -n 64 --export trace.json",
            "profile -m model.gguf -p 'Once upon' -n 64 --html profile.html",
        ],
    ),
    (
        "dump-graph",
        &[
            "dump-graph model.gguf --format html -o graphs.html",
            "dump-graph model.gguf --graph mtp",
            "dump-graph -m model.gguf --stage planned --layers 0-3",
            "dump-graph model.gguf --no-fold -o graph.sir",
            "dump-graph model.gguf --ranks 4 --rank 2 --stage fused",
            "dump-graph --graph trunk --before fuse-epilogue --after fuse-epilogue",
        ],
    ),
    (
        "inspect",
        &["inspect model.gguf", "inspect -m model.gguf --json"],
    ),
    (
        "parity",
        &[
            "parity -m model.gguf --golden captures.json",
            "parity capture --prompt ROMEO: -n 64 -o captures.json",
        ],
    ),
    (
        "replay",
        &[
            "run -p ROMEO: -n 20 --temp 0.8 --receipt receipt.json",
            "replay receipt.json",
            "replay receipt.json -m model.gguf -t 1 --spec-type auto",
        ],
    ),
    (
        "perplexity",
        &[
            "perplexity -m model.gguf -f text.txt",
            "perplexity -m model.gguf --kl-divergence --kl-divergence-base text.kld",
        ],
    ),
    (
        "tokenize",
        &["tokenize -m model.gguf 'Hello, world'", "tokenize --json -"],
    ),
    ("detokenize", &["detokenize -m model.gguf --ids 870,25"]),
    (
        "synth",
        &["synth --preset 4b -o synth-4b.gguf --mtp-accept 0.8"],
    ),
    (
        "cost",
        &[
            "cost -m model.gguf",
            "cost -m model.gguf --width 1,512 --no-fold",
            "cost -m model.gguf --ranks 1,2,4,8 --link 50us,10Gbit",
        ],
    ),
    (
        "memory",
        &[
            "memory -m model.gguf -c 8192 --spec-draft-n-max 2 --fit 24GiB",
            "memory -m model.gguf --ranks 4",
        ],
    ),
    (
        "hwbench",
        &["hwbench", "hwbench --force --json", "hwbench --mpi"],
    ),
    ("passes", &["passes"]),
    (
        "reduce",
        &["reduce graph.sir -- sh -c '! sharpi-compile dump-graph {} --stage planned'"],
    ),
    (
        "completions",
        &["completions bash > ~/.local/share/bash-completion/completions/sharpi-compile"],
    ),
    ("man", &["man | man -l -", "man run | man -l -"]),
];

const EXIT_CODES: &str = "\
Exit codes: 0 ok, 1 failure, 2 wrong usage, 3 a comparison failed, 4 unsupported model, 130 ended by
Ctrl-C.
Options of llama.cpp are understood too: `-ctk TYPE` and `-ctv TYPE` stand for `--cache-type-k TYPE`
and `--cache-type-v TYPE`; -v says which do nothing here.";

/// The whole command line.
pub(super) fn command() -> Command {
    let mut command = Cli::command()
        .version(version::short())
        .long_version(version::long())
        .max_term_width(120)
        .mut_args(under_heading);
    for (name, lines) in EXAMPLES {
        if command.find_subcommand(name).is_some() {
            command = command.mut_subcommand(name, |c| c.after_help(examples(lines)));
        }
    }
    let names = command.get_subcommands().map(|c| c.get_name().to_string());
    for name in names.collect::<Vec<_>>() {
        command = command.mut_subcommand(name, |c| c.mut_args(under_heading));
    }
    let groups = grouped(&command);
    command
        .help_template(format!(
            "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{groups}Options:\n{{options}}{{after-help}}"
        ))
        .after_help(EXIT_CODES)
}

fn under_heading(arg: Arg) -> Arg {
    let about = |names: &[&str]| arg.get_long().is_some_and(|long| names.contains(&long));
    let heading = HEADINGS.iter().find(|(_, names)| about(names));
    match heading {
        Some((heading, _)) => arg.help_heading(*heading),
        None => arg,
    }
}

fn examples(lines: &[&str]) -> String {
    let lines = lines.iter().map(|line| format!("\n  {NAME} {line}"));
    format!("Examples:{}", lines.collect::<String>())
}

/// The commands under their headings.
fn grouped(root: &Command) -> String {
    let named = |name: &str| GROUPS.iter().any(|(_, names)| names.contains(&name));
    let all = || root.get_subcommands().map(Command::get_name);
    let others: Vec<&str> = all().filter(|name| !named(name)).collect();
    let groups = GROUPS.iter().map(|(heading, names)| (*heading, *names));
    let width = all().map(str::len).max().unwrap_or(0);
    let mut text = String::new();
    for (heading, names) in groups.chain([(OTHERS, others.as_slice())]) {
        text += &format!("{heading}:\n");
        for command in names.iter().filter_map(|name| root.find_subcommand(name)) {
            let about = command.get_about().map(ToString::to_string);
            let about = about.unwrap_or_default();
            text += &format!("  {:width$}  {about}\n", command.get_name());
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::cli::argv;

    #[test]
    fn the_command_line_is_free_of_contradictions() {
        command().debug_assert();
    }

    #[test]
    fn each_command_has_an_example() {
        let with: HashSet<&str> = EXAMPLES.iter().map(|(name, _)| *name).collect();
        for command in command().get_subcommands() {
            assert!(with.contains(command.get_name()), "{}", command.get_name());
        }
    }

    /// Words of a line as a shell parts them, up to a pipe or a redirection.
    fn words(line: &str) -> Vec<String> {
        let mut words = vec![NAME.to_string()];
        let mut quoted = false;
        for part in line.split(' ').take_while(|p| !["|", ">"].contains(p)) {
            match quoted {
                true => *words.last_mut().unwrap() += &format!(" {part}"),
                false => words.push(part.into()),
            }
            quoted ^= part.matches('\'').count() % 2 == 1;
        }
        words.iter().map(|word| word.replace('\'', "")).collect()
    }

    #[test]
    fn examples_are_right_command_lines() {
        let mut root = command();
        root.build();
        for (_, lines) in EXAMPLES {
            for line in *lines {
                let words = words(line).into_iter().map(Into::into);
                let Ok(translated) = argv::translate(words, &root) else {
                    panic!("{line} is refused");
                };
                let found = root.clone().try_get_matches_from(translated.args);
                assert!(found.is_ok(), "{line}: {}", found.unwrap_err());
            }
        }
    }
}
