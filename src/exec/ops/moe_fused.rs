//! Mixture of experts in two ops, tokens grouped by expert.
//!
//! Every worker chooses the experts of all tokens for itself. A pair is a token with one of its
//! experts, numbered `token · k + place`; a group is an expert with its pairs.

use std::ops::Range;

use std::sync::Arc;

use super::activations::{Activations, Rounded, RoundedFor};
use super::product::{OntoResidual, Swiglu, chunk_rows};
use super::{Kernel, Run, Scratch, Slot, Weight};
use sharpi_ir::Gating;
use sharpi_kernels::activation::ActivationType;
use sharpi_kernels::columns::ColumnsMut;
use sharpi_kernels::elementwise::{Rhs, add, div, mul, sigmoid, softmax};
use sharpi_kernels::matmul::{Acts, Tiles, matmul_rows};
use sharpi_kernels::quant::WeightType;
use sharpi_kernels::topk::top_k;

/// How the experts of a token are chosen.
#[derive(Clone, PartialEq)]
pub(super) struct Choice {
    /// Experts of a token.
    pub(super) used: usize,
    pub(super) gating: Gating,
    /// What is added to the probabilities before the choice.
    pub(super) bias: Option<Vec<f32>>,
}

/// Which experts take which tokens of a run.
#[derive(Default)]
pub(super) struct Routing {
    /// Offset of the logits, and how they choose.
    pub(super) of: Option<(usize, Choice)>,
    /// Probability of each pair.
    probabilities: Vec<f32>,
    /// Pairs, those of one expert together.
    pairs: Vec<u32>,
    /// Experts that have tokens, and which of `pairs` are theirs.
    groups: Vec<(usize, Range<usize>)>,
    /// The pairs' activation rows in the order of `pairs`, and of what.
    gathered: Vec<u8>,
    gathered_for: Option<RoundedFor>,
    /// The rows of a group of many, and of which.
    tiles: Vec<(Option<RoundedFor>, Tiles)>,
    row: Vec<f32>,
    biased: Vec<f32>,
}

impl Routing {
    /// Chooses the experts of each token.
    fn route(&mut self, run: &Run<'_>, logits: &Slot, choice: &Choice) {
        let done = |(at, of): &(usize, Choice)| *at == logits.offset && of == choice;
        if self.of.as_ref().is_some_and(done) {
            return;
        }
        let used = choice.used;
        self.of = Some((logits.offset, choice.clone()));
        self.gathered_for = None;
        self.tiles.iter_mut().for_each(|(of, _)| *of = None);
        let mut chosen = vec![0; run.count(logits) * used];
        self.probabilities.clear();
        // SAFETY: an operand.
        let logits = unsafe { run.read(logits) }.chunks_exact(logits.width());
        for (logits, chosen) in logits.zip(chosen.chunks_exact_mut(used)) {
            self.row.clear();
            self.row.extend_from_slice(logits);
            match choice.gating {
                Gating::Softmax => softmax(&mut self.row),
                Gating::Sigmoid => sigmoid(&mut self.row),
            }
            self.biased.clone_from(&self.row);
            if let Some(bias) = &choice.bias {
                add(&mut self.biased, Rhs::Row(bias));
            }
            top_k(&self.biased, chosen);
            let probability = |expert: &u32| self.row[*expert as usize];
            self.probabilities.extend(chosen.iter().map(probability));
        }
        self.pairs.clear();
        self.pairs.extend(0..chosen.len() as u32);
        self.pairs.sort_by_key(|pair| chosen[*pair as usize]);
        self.groups.clear();
        let mut first = 0;
        let same = |a: &u32, b: &u32| chosen[*a as usize] == chosen[*b as usize];
        for group in self.pairs.chunk_by(same) {
            let expert = chosen[group[0] as usize] as usize;
            self.groups.push((expert, first..first + group.len()));
            first += group.len();
        }
        if self.tiles.len() < self.groups.len() {
            self.tiles.resize_with(self.groups.len(), Default::default);
        }
    }

    /// Brings the activation rows of `x` in the order of the pairs; `row_of` says which row
    /// belongs to one.
    fn gather(
        &mut self,
        run: &Run<'_>,
        x: &Activations,
        ty: ActivationType,
        rounded: &mut Rounded,
        row_of: impl Fn(usize) -> usize,
    ) {
        if self.gathered_for == Some(x.key(ty)) {
            return;
        }
        self.gathered_for = Some(x.key(ty));
        self.gathered.clear();
        let rows = x.rounded(run, ty, rounded);
        let row_bytes = ty.row_bytes(x.x.last());
        for &pair in &self.pairs {
            let row = &rows[row_of(pair as usize) * row_bytes..][..row_bytes];
            self.gathered.extend_from_slice(row);
        }
    }

