//! What the reference did: captures of generation and dumps of tensors, as JSON files.

use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sharpi_ir::DType;
use sharpi_ir::plain::{PlainPath, Quoted, line, shorten_middle};

use crate::regular_file;

/// The most tokens of a draft: each makes the graphs wider.
const MOST_DRAFTED: usize = 64;

/// One greedy continuation of a prompt. A golden file is a list of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Capture {
    /// The text continued.
    pub prompt: String,
    /// Its ids.
    pub prompt_ids: Vec<u32>,
    /// Type of the cached keys and values, one of [`CACHE_TYPES`](crate::lower::CACHE_TYPES).
    #[serde(with = "crate::cache_type")]
    pub cache_type: DType,
    /// Most tokens drafted in a round; 0 without drafting.
    pub n_draft_max: usize,
    /// The ids that followed.
    pub ids: Vec<u32>,
    /// Their text.
    pub text: String,
    /// Whether ids that end a text were never chosen.
    pub ignore_eos: bool,
    /// Whether the reference gives these ids at each of its batch widths.
    pub stable: bool,
    /// For each step, or the first few, ids with their logits, the best first. Of runs without
    /// drafting.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub top5: Vec<Vec<(u32, f32)>>,
    /// Whether `top5` holds log probabilities, which are the logits less a number that differs
    /// from step to step: only their differences mean something.
    #[serde(default, skip_serializing_if = "is_false")]
    pub log_probabilities: bool,
    /// Rounds of drafting; the first starts from the last id of the prompt. Empty where only the
    /// sums are known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rounds: Vec<Round>,
    /// Ids drafted in all rounds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drafted: Option<usize>,
    /// Drafted ids that held in all rounds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<usize>,
}

/// One round of drafting. It emits the accepted ids and one more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Round {
    /// The ids drafted.
    pub draft: Vec<u32>,
    /// How many of them, from the first, the trunk chose too.
    pub accepted: usize,
}

/// The named tensors of one short run with drafting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dump {
    /// Name of the model.
    pub model: String,
    /// The text continued.
    pub prompt: String,
    /// Its ids.
    pub prompt_ids: Vec<u32>,
    /// The ids that followed.
    pub ids: Vec<u32>,
    /// Rounds of drafting; the passes show the first.
    pub rounds: Vec<Round>,
    /// Type of the cached keys and values, one of [`CACHE_TYPES`](crate::lower::CACHE_TYPES).
    #[serde(with = "crate::cache_type")]
    pub cache_type: DType,
    /// Runs of a graph, in the order they were made.
    pub passes: Vec<Pass>,
}

/// One run of a graph.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pass {
    /// `trunk` or `mtp`.
    pub graph: String,
    /// Tokens of the run.
    pub width: usize,
    /// What the run made, in order. A name may stand more than once.
    pub tensors: Vec<Tensor>,
}

/// What is known of a tensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tensor {
    /// Its name; `name-N` belongs to block N.
    pub name: String,
    /// The reference's op that made it.
    pub op: String,
    /// Dimensions, fastest-varying first.
    pub ne: Vec<usize>,
    /// Sum of its elements.
    pub sum: f64,
    /// Euclidean norm of its elements.
    pub l2: f64,
    /// The first eight elements, or all.
    pub first: Vec<f32>,
    /// The last eight elements, or all.
    pub last: Vec<f32>,
    /// [`fingerprint`] of its elements, where the dump has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits: Option<u64>,
}

/// A number that differs where a bit of any element does (64-bit FNV-1a); both zeros are the same.
pub fn fingerprint(elements: &[f32]) -> u64 {
    let bytes = elements
        .iter()
        .flat_map(|x| (x + 0.0).to_bits().to_le_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

impl Tensor {
    /// How many elements it has.
    pub fn elements(&self) -> usize {
        let count = |all: usize, n: &usize| all.saturating_mul(*n);
        // Of a tensor with none, no other dimension counts, however large.
        match self.ne.contains(&0) {
            true => 0,
            false => self.ne.iter().fold(1, count),
        }
    }
}

/// Why a file of the reference cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GoldenError {
    /// The file cannot be read or written.
    #[error("{}: {error}", PlainPath(path))]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The file is not of the form expected.
    #[error("{}: {}{}", PlainPath(path), located(place), line(message))]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The entry and its field, such as `[3].rounds[0].draft`; `.` for the whole file.
        place: String,
        /// What was found and what was expected.
        message: String,
    },
}

fn located(place: &str) -> String {
    match place {
        "." => String::new(),
        place => format!("{}: ", line(place)),
    }
}

impl Capture {
    /// Reads a golden file.
    ///
    /// # Errors
    /// A file that cannot be read, or an entry that is malformed or contradicts itself.
    pub fn read_all(path: &Path) -> Result<Vec<Capture>, GoldenError> {
        Capture::parse_all(path, &read(path)?)
    }

