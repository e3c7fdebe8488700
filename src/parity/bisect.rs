//! The first tensor that differs from the reference's.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde::Serialize;
use sharpi_ir::Module;

use sharpi_passes::Options;

use super::deviation::{Deviation, Tolerance};
use super::error::ParityError;
use super::golden::{Dump, Pass, Tensor};
use super::origin::{Origin, origin};
use super::replay::{SECOND, replay, runs};
use super::trunk::{check_ids, compile};
use crate::lower::MTP;
use crate::{Model, Session, SessionOptions};

/// The logits, the sampler's copy of them, and its list of the best.
const LOGITS: &str = "result_output";
const SAMPLED: &str = "logits_seq_0_0";
const BEST: &str = "top_k_rows";

/// A dump against a model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bisection {
    /// Runs of a graph.
    pub runs: usize,
    /// Tensors compared, in all runs.
    pub tensors: usize,
    /// Tensors that differ beyond the tolerance, or that no value is named after, in order.
    pub differing: Vec<Differing>,
    /// How the first of them is made.
    pub origin: Option<Origin>,
}

/// A tensor that is not the reference's.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Differing {
    /// Number of the run, from 0.
    pub run: usize,
    /// The graph that was run.
    pub graph: String,
    /// Tokens of the run.
    pub width: usize,
    /// Its name.
    pub tensor: String,
    /// How far it is off; `None` if there is no value of that name.
    pub deviation: Option<Deviation>,
}

/// Replays the runs of a dump and compares every tensor it names.
///
/// # Errors
/// A dump that does not show a prompt, with a round of drafting if it drafted; ids that the model
/// does not have; a model that cannot be compiled, or has no head where the dump drafted; and
/// [`ParityError::Cancelled`].
pub fn bisect(
    model: &Model,
    dump: &Dump,
    (threads, tolerance): (usize, Tolerance),
    cancel: &AtomicBool,
) -> Result<Bisection, ParityError> {
    check(model, dump)?;
    let drafts = dump.rounds.first().map(|round| round.draft.len());
    let most = match drafts {
        Some(drafts) => drafts + 1,
        None => (dump.prompt_ids.len() - SECOND).max(SECOND),
    };
    let executable = Arc::new(compile(
        model,
        dump.cache_type,
        most,
        Options::required_only(),
    )?);
    if drafts.is_some() && !executable.module().graphs.contains_key(MTP) {
        return Err(ParityError::NoHead);
    }
    let context = dump.prompt_ids.len() + most;
    let options = SessionOptions::default()
        .context(context)
        .threads(threads)
        .rollback(0);
    let session = Session::new(executable.clone(), &options)?;
    let mut runs: Vec<Seen<'_>> = dump.passes.iter().map(Seen::new).collect();
    replay(dump, session, cancel, &mut |run, name, data| {
        runs[run].see(name, data);
    })?;
    Ok(summary(&runs, executable.module(), tolerance))
}

fn check(model: &Model, dump: &Dump) -> Result<(), ParityError> {
    let expected = runs(dump)?;
    let found = dump.passes.iter().map(|p| (p.graph.as_str(), p.width));
    if !found.clone().eq(expected.iter().copied()) {
        let list = |runs: Vec<(&str, usize)>| {
            let run = |(graph, width): &(&str, usize)| format!("@{graph} of {width}");
            runs.iter().map(run).collect::<Vec<_>>().join(", ")
        };
        return Err(ParityError::Passes {
            found: list(found.collect()),
            expected: list(expected),
        });
    }
    let vocabulary = model.hparams()?.vocabulary;
    check_ids(vocabulary, "prompt_ids", &dump.prompt_ids)?;
    let first = dump.rounds.first();
    let draft = first.map_or(&[][..], |round| &round.draft);
    check_ids(vocabulary, "rounds[0].draft", draft)
}

/// A run of the dump, and how far each of its tensors was found to be off.
pub(super) struct Seen<'a> {
    pub(super) pass: &'a Pass,
    pub(super) deviations: Vec<Option<Deviation>>,
}

impl<'a> Seen<'a> {
    fn new(pass: &'a Pass) -> Seen<'a> {
        let deviations = vec![None; pass.tensors.len()];
        Seen { pass, deviations }
    }

    /// A value was made. Names that a run uses more than once stand in the same order in both.
    fn see(&mut self, name: &str, data: &[f32]) {
        let tensors = || self.pass.tensors.iter().enumerate();
        let next = tensors().find(|(i, t)| t.name == name && self.deviations[*i].is_none());
        // The sampler shows the logits once more.
        let sampled = tensors().find(|(_, t)| name == LOGITS && t.name == SAMPLED);
        for (i, tensor) in next.into_iter().chain(sampled) {
            self.deviations[i] = Some(Deviation::new(data, tensor));
        }
    }

    /// Whether a tensor tells nothing about the model: the sampler's list of the best logits, and
    /// its copy of the logits in a run that makes none, where what lay there before is shown; and
    /// in such a run what the reference leaves away sooner than the last matrix.
    fn is_moot(&self, tensor: &Tensor, found: Option<Deviation>) -> bool {
        if tensor.elements() == 0 && found.is_some_and(|d| d.elements.0 > 0) {
            return true;
        }
        let no_logits = |t: &Tensor| t.name == LOGITS && t.elements() == 0;
        match tensor.name.as_str() {
            BEST => true,
            SAMPLED => self.pass.tensors.iter().any(no_logits),
            _ => false,
        }
    }
}

fn summary(runs: &[Seen<'_>], module: &Module, tolerance: Tolerance) -> Bisection {
    let mut tensors = 0;
    let mut differing = Vec::new();
    let mut first = None;
    for (run, seen) in runs.iter().enumerate() {
        let Pass { graph, width, .. } = seen.pass;
        for (i, tensor) in seen.pass.tensors.iter().enumerate() {
            let deviation = seen.deviations[i];
            if seen.is_moot(tensor, deviation) {
                continue;
            }
            tensors += 1;
            if deviation.is_none_or(|d| d.exceeds(tolerance)) {
                first.get_or_insert((seen, i));
                differing.push(Differing {
                    run,
                    graph: graph.clone(),
                    width: *width,
                    tensor: tensor.name.clone(),
                    deviation,
                });
            }
        }
    }
    Bisection {
        runs: runs.len(),
        tensors,
        differing,
        origin: first.and_then(|(seen, i)| origin(seen, i, module)),
    }
}