    /// The gathered rows of group `g` as weights of this type take them.
    fn acts_of(&mut self, g: usize, ty: WeightType) -> Acts<'_> {
        let members = &self.groups[g].1;
        let row_bytes = self.gathered.len() / self.pairs.len();
        let rows = &self.gathered[members.start * row_bytes..members.end * row_bytes];
        if !Tiles::pay(ty, members.len()) {
            return Acts::Rows(rows);
        }
        let (of, tiles) = &mut self.tiles[g];
        if *of != self.gathered_for || !tiles.are_for(ty) {
            tiles.fill(ty, members.len(), rows);
            *of = self.gathered_for;
        }
        Acts::Tiles(tiles)
    }
}

/// SwiGLU of each token's experts; a chunk is a range of columns of one group.
pub(super) struct MoeSwiglu {
    pub(super) x: Activations,
    pub(super) logits: Slot,
    pub(super) choice: Choice,
    /// Gate and up, or both as one.
    pub(super) weights: Vec<Arc<Weight>>,
    pub(super) end: Swiglu,
}

impl MoeSwiglu {
    /// Columns of a chunk: whole blocks of the format.
    fn columns(&self) -> usize {
        let row_bytes = self.weights[0].ty.row_bytes(self.x.x.last());
        chunk_rows(2 * row_bytes).next_multiple_of(self.end.to.block_len())
    }

    fn width(&self) -> usize {
        self.end.y.last()
    }

    fn pieces(&self) -> usize {
        self.width().div_ceil(self.columns())
    }

    /// Weight and rows of gate and up for some columns.
    fn halves(&self, columns: &Range<usize>) -> [(&Weight, Range<usize>); 2] {
        let n = self.width();
        match &self.weights[..] {
            [both] => [
                (both, columns.clone()),
                (both, n + columns.start..n + columns.end),
            ],
            weights => [
                (&weights[0], columns.clone()),
                (&weights[1], columns.clone()),
            ],
        }
    }
}

impl Kernel for MoeSwiglu {
    fn chunks(&self, run: &Run<'_>) -> usize {
        // Which experts have tokens is known once the step before is done.
        let most_groups = self
            .logits
            .width()
            .min(run.count(&self.logits) * self.choice.used);
        most_groups * self.pieces()
    }

    fn run(&self, run: &Run<'_>, chunk: usize, scratch: &mut Scratch) {
        let (g, piece) = (chunk / self.pieces(), chunk % self.pieces());
        scratch.routing.route(run, &self.logits, &self.choice);
        let Some((chosen, members)) = scratch.routing.groups.get(g).cloned() else {
            return;
        };
        let (n, first) = (self.width(), piece * self.columns());
        let columns = first..n.min(first + self.columns());
        let count = columns.len();
        let mut tiles = std::mem::take(&mut scratch.tiles);
        for ((weight, rows), tile) in self.halves(&columns).into_iter().zip(&mut tiles) {
            let (ty, rounded) = (weight.ty.activation(), &mut scratch.rounded);
            (scratch.routing).gather(run, &self.x, ty, rounded, |pair| pair / self.choice.used);
            let acts = scratch.routing.acts_of(g, weight.ty);
            tile.resize(members.len() * count, 0.0);
            let mut tile = ColumnsMut::new(tile, count, count);
            matmul_rows(weight.expert(chosen), rows, acts, &mut tile);
        }
        let pairs = scratch.routing.pairs[members]
            .iter()
            .map(|pair| *pair as usize);
        // SAFETY: these columns of the group's pairs belong to this chunk.
        unsafe { (self.end).write(run, &columns, pairs, &tiles, &mut scratch.row) };
        scratch.tiles = tiles;
    }
}

/// The weighted sum of each token's experts, the shared one, and the residual; a chunk is a range of
/// columns.
pub(super) struct MoeSum {
    pub(super) x: Activations,
    pub(super) logits: Slot,
    pub(super) choice: Choice,
    /// The shared expert, if there is one.
    pub(super) shared: Option<Shared>,
    pub(super) weight: Arc<Weight>,
    /// Least sum of a token's probabilities, if they are divided by it.
    pub(super) min: Option<f32>,
    /// Factor of the experts' weights.
    pub(super) scale: Option<f32>,
    pub(super) end: OntoResidual,
}

