//! Runs the files of `fixtures/filetests/{parse,verify}`.
//!
//! A file is a module in its printed form, after comment lines that say what it is about. What is
//! wrong with a line stands in comments under it, or beside it where there is but one:
//!
//! ```text
//!     %0 = silo %x : f32[T, 4]
//!     ; error: column 10: there is no op `silo`; expected `silu`
//! ```
//!
//! A file without such comments parses, prints back to itself and has no faults. `BLESS=1`
//! rewrites the comments, and the module where it is not in printed form.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use sharpi_ir::{text, verify};

const MARK: &str = "; error: ";

/// Messages by the number of their line, from 0.
type Messages = BTreeMap<usize, Vec<String>>;

/// A file without its expectations, and these.
struct Case {
    lines: Vec<String>,
    expected: Messages,
}

impl Case {
    fn read(text: &str) -> Case {
        let mut lines: Vec<String> = Vec::new();
        let mut expected = Messages::new();
        for line in text.lines() {
            let Some((code, message)) = line.split_once(MARK) else {
                lines.push(line.to_string());
                continue;
            };
            if !code.trim().is_empty() {
                lines.push(code.trim_end().to_string());
            }
            let at = lines.len().saturating_sub(1);
            expected.entry(at).or_default().push(message.to_string());
        }
        Case { lines, expected }
    }

    fn source(&self) -> String {
        self.lines.iter().map(|l| format!("{l}\n")).collect()
    }

    /// Lines of comment before the module.
    fn header(&self) -> usize {
        let comment = |l: &&String| l.starts_with(';');
        self.lines.iter().take_while(comment).count()
    }

    fn module_text(&self) -> String {
        let lines = self.lines[self.header()..].iter();
        lines.map(|l| format!("{l}\n")).collect()
    }

    /// What the parser and the verifier say. A module that parses is put in printed form.
    fn run(&mut self) -> Messages {
        let mut found = Messages::new();
        match text::parse(&self.source()) {
            Err(e) => {
                let message = format!(
                    "column {}: {}; expected {}",
                    e.column, e.message, e.expected
                );
                found.insert(e.line - 1, vec![message]);
            }
            Ok(module) => {
                let header = self.header();
                self.lines.truncate(header);
                self.lines
                    .extend(text::print(&module).lines().map(String::from));
                for fault in verify(&module).err().into_iter().flat_map(|e| e.faults) {
                    let line = header + fault.line - 1;
                    found.entry(line).or_default().push(fault.message);
                }
            }
        }
        found
    }

    fn blessed(&self, found: &Messages) -> String {
        let mut out = String::new();
        for (i, line) in self.lines.iter().enumerate() {
            let _ = writeln!(out, "{line}");
            let indent = &line[..line.len() - line.trim_start().len()];
            for message in found.get(&i).into_iter().flatten() {
                let _ = writeln!(out, "{indent}{MARK}{message}");
            }
        }
        out
    }
}

fn files(folder: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/filetests");
    let entries = fs::read_dir(root.join(folder)).expect("the folder of filetests");
    let paths = entries.map(|e| e.expect("a file of the folder").path());
    let mut paths: Vec<_> = paths
        .filter(|p| p.extension().is_some_and(|e| e == "sir"))
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "no filetests in {folder}");
    paths
}

/// What is wrong with a file, if something is.
fn check(path: &Path) -> Result<(), String> {
    let text = fs::read_to_string(path).map_err(|e| e.to_string())?;
    let mut case = Case::read(&text);
    let written = case.module_text();
    let found = case.run();
    if found == case.expected && written == case.module_text() {
        return Ok(());
    }
    let blessed = case.blessed(&found);
    if std::env::var_os("BLESS").is_some() {
        return fs::write(path, blessed).map_err(|e| e.to_string());
    }
    Err(format!("is\n{text}\nshould be\n{blessed}"))
}

fn check_all(folder: &str) {
    let failures: Vec<String> = (files(folder).iter())
        .filter_map(|path| Some(format!("{}: {}", path.display(), check(path).err()?)))
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn parse_files_print_back_or_fail_where_they_say() {
    check_all("parse");
}

#[test]
fn verify_files_have_the_faults_that_they_say() {
    check_all("verify");
    for path in files("verify") {
        let text = fs::read_to_string(&path).expect("a filetest");
        let case = Case::read(&text);
        assert!(
            text::parse(&case.source()).is_ok(),
            "{} does not parse",
            path.display()
        );
    }
}
