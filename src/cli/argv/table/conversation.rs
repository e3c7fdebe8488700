//! Options of llama-cli that are about conversations, for the commands that hold them.

use super::Meaning::{As, Flag, Harmless, Refused, Unless, When};
use super::Takes::{Nothing, Switch, Value};
use super::{Entry, OFF, ON, entry};

const JINJA: &str = "templates are always Jinja programs";
const ASKED: &str = "the last message is the user's";
const UNBOUNDED: &str = "thoughts have no budget of their own";
const BOUNDED: &str = "--no-think leaves them away, -n N bounds thoughts and answer together";
const TEMPLATE: &str = "the template writes what stands around a message";
const NAME_TEMPLATE: &str = "name another template with --chat-template";

/// What `run` and `chat` have in common.
#[rustfmt::skip]
pub(super) const BOTH: &[Entry] = &[
    entry(&["-sys", "--system-prompt"], Value, As("--system")),
    entry(&["-sysf", "--system-prompt-file"], Value, As("--system-file")),
    entry(&["-rea", "--reasoning"], Switch, When(OFF, &Flag("--no-think"), &When(ON, &Flag("--think"), &Harmless("the template decides")))),
    entry(&["--reasoning-budget"], Value, When(&["0"], &Flag("--no-think"), &Unless(&["-1"], UNBOUNDED, BOUNDED))),
    entry(&["--reasoning-budget-message"], Value, Harmless(UNBOUNDED)),
    entry(&["--reasoning-effort"], Value, When(&["none"], &Flag("--no-think"), &Refused("a template has its own name for it", "give it with --chat-template-kwargs, as in '{\"reasoning_effort\": \"high\"}'"))),
    entry(&["--jinja"], Nothing, Harmless(JINJA)),
    entry(&["--no-jinja"], Nothing, Refused(JINJA, NAME_TEMPLATE)),
    entry(&["--no-prefill-assistant"], Nothing, Harmless(ASKED)),
    entry(&["--prefill-assistant"], Nothing, Harmless(ASKED)),
    entry(&["--in-prefix", "--in-suffix"], Value, Refused(TEMPLATE, NAME_TEMPLATE)),
    entry(&["--in-prefix-bos"], Nothing, Refused(TEMPLATE, NAME_TEMPLATE)),
    entry(&["--skip-chat-parsing"], Nothing, Refused("an answer is read in the form of its template", "--reasoning-format none leaves thoughts in it")),
    entry(&["--no-skip-chat-parsing"], Nothing, Harmless("an answer is read in the form of its template")),
];

const MESSAGE: &str = "one text is continued, or with --chat one message answered";
const TALK: &str = "`sharpi-compile chat` holds a conversation, `run --chat` answers one message";

#[rustfmt::skip]
pub(super) const RUN: &[Entry] = &[
    entry(&["-st", "--single-turn"], Nothing, Flag("--chat")),
    entry(&["-cnv", "--conversation", "-i", "--interactive", "-if", "--interactive-first", "-mli", "--multiline-input"], Nothing, Refused(MESSAGE, TALK)),
    entry(&["-no-cnv", "--no-conversation"], Nothing, Harmless("a prompt is continued as it stands unless --chat is given")),
];

#[rustfmt::skip]
pub(super) const CHAT: &[Entry] = &[
    entry(&["-cram"], Value, As("--cache-ram")),
    entry(&["-cnv", "--conversation", "-i", "--interactive", "-if", "--interactive-first"], Nothing, Harmless("chat always holds a conversation")),
    entry(&["-st", "--single-turn"], Nothing, Harmless("with -p or -f one message is answered")),
    entry(&["-mli", "--multiline-input"], Nothing, Harmless("a line goes on behind a backslash, or with Alt+Enter")),
    entry(&["-no-cnv", "--no-conversation"], Nothing, Refused("chat always holds a conversation", "`sharpi-compile run` continues a text")),
    entry(&["-co", "--color"], Switch, Harmless("a terminal shows thoughts dimmed unless NO_COLOR is set")),
    entry(&["--display-prompt", "--no-display-prompt"], Nothing, Harmless("--show-prompt shows the prompt in place of an answer")),
];