    /// [`Capture::read_all`], of a text that stands in the file.
    ///
    /// # Errors
    /// An entry that is malformed or contradicts itself.
    pub fn parse_all(path: &Path, text: &str) -> Result<Vec<Capture>, GoldenError> {
        let captures: Vec<Capture> = parse(path, text)?;
        if captures.is_empty() {
            return Err(malformed(path, ".", "holds no captures"));
        }
        for (i, capture) in captures.iter().enumerate() {
            let fault = |(field, message): (String, &str)| {
                malformed(path, format!("[{i}].{field}"), message)
            };
            capture.check().map_err(fault)?;
        }
        Ok(captures)
    }

    /// Writes a golden file.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write_all(path: &Path, captures: &[Capture]) -> Result<(), GoldenError> {
        let written = serde_json::to_vec(captures).map_err(io::Error::from);
        let written = written.and_then(|json| fs::write(path, json));
        written.map_err(|error| GoldenError::Io {
            path: path.into(),
            error,
        })
    }

    /// The field that contradicts another, and how.
    fn check(&self) -> Result<(), (String, &'static str)> {
        let fault = |field: &str, message| Err((field.to_string(), message));
        if self.prompt_ids.is_empty() {
            return fault("prompt_ids", "is empty, expected the ids of the prompt");
        }
        if self.ids.is_empty() {
            return fault("ids", "is empty, expected the ids that followed");
        }
        if self.top5.len() > self.ids.len() {
            return fault("top5", "has more steps than there are ids");
        }
        if let Some(i) = self.top5.iter().position(|top| top.len() < 2) {
            return fault(&format!("top5[{i}]"), "holds fewer than two logits");
        }
        if self.n_draft_max > MOST_DRAFTED {
            return fault("n_draft_max", "is above 64, the most that is drafted");
        }
        if self.n_draft_max == 0 && !self.rounds.is_empty() {
            return fault(
                "rounds",
                "are given where n_draft_max is above 0, only there",
            );
        }
        if self.n_draft_max > 0 && self.rounds.is_empty() && self.drafted.is_none() {
            return fault("rounds", "are missing, and so is their sum `drafted`");
        }
        let over = |round: &Round| round.accepted > round.draft.len();
        match self.rounds.iter().position(over) {
            Some(i) => fault(&format!("rounds[{i}].accepted"), "is more than was drafted"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Capture {
    /// One line of what was captured.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (prompt, ids, cache_type) = (&self.prompt, self.ids.len(), self.cache_type.name());
        write!(
            f,
            "{}: {ids} ids, cache {cache_type}, n-max {}",
            Quoted(prompt),
            self.n_draft_max
        )?;
        if let (Some(drafted), Some(accepted)) = (self.drafted, self.accepted) {
            write!(f, ", {accepted} of {drafted} drafts accepted")?;
        }
        match self.stable {
            true => f.write_str(", stable"),
            false => Ok(()),
        }
    }
}

impl Dump {
    /// Reads a dump of tensors.
    ///
    /// # Errors
    /// A file that cannot be read or is malformed.
    pub fn read(path: &Path) -> Result<Dump, GoldenError> {
        Dump::parse(path, &read(path)?)
    }

    /// [`Dump::read`], of a text that stands in the file.
    ///
    /// # Errors
    /// A text that is malformed.
    pub fn parse(path: &Path, text: &str) -> Result<Dump, GoldenError> {
        let dump: Dump = parse(path, text)?;
        for (i, pass) in dump.passes.iter().enumerate() {
            let over = |t: &Tensor| t.first.len().max(t.last.len()) > t.elements();
            if let Some(j) = pass.tensors.iter().position(over) {
                let place = format!("passes[{i}].tensors[{j}]");
                return Err(malformed(
                    path,
                    place,
                    "shows more elements than `ne` holds",
                ));
            }
        }
        Ok(dump)
    }
}

/// Reads a JSON list of prompts.
///
/// # Errors
/// A file that cannot be read, is malformed or holds no prompt.
pub fn read_prompts(path: &Path) -> Result<Vec<String>, GoldenError> {
    parse_prompts(path, &read(path)?)
}

/// [`read_prompts`], of a text that stands in the file.
///
/// # Errors
/// A text that is malformed or holds no prompt.
pub fn parse_prompts(path: &Path, text: &str) -> Result<Vec<String>, GoldenError> {
    let prompts: Vec<String> = parse(path, text)?;
    match prompts.is_empty() {
        true => Err(malformed(path, ".", "holds no prompts")),
        false => Ok(prompts),
    }
}

fn read(path: &Path) -> Result<String, GoldenError> {
    regular_file::read_to_string(path).map_err(|error| GoldenError::Io {
        path: path.into(),
        error,
    })
}

fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, GoldenError> {
    let mut json = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let place = error.path().to_string();
        // It may cite any amount of the file.
        let mut message = error.into_inner().to_string();
        shorten_middle(&mut message, 400);
        malformed(path, place, message)
    })?;
    let end = json.end();
    end.map_err(|error| malformed(path, ".", error.to_string()))?;
    Ok(value)
}

fn malformed(path: &Path, place: impl Into<String>, message: impl Into<String>) -> GoldenError {
    GoldenError::Malformed {
        path: path.into(),
        place: place.into(),
        message: message.into(),
    }
}

fn is_false(flag: &bool) -> bool {
    !flag
}