/// The expert that takes every token.
pub(super) struct Shared {
    pub(super) y: Slot,
    /// One value for each token, of which the sigmoid multiplies it.
    pub(super) gate: Option<Slot>,
}

impl Shared {
    /// Adds columns of row `t` to `row`.
    fn add(&self, run: &Run<'_>, t: usize, first: usize, own: &mut [f32], row: &mut [f32]) {
        // SAFETY: an operand.
        let shared = unsafe { run.read(&self.y) };
        own.copy_from_slice(&shared[t * self.y.width() + first..][..row.len()]);
        if let Some(gate) = &self.gate {
            // SAFETY: an operand.
            let mut gate = unsafe { [run.read(gate)[t]] };
            sigmoid(&mut gate);
            mul(own, Rhs::Value(gate[0]));
        }
        add(row, Rhs::Row(own));
    }
}

/// Chunks of a worker where few tokens meet the experts: as few as share the work well, for long
/// visits to each.
const CHUNKS: usize = 4;
/// Bytes of a chunk's results of all pairs, which should stay in L2.
const RESULTS: usize = 512 << 10;

impl MoeSum {
    /// Columns of a chunk, in whole groups of 16.
    fn columns(&self, run: &Run<'_>) -> usize {
        let (row_bytes, used) = (self.weight.ty.row_bytes(self.x.x.last()), self.choice.used);
        let pairs = run.count(&self.end.y) * used;
        let share = self.end.y.width() / (CHUNKS * run.workers);
        let most = RESULTS / (pairs * size_of::<f32>()).max(1);
        let most = share.min(most).next_multiple_of(16);
        chunk_rows(used * row_bytes).max(most)
    }
}

impl Kernel for MoeSum {
    fn chunks(&self, run: &Run<'_>) -> usize {
        match run.count(&self.end.y) {
            0 => 0,
            _ => self.end.y.width().div_ceil(self.columns(run)),
        }
    }

    fn run(&self, run: &Run<'_>, chunk: usize, scratch: &mut Scratch) {
        let (ty, rounded) = (self.weight.ty.activation(), &mut scratch.rounded);
        (scratch.routing).route(run, &self.logits, &self.choice);
        (scratch.routing).gather(run, &self.x, ty, rounded, |pair| pair);
        let (width, used, first) = (
            self.end.y.width(),
            self.choice.used,
            chunk * self.columns(run),
        );
        let columns = first..width.min(first + self.columns(run));
        let count = columns.len();
        let routing = &mut scratch.routing;
        let [by_group, by_pair] = &mut scratch.tiles;
        by_group.resize(routing.pairs.len() * count, 0.0);
        by_pair.resize(routing.pairs.len() * count, 0.0);
        for g in 0..routing.groups.len() {
            let (chosen, members) = routing.groups[g].clone();
            let tile = &mut by_group[members.start * count..members.end * count];
            let mut tile = ColumnsMut::new(tile, count, count);
            let weights = self.weight.expert(chosen);
            let acts = routing.acts_of(g, self.weight.ty);
            matmul_rows(weights, columns.clone(), acts, &mut tile);
        }
        for (row, &pair) in by_group.chunks_exact(count).zip(&routing.pairs) {
            by_pair[pair as usize * count..][..count].copy_from_slice(row);
        }
        let (row, weights) = (&mut scratch.row, &mut scratch.scores);
        row.resize(count, 0.0);
        for (t, experts) in by_pair.chunks_exact_mut(used * count).enumerate() {
            weights.clear();
            weights.extend_from_slice(&routing.probabilities[t * used..][..used]);
            if let Some(min) = self.min {
                let total = weights.iter().map(|&p| f64::from(p)).sum::<f64>() as f32;
                div(weights, Rhs::Value(total.max(min)));
            }
            if let Some(scale) = self.scale {
                mul(weights, Rhs::Value(scale));
            }
            let mut experts = experts.chunks_exact_mut(count).zip(&*weights);
            row.fill(0.0);
            if let Some((expert, weight)) = experts.next() {
                row.copy_from_slice(expert);
                mul(row, Rhs::Value(*weight));
            }
            for (expert, weight) in experts {
                mul(expert, Rhs::Value(*weight));
                add(row, Rhs::Row(expert));
            }
            if let Some(shared) = &self.shared {
                shared.add(run, t, first, &mut by_group[..count], row);
            }
            // SAFETY: the chunk owns these columns of the result.
            unsafe { self.end.write(run, t, first, row) };
        }
    }
}
