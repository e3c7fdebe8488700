//! What is in a file beyond what the computation uses. What may change the result is refused, and
//! what cannot is told.

use std::collections::BTreeMap;
use std::fmt;

use indexmap::IndexMap;
use sharpi_ir::plain::Plain;

use super::hparams::Hparams;
use super::known_keys::{Known, known};
use super::source::Source;
use super::{BlockKind, LowerError, keys};

/// Something in a file that the computation does not use.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// It is known, and has no part in text.
    Harmless {
        /// A key, a tensor, or what several are called together.
        what: String,
        /// Why it has no part.
        why: &'static str,
    },
    /// A key under the architecture's prefix that is not known: it may change the result for
    /// other programs.
    UnknownKey {
        /// The key.
        key: String,
    },
    /// The metadata declares a head of which the file has no tensor.
    AbsentHead {
        /// The key that declares it.
        key: String,
    },
}

impl Note {
    /// Whether the result may be another than the writer of the file had in mind.
    pub fn is_warning(&self) -> bool {
        matches!(self, Note::UnknownKey { .. })
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Note::Harmless { what, why } => write!(f, "{what}: {why}"),
            Note::UnknownKey { key } => write!(
                f,
                "metadata key `{}` is not known here, and has no effect",
                Plain(key)
            ),
            Note::AbsentHead { key } => write!(
                f,
                "metadata key `{key}` declares a multi-token-prediction head, but its tensors are \
                 absent: there is none"
            ),
        }
    }
}

/// What is left over once everything that the computation uses is marked.
///
/// # Errors
/// A tensor, or a key whose value changes the result, that nothing has used.
pub(super) fn left_over(source: &Source, hp: &Hparams) -> Result<Vec<Note>, LowerError> {
    let mut notes = key_notes(source, hp)?;
    notes.extend(tensor_notes(source, hp)?);
    if hp.mtp_absent {
        let key = format!("{}.nextn_predict_layers", hp.arch.name());
        notes.push(Note::AbsentHead { key });
    }
    Ok(notes)
}

/// Prefixes of keys without a part in the computation.
const KEY_GROUPS: &[(&str, &str)] = &[
    ("general.", "descriptions of the model"),
    ("tokenizer.", "the vocabulary, which the graphs do not read"),
    ("split.", "how the model is divided into files"),
    ("quantize.", "notes on how the weights were quantised"),
    ("imatrix.", "notes on how the weights were quantised"),
    ("mtp.", "another program's own"),
    ("clip.", "images and sound alone need it"),
    ("mm.", "images and sound alone need it"),
    ("v.", "images and sound alone need it"),
    ("a.", "images and sound alone need it"),
];

fn key_notes(source: &Source, hp: &Hparams) -> Result<Vec<Note>, LowerError> {
    let prefix = format!("{}.", hp.arch.name());
    let mut groups = Groups::default();
    let mut notes = Vec::new();
    for key in source.unused_keys() {
        let Some(own) = key.strip_prefix(&prefix) else {
            groups.add(key, KEY_GROUPS, "not of this architecture");
            continue;
        };
        let Some(value) = source.gguf().get(key) else {
            continue;
        };
        match known(own) {
            None if is_of_other_input(own) => notes.push(Note::Harmless {
                what: format!("key `{}`", Plain(key)),
                why: "images and sound alone need it",
            }),
            None => notes.push(Note::UnknownKey { key: key.into() }),
            Some(Known::Harmless(why)) => notes.push(Note::Harmless {
                what: format!("key `{}`", Plain(key)),
                why,
            }),
            Some(Known::Unless(neutral)) if neutral.accepts(value) => notes.push(Note::Harmless {
                what: format!("key `{}`", Plain(key)),
                why: "its value changes nothing",
            }),
            Some(Known::Unless(neutral)) => {
                let found = keys::bad(key.into(), value, neutral.expected());
                return Err(LowerError::NotCarriedOut(Box::new(found)));
            }
        }
    }
    notes.extend(groups.notes("key"));
    Ok(notes)
}

/// Whether a key, without the architecture's prefix, describes a tower for images or sound.
fn is_of_other_input(key: &str) -> bool {
    let towers = ["vision.", "audio.", "image_token_id", "vision_"];
    towers.iter().any(|tower| key.starts_with(tower))
}

/// The end of the names of tensors that say what range a projection's input was seen to have.
const INPUT_RANGE: &str = ".input_scale";

/// Prefixes of tensors without a part in text.
const TENSOR_GROUPS: &[(&str, &str)] = &[
    ("v.", "images alone need it"),
    ("mm.", "images and sound alone need it"),
    ("a.", "sound alone needs it"),
    (
        "mtp.",
        "a head as another program stores it, which is not used here",
    ),
];

