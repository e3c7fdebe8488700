//! Greedy generation, id by id and with drafts.

use std::time::{Duration, Instant};

use anyhow::Result;
use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::context::session::{LlamaStateSeqFlags, SeqState};
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::token::LlamaToken;
use sharpi_compile::parity::golden::Round;

use crate::llama::{Llama, Shape};

/// The sequence that is generated.
const SEQUENCE: i32 = 0;
/// Best ids that are kept of a step.
const BEST: usize = 5;

/// When generation ends, and what is never chosen.
#[derive(Clone)]
pub struct Limits {
    /// Ids wanted.
    pub max_tokens: usize,
    /// Ids that end a text.
    pub end_of_text: Vec<u32>,
    /// Whether those are never chosen.
    pub ignore_eos: bool,
}

/// What was generated.
pub struct Generated {
    /// The ids.
    pub ids: Vec<u32>,
    /// For each the best ids with their logits.
    pub top5: Vec<Vec<(u32, f32)>>,
    /// Time that the prompt took.
    pub prompt_time: Duration,
    /// Time from then on; the prompt has given the logits of the first id.
    pub time: Duration,
}

/// What was generated with drafts.
pub struct Drafted {
    /// The ids.
    pub ids: Vec<u32>,
    /// What became of the drafts.
    pub rounds: Vec<Round>,
    /// Time of the rounds, the first of which feeds the last id of the prompt.
    pub time: Duration,
}

/// Continues a prompt, which is decoded in pieces of `piece` ids.
pub fn one_by_one(
    llama: &Llama,
    shape: Shape,
    prompt: &[LlamaToken],
    piece: usize,
    limits: &Limits,
) -> Result<Generated> {
    let mut context = llama.context(shape)?;
    let mut past = 0;
    let start = Instant::now();
    for ids in prompt.chunks(piece) {
        context.decode(&mut batch(ids, past, Rows::Last)?)?;
        past += ids.len();
    }
    let prompt_time = start.elapsed();
    let start = Instant::now();
    let (mut ids, mut top5) = (Vec::new(), Vec::new());
    loop {
        let best = limits.best(context.get_logits_ith(-1));
        let id = best[0].0;
        ids.push(id);
        top5.push(best);
        if limits.reached(&ids) {
            return Ok(Generated {
                ids,
                top5,
                prompt_time,
                time: start.elapsed(),
            });
        }
        context.decode(&mut batch(&[LlamaToken(id as i32)], past, Rows::Last)?)?;
        past += 1;
    }
}

/// Whether each of the ids is chosen behind those before it where all are decoded in pieces.
pub fn reads(
    llama: &Llama,
    shape: Shape,
    (prompt, ids): (&[LlamaToken], &[u32]),
    piece: usize,
    limits: &Limits,
) -> Result<bool> {
    let mut context = llama.context(shape)?;
    let follow = ids.iter().map(|&id| LlamaToken(id as i32));
    let all: Vec<_> = prompt.iter().copied().chain(follow).collect();
    let mut past = 0;
    for fed in all.chunks(piece) {
        context.decode(&mut batch(fed, past, Rows::All)?)?;
        for row in 0..fed.len() {
            // What the last id of the prompt gives is the first of the others.
            let next = (past + row + 1).checked_sub(prompt.len());
            let chosen = limits.best(context.get_logits_ith(row as i32))[0].0;
            if next
                .and_then(|i| ids.get(i))
                .is_some_and(|id| *id != chosen)
            {
                return Ok(false);
            }
        }
        past += fed.len();
    }
    Ok(true)
}

/// Decodes ids in two runs, the second of `last` of them, with all logits; the id chosen at last.
pub fn in_two_runs(llama: &Llama, shape: Shape, ids: &[LlamaToken], last: usize) -> Result<u32> {
    let mut context = llama.context(shape)?;
    let (first, rest) = ids.split_at(ids.len() - last);
    context.decode(&mut batch(first, 0, Rows::All)?)?;
    context.decode(&mut batch(rest, first.len(), Rows::All)?)?;
    let limits = Limits {
        max_tokens: 1,
        end_of_text: Vec::new(),
        ignore_eos: false,
    };
    Ok(limits.best(context.get_logits_ith(-1))[0].0)
}

