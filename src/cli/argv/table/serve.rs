//! Options that llama-server has alone, or with another meaning than other programs.

use super::Meaning::{As, Flag, Harmless, Refused, Told, When};
use super::Takes::{Nothing, Switch, Value};
use super::{Entry, entry};

const TOGETHER: &str = "requests always run together";
const BY_BUDGET: &str = "models that reason do so unless their budget is 0";
const BY_REQUEST: &str = "requests have `reasoning_effort`";
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
    entry(&["-to"], Value, As("--timeout")),
    entry(&["-rea", "--reasoning"], Switch, When(super::OFF, &Refused(BY_BUDGET, "use --reasoning-budget 0"), &Harmless(BY_BUDGET))),
    entry(&["--reasoning-effort"], Value, Refused(BY_REQUEST, "use --chat-template-kwargs '{\"reasoning_effort\": \"low\"}'")),
    entry(&["--reasoning-budget-message"], Value, Refused("reasoning ends with its mark alone", "leave it away")),
    entry(&["--threads-http"], Value, Harmless("two threads read and write")),
];
