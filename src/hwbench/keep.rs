//! Measured ceilings in the user's cache directory, so that they need not be measured again.

use std::fs;
use std::io;
use std::path::PathBuf;

use etcetera::BaseStrategy;

use crate::cost::Ceilings;

use super::{available_threads, cpu, simd};

/// Goes up when what is measured changes, so that older measurements count no more.
const VERSION: u32 = 4;

/// The ceilings of this machine as they were last measured: with its processor, as many threads as
/// it runs at once, and the vector instructions in use; by this program built as it is, since one
/// without optimisation measures far less.
pub fn kept() -> Option<Ceilings> {
    let text = fs::read_to_string(path()?).ok()?;
    Ceilings::parse(&text).ok()
}

/// Keeps the ceilings of this machine; the file is returned. What was kept before should be in them
/// ([`Ceilings::merge`]).
///
/// # Errors
/// A file that cannot be written, or no home directory to write to.
pub fn keep(ceilings: &Ceilings) -> io::Result<PathBuf> {
    let path = path().ok_or_else(|| io::Error::other("the user has no home directory"))?;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    // In one go, so that another program never reads half of it.
    let part = path.with_extension(format!("{}.part", std::process::id()));
    fs::write(&part, serde_json::to_string_pretty(ceilings)?)?;
    fs::rename(&part, &path)?;
    Ok(path)
}

fn path() -> Option<PathBuf> {
    let folder = etcetera::choose_base_strategy().ok()?.cache_dir();
    let plain = |c: char| match c.is_ascii_alphanumeric() {
        true => c.to_ascii_lowercase(),
        false => '-',
    };
    let (cpu, threads) = (cpu(), available_threads());
    let cpu: String = cpu.chars().map(plain).collect();
    let build = if cfg!(debug_assertions) { "-debug" } else { "" };
    let file = format!(
        "ceilings-{VERSION}-{cpu}-{}-{threads}{build}.json",
        simd::used()
    );
    Some(folder.join("sharpi-compile").join(file))
}
