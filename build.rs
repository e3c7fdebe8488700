//! What the program says about its build: the commit, if it is built from a checkout, and the target.

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=SHARPI_COMMIT");
    let target = env::var("TARGET").unwrap_or_default();
    println!("cargo::rustc-env=SHARPI_TARGET={target}");
    let profile = env::var("PROFILE").unwrap_or_default();
    println!("cargo::rustc-env=SHARPI_PROFILE={profile}");
    // Who builds from an archive can name its commit.
    let commit = env::var("SHARPI_COMMIT").ok().or_else(commit);
    if let Some(commit) = commit {
        println!("cargo::rustc-env=SHARPI_COMMIT={commit}");
    }
}

/// The commit and its date; `None` without git, and where the folder is part of another repository.
fn commit() -> Option<String> {
    let top = git(&["rev-parse", "--show-toplevel"])?;
    let here = env::var("CARGO_MANIFEST_DIR").ok()?;
    if Path::new(&top).canonicalize().ok()? != Path::new(&here).canonicalize().ok()? {
        return None;
    }
    // Each commit and each checkout adds a line to this log.
    let log = git(&["rev-parse", "--git-path", "logs/HEAD"])?;
    if Path::new(&log).exists() {
        println!("cargo::rerun-if-changed={log}");
    }
    git(&["log", "-1", "--format=%h (%cs)", "--abbrev=10"])
}

fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let text = text.trim();
    (output.status.success() && !text.is_empty()).then(|| text.to_string())
}
