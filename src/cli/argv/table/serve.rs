//! Options that llama-server has alone, or with another meaning than other programs.

use super::Meaning::{As, Flag, Harmless, Told};
use super::Takes::{Nothing, Value};
use super::{Entry, entry};

const TOGETHER: &str = "requests always run together";
const PAGE: &str = "the page is there unless --no-webui is given";

#[rustfmt::skip]
pub(super) const OPTIONS: &[Entry] = &[
    entry(&["-np"], Value, As("--parallel")),
    entry(&["-cram"], Value, As("--cache-ram")),
    entry(&["-a"], Value, As("--alias")),
    entry(&["-cb", "--cont-batching"], Nothing, Harmless(TOGETHER)),
    entry(&["-nocb", "--no-cont-batching"], Nothing, Told(TOGETHER)),
    entry(&["--jinja"], Nothing, Harmless("templates are always Jinja programs")),
    entry(&["--slots"], Nothing, Harmless("/slots answers unless --no-slots is given")),
    entry(&["--webui", "--ui"], Nothing, Harmless(PAGE)),
    entry(&["--no-ui"], Nothing, Flag("--no-webui")),
    entry(&["-to", "--timeout"], Value, Told("a client that reads nothing for a minute is dropped")),
    entry(&["--threads-http"], Value, Harmless("two threads read and write")),
];
