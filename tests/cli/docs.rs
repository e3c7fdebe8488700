//! README and docs: the commands that they show print what they show, and their links lead somewhere.
//!
//! In what a page shows, `…` stands for anything, and on a line of its own for any lines. A block
//! behind `<!-- figures vary -->` is compared without its numbers, one behind `<!-- not run: why -->`
//! not at all.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::tempdir;

/// README.md and all pages.
fn pages() -> Vec<PathBuf> {
    let docs = fs::read_dir("docs")
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut pages: Vec<PathBuf> = docs
        .filter(|p| p.extension().is_some_and(|e| e == "md"))
        .collect();
    pages.push("README.md".into());
    pages.sort();
    pages
}

/// A command of a page and what the page shows of its output.
struct Shown {
    line: usize,
    command: String,
    output: Vec<String>,
    /// Whether numbers are those of some other moment.
    vary: bool,
}

/// The commands in the blocks that are to be run.
fn shown(page: &str) -> Vec<Shown> {
    let mut found: Vec<Shown> = Vec::new();
    let (mut block, mut marker) = (None, "");
    for (line, text) in page.lines().enumerate() {
        match block {
            None if text == "```console" => block = Some(marker),
            None => marker = text,
            Some(_) if text == "```" => (block, marker) = (None, ""),
            Some(marker) if marker.starts_with("<!-- not run: ") => {}
            Some(marker) => match (text.strip_prefix("$ "), found.last_mut()) {
                (Some(command), _) => found.push(Shown {
                    line: line + 1,
                    command: command.into(),
                    output: Vec::new(),
                    vary: marker == "<!-- figures vary -->",
                }),
                (None, Some(shown)) => shown.output.push(text.into()),
                (None, None) => panic!("line {}: output without a command", line + 1),
            },
        }
    }
    found
}

/// The command for the built program; `None` for what needs cargo.
fn runnable(command: &str) -> Option<String> {
    let command = command.replace("cargo run --release -- ", "sharpi-compile ");
    (!command.starts_with("cargo ")).then_some(command)
}

/// What a shell prints of a command in a folder.
fn printed(command: &str, folder: &Path) -> Vec<String> {
    let program = assert_cmd::cargo::cargo_bin!("sharpi-compile");
    let path = std::env::var("PATH").unwrap();
    let bin = program.parent().unwrap().display();
    let child = Command::new("sh")
        .args(["-c", command])
        .current_dir(folder)
        .env("PATH", format!("{bin}:{path}"))
        .env("XDG_CACHE_HOME", folder)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output();
    let text = String::from_utf8(child.unwrap().stdout).unwrap();
    text.lines()
        .map(|line| line.trim_end().to_string())
        .collect()
}

/// Numbers with their units become `#`, and what lines columns up becomes one character.
fn without_figures(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let in_word = out.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '@');
        if c.is_ascii_digit() && !in_word {
            rest = &rest[digits..];
            rest = rest
                .strip_prefix(' ')
                .filter(|r| unit(r) > 0)
                .unwrap_or(rest);
            rest = &rest[unit(rest)..];
            out.push('#');
        } else {
            rest = &rest[c.len_utf8()..];
            let filling = " -─━·:".contains(c);
            if !filling || !out.ends_with(c) {
                out.push(c);
            }
        }
    }
    out.trim().to_string()
}

/// The length of a unit with or without a prefix, at the beginning of a text.
fn unit(text: &str) -> usize {
    let end = text
        .find(|c: char| !c.is_alphanumeric() && c != '/')
        .unwrap_or(text.len());
    let bare = text[..end].trim_start_matches(['n', 'µ', 'm', 'k', 'M', 'G', 'T']);
    if ["", "s", "B", "B/s"].contains(&bare) {
        end
    } else {
        0
    }
}

/// Whether a line fits one with `…` in it.
fn line_fits(shown: &str, printed: &str) -> bool {
    let Some((first, others)) = shown.split_once('…') else {
        return shown == printed;
    };
    let (middle, last) = others.rsplit_once('…').unwrap_or(("", others));
    let Some(rest) = printed.strip_prefix(first) else {
        return false;
    };
    let Some(mut rest) = rest.strip_suffix(last) else {
        return false;
    };
    middle.split('…').all(|part| {
        let at = rest.find(part);
        at.inspect(|at| rest = &rest[at + part.len()..]).is_some()
    })
}