fn tensor_notes(source: &Source, hp: &Hparams) -> Result<Vec<Note>, LowerError> {
    let mut groups = Groups::default();
    let mut unused = Vec::new();
    let (ranges, unused_tensors): (Vec<&str>, Vec<&str>) = (source.unused_tensors().into_iter())
        .partition(|name| {
            let stem = name.strip_suffix(INPUT_RANGE);
            stem.is_some_and(|stem| {
                source
                    .gguf()
                    .tensors()
                    .contains_key(&format!("{stem}.weight"))
            })
        });
    let (indexers, unused_tensors): (Vec<&str>, Vec<&str>) =
        (unused_tensors.into_iter()).partition(|name| is_of_indexer(name, hp));
    for name in unused_tensors {
        match TENSOR_GROUPS.iter().any(|(p, _)| name.starts_with(p)) {
            true => groups.add(name, TENSOR_GROUPS, ""),
            false => unused.push(name),
        }
    }
    if !unused.is_empty() {
        return Err(refusal(&unused, hp));
    }
    let mut notes = groups.notes("tensor");
    if !indexers.is_empty() {
        notes.push(Note::Harmless {
            what: format!("{} tensors `*.indexer.*`", indexers.len()),
            why: "their blocks see all positions",
        });
    }
    if !ranges.is_empty() {
        notes.push(Note::Harmless {
            what: format!("{} tensors `*{INPUT_RANGE}`", ranges.len()),
            why: "for processors that round activations to four bits, which is not done here",
        });
    }
    Ok(notes)
}

/// Whether a tensor belongs to the indexer of a block that attends.
fn is_of_indexer(name: &str, hp: &Hparams) -> bool {
    let own = name
        .strip_prefix("blk.")
        .and_then(|own| own.split_once('.'));
    let Some((block, rest)) = own else {
        return false;
    };
    let attends = |block: usize| match hp.blocks.get(block) {
        Some(kind) => *kind == BlockKind::Attention,
        None => hp.mtp_block() == Some(block),
    };
    hp.indexer.is_some() && rest.starts_with("indexer.") && block.parse().is_ok_and(attends)
}

/// Names told before the rest is a count.
const TOLD: usize = 4;

/// The error about tensors without a use. Those of a block that there is none of are told as one.
fn refusal(unused: &[&str], hp: &Hparams) -> LowerError {
    let blocks = hp.blocks.len() + hp.mtp_blocks;
    let mut names: BTreeMap<(bool, String), ()> = BTreeMap::new();
    for name in unused {
        let homeless = homeless(name, blocks);
        let shown = homeless.clone().unwrap_or_else(|| Plain(name).to_string());
        names.insert((homeless.is_none(), shown), ());
    }
    let homeless = names.keys().any(|(has_home, _)| !has_home);
    let mut names: Vec<String> = names
        .into_keys()
        .filter(|(has_home, _)| *has_home != homeless)
        .map(|(_, name)| name)
        .collect();
    let more = names.len().saturating_sub(TOLD);
    names.truncate(TOLD);
    match homeless {
        true => LowerError::HomelessTensors {
            names,
            more,
            blocks: hp.blocks.len(),
            head: format!("{}.nextn_predict_layers", hp.arch.name()),
        },
        false => LowerError::UnusedTensors { names, more },
    }
}

/// `blk.N.nextn.*` of a block that is no head, `blk.N.*` of a block beyond the last.
fn homeless(name: &str, blocks: usize) -> Option<String> {
    let (block, rest) = name.strip_prefix("blk.")?.split_once('.')?;
    let index: usize = block.parse().ok()?;
    match rest.starts_with("nextn.") {
        true => Some(format!("blk.{index}.nextn.*")),
        false if index >= blocks => Some(format!("blk.{index}.*")),
        false => None,
    }
}

/// Names counted by the prefix that tells why they have no part.
#[derive(Default)]
struct Groups<'n>(IndexMap<&'static str, (&'static str, Vec<&'n str>)>);

impl<'n> Groups<'n> {
    fn add(
        &mut self,
        name: &'n str,
        groups: &[(&'static str, &'static str)],
        otherwise: &'static str,
    ) {
        let group = groups.iter().find(|(prefix, _)| name.starts_with(prefix));
        let (prefix, why) = group.copied().unwrap_or(("", otherwise));
        let (_, names) = self.0.entry(prefix).or_insert_with(|| (why, Vec::new()));
        names.push(name);
    }

    /// One note for each group; what belongs to none is named.
    fn notes(self, kind: &str) -> Vec<Note> {
        let group = |(prefix, (why, names)): (&str, (&'static str, Vec<&str>))| {
            let whats: Vec<String> = match (prefix, &names[..]) {
                ("", _) | (_, [_]) => names
                    .iter()
                    .map(|n| format!("{kind} `{}`", Plain(n)))
                    .collect(),
                _ => vec![format!("{} {kind}s `{prefix}*`", names.len())],
            };
            whats
                .into_iter()
                .map(move |what| Note::Harmless { what, why })
        };
        self.0.into_iter().flat_map(group).collect()
    }
}