/// Continues several prompts together, one id of each in a run.
pub fn together(
    llama: &Llama,
    shape: Shape,
    prompts: &[Vec<LlamaToken>],
    limits: &Limits,
) -> Result<Vec<Generated>> {
    let mut context = llama.context(shape)?;
    let mut all = Vec::new();
    let start = Instant::now();
    for (i, prompt) in (0..).zip(prompts) {
        context.decode(&mut batch_of(prompt, 0, Rows::Last, i)?)?;
        let best = limits.best(context.get_logits_ith(-1));
        all.push((vec![best[0].0], vec![best]));
    }
    let prompt_time = start.elapsed();
    let start = Instant::now();
    while !limits.reached(&all[0].0) {
        let mut batch = LlamaBatch::new(prompts.len(), 1);
        for (i, (prompt, (ids, _))) in (0..).zip(prompts.iter().zip(&all)) {
            let past = prompt.len() + ids.len() - 1;
            let last = LlamaToken(ids[ids.len() - 1] as i32);
            batch.add(last, past as i32, &[i], true)?;
        }
        context.decode(&mut batch)?;
        for (i, (ids, top5)) in (0..).zip(&mut all) {
            let best = limits.best(context.get_logits_ith(i));
            ids.push(best[0].0);
            top5.push(best);
        }
    }
    let time = start.elapsed();
    let all = all.into_iter().map(|(ids, top5)| Generated {
        ids,
        top5,
        prompt_time,
        time,
    });
    Ok(all.collect())
}

/// Continues a prompt, decoded in pieces, with up to `n_max` drafted ids a round. The first round starts from the last
/// id of the prompt, and no round drafts past the ids wanted.
pub fn with_drafts(
    llama: &Llama,
    shape: Shape,
    (prompt, piece): (&[LlamaToken], usize),
    n_max: usize,
    limits: &Limits,
) -> Result<Drafted> {
    let forgets = forgets(llama, shape, n_max)?;
    let mut both = llama.drafting(shape, n_max)?;
    let (&last, before) = prompt.split_last().expect("a prompt");
    for (i, ids) in before.chunks(piece).enumerate() {
        let mut batch = batch(ids, i * piece, Rows::None)?;
        both.target_context_mut().decode(&mut batch)?;
        both.process(&batch)?;
    }
    both.begin(before)?;
    let (mut ids, mut rounds) = (Vec::new(), Vec::new());
    // Everything that is known: the trunk has seen all but the last.
    let mut known = prompt.to_vec();
    let mut last = last;
    let start = Instant::now();
    while !limits.reached(&ids) {
        let past = known.len() - 1;
        let mut draft = both.draft(past as i32, last, &known[..past])?;
        // It drafts all the same where fewer ids are left to emit.
        draft.truncate(limits.max_tokens - ids.len() - 1);
        keep(both.draft_context_mut(), past)?;

        let fed = [&[last], &draft[..]].concat();
        let saved = match forgets {
            true => None,
            false => Some(state(both.target_context())?),
        };
        let mut batch = batch(&fed, past, Rows::All)?;
        both.target_context_mut().decode(&mut batch)?;
        both.process(&batch)?;
        let accepted = verify(both.target_context(), &draft, limits, &mut ids);
        both.accept(accepted as u16)?;
        let rejected = accepted < draft.len();
        let holds = &fed[..=accepted];
        match saved.filter(|_| rejected) {
            Some(saved) => again(both.target_context_mut(), &saved, past, holds)?,
            None => keep(both.target_context_mut(), past + holds.len())?,
        }
        keep(both.draft_context_mut(), past + holds.len())?;

        let emitted = &ids[known.len() - prompt.len()..];
        known.extend(emitted.iter().map(|&id| LlamaToken(id as i32)));
        last = known[known.len() - 1];
        let draft = draft.iter().map(|id| id.0 as u32).collect();
        rounds.push(Round { draft, accepted });
    }
    Ok(Drafted {
        ids,
        rounds,
        time: start.elapsed(),
    })
}