/// Whether lines fit others, of which `…` stands for any.
fn fits(shown: &[String], printed: &[String]) -> bool {
    match (shown.split_first(), printed.split_first()) {
        (None, None) => true,
        (Some((first, rest)), _) if first.trim() == "…" => {
            (0..=printed.len()).any(|n| fits(rest, &printed[n..]))
        }
        (Some((a, shown)), Some((b, printed))) => line_fits(a, b) && fits(shown, printed),
        _ => false,
    }
}

fn check(shown: &Shown, printed: Vec<String>) -> Result<(), String> {
    let plain = |line: &String| line.trim_end().to_string();
    // Errors end with an empty line.
    let end = printed.iter().rposition(|line| !line.is_empty());
    let printed = &printed[..end.map_or(0, |last| last + 1)];
    let bare = |line: &String| without_figures(line);
    let list = |lines: &[String]| match shown.vary {
        true => lines.iter().map(bare).collect::<Vec<_>>(),
        false => lines.iter().map(plain).collect(),
    };
    match fits(&list(&shown.output), &list(printed)) {
        true => Ok(()),
        false => Err(format!(
            "{}: {}\nshown:\n{}\nprinted:\n{}\n",
            shown.line,
            shown.command,
            shown.output.join("\n"),
            printed.join("\n")
        )),
    }
}

#[test]
fn shown_commands_print_what_is_shown() {
    let (mut run, mut wrong) = (0, Vec::new());
    for page in pages() {
        let folder = tempdir().unwrap();
        let fixtures = fs::canonicalize("fixtures").unwrap();
        std::os::unix::fs::symlink(fixtures, folder.path().join("fixtures")).unwrap();
        for shown in shown(&fs::read_to_string(&page).unwrap()) {
            let Some(command) = runnable(&shown.command) else {
                continue;
            };
            run += 1;
            let told = check(&shown, printed(&command, folder.path()));
            wrong.extend(
                told.err()
                    .map(|fault| format!("{}:{fault}", page.display())),
            );
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(run >= 18, "only {run} commands were found");
}

/// A heading's anchor, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    let kept = kept
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// Lines of a page that are text.
fn prose(page: &str) -> impl Iterator<Item = &str> {
    let mut fenced = false;
    page.lines().filter(move |line| {
        let fence = line.starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    })
}

fn anchors(page: &str) -> HashSet<String> {
    let headings = prose(page).filter(|line| line.starts_with('#'));
    headings
        .map(|line| anchor(line.trim_start_matches('#')))
        .collect()
}

#[test]
fn links_lead_to_files_and_headings_that_exist() {
    let (mut links, mut dead) = (0, Vec::new());
    for path in pages() {
        let page = fs::read_to_string(&path).unwrap();
        let text: Vec<&str> = prose(&page).collect();
        let text = text.join("\n");
        for link in text.split("](").skip(1) {
            let link = link.split(')').next().unwrap();
            if link.contains("://") {
                continue;
            }
            links += 1;
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => path.clone(),
                file => path.parent().unwrap().join(file),
            };
            let there = match heading {
                "" => target.exists(),
                heading => {
                    fs::read_to_string(&target).is_ok_and(|page| anchors(&page).contains(heading))
                }
            };
            if !there {
                dead.push(format!("{}: {link}", path.display()));
            }
        }
    }
    assert!(dead.is_empty(), "{dead:?}");
    assert!(links >= 20, "only {links} links were found");
}

#[test]
fn what_is_shown_fits_what_is_printed_with_dots_and_without_figures() {
    let lines = |text: &str| text.lines().map(String::from).collect::<Vec<_>>();
    assert!(fits(&lines("a\n…\nd"), &lines("a\nb\nc\nd")));
    assert!(fits(&lines("a … d\n…"), &lines("a b c d")));
    assert!(!fits(&lines("a\n…\nd"), &lines("a\nb")));
    assert!(!fits(&lines("a…c"), &lines("abd")));
    assert!(
        line_fits("x…", "xyz")
            && line_fits("…z", "xyzz")
            && line_fits("a…b…", "a b c b")
            && !line_fits("x", "xy")
    );
    assert_eq!(
        without_figures("time  3.25 ms, @x-0 12 %"),
        "time #, @x-# # %"
    );
    assert_eq!(without_figures("0.004 s"), without_figures("12 µs"));
    assert_ne!(without_figures("12 rounds"), without_figures("12 rows"));
}