/// Adds the ids that a round emits: the drafts that hold, and the first that the trunk chose
/// otherwise. Gives the number that held.
fn verify(
    context: &LlamaContext<'_>,
    draft: &[LlamaToken],
    limits: &Limits,
    ids: &mut Vec<u32>,
) -> usize {
    for row in 0..=draft.len() {
        let id = limits.best(context.get_logits_ith(row as i32))[0].0;
        ids.push(id);
        let holds = draft.get(row).is_some_and(|d| d.0 as u32 == id);
        if !holds || limits.reached(ids) {
            return row + usize::from(holds);
        }
    }
    unreachable!("no draft stands after the last row")
}

/// Whether a context of the model can forget its last position. Recurrent states of some
/// architectures cannot.
fn forgets(llama: &Llama, shape: Shape, n_max: usize) -> Result<bool> {
    let watched = false;
    let mut both = llama.drafting(Shape { watched, ..shape }, n_max)?;
    let context = both.target_context_mut();
    context.decode(&mut batch(&[LlamaToken(0); 2], 0, Rows::All)?)?;
    Ok(keep(context, 1).is_ok())
}

/// The recurrent states of a context.
fn state(context: &LlamaContext<'_>) -> Result<SeqState> {
    Ok(context.state_seq_get(SEQUENCE, LlamaStateSeqFlags::PARTIAL_ONLY)?)
}

/// Goes back to saved recurrent states, those of `past` positions, and takes in `ids` once more.
fn again(
    context: &mut LlamaContext<'_>,
    saved: &SeqState,
    past: usize,
    ids: &[LlamaToken],
) -> Result<()> {
    context.state_seq_set(saved, SEQUENCE)?;
    keep(context, past)?;
    Ok(context.decode(&mut batch(ids, past, Rows::All)?)?)
}

/// Forgets all positions from `past` on.
fn keep(context: &mut LlamaContext<'_>, past: usize) -> Result<()> {
    Ok(context.kv_cache_seq_rm(SEQUENCE, Some(past as u32), None)?)
}

/// Tokens of a batch whose logits are wanted.
#[derive(Clone, Copy, PartialEq)]
enum Rows {
    None,
    Last,
    All,
}

/// Ids at positions from `past` on.
fn batch(ids: &[LlamaToken], past: usize, rows: Rows) -> Result<LlamaBatch<'static>> {
    batch_of(ids, past, rows, SEQUENCE)
}

fn batch_of(
    ids: &[LlamaToken],
    past: usize,
    rows: Rows,
    sequence: i32,
) -> Result<LlamaBatch<'static>> {
    let mut batch = LlamaBatch::new(ids.len(), 1);
    for (i, &id) in ids.iter().enumerate() {
        let last = i + 1 == ids.len();
        let logits = rows == Rows::All || (rows == Rows::Last && last);
        batch.add(id, (past + i) as i32, &[sequence], logits)?;
    }
    Ok(batch)
}

impl Limits {
    fn reached(&self, ids: &[u32]) -> bool {
        let ended = ids.last().is_some_and(|id| self.end_of_text.contains(id));
        ended || ids.len() >= self.max_tokens
    }

    /// The best ids that may be chosen, with their logits. Of equal logits the lower id wins.
    fn best(&self, logits: &[f32]) -> Vec<(u32, f32)> {
        let mut best: Vec<(u32, f32)> = Vec::with_capacity(BEST + 1);
        // One pass, for this is part of what is timed: few logits are above the fifth so far.
        let mut fifth = f32::NEG_INFINITY;
        for (id, &logit) in (0..).zip(logits) {
            let passes = logit > fifth || best.len() < BEST;
            if !passes || (self.ignore_eos && self.end_of_text.contains(&id)) {
                continue;
            }
            let place = best.partition_point(|(_, other)| *other >= logit);
            best.insert(place, (id, logit));
            best.truncate(BEST);
            if best.len() == BEST {
                fifth = best[BEST - 1].1;
            }
        }
        best
    }
}
