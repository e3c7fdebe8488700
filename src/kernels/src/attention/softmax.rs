//! Running softmaxes of many queries, side by side.

use super::TILE;
use super::score::Scores;
use crate::isa::Isa;
use crate::math;
use crate::simd::multiversion;

/// Queries that are worked on together.
const LANES: usize = 8;

/// A number of each of [`LANES`] queries.
type Lanes<T> = [T; LANES];

/// The softmaxes of a call, and for a tile of positions what each does to the running results:
/// `out · keep + v · weight`.
#[derive(Default)]
pub(super) struct Softmax {
    running: Vec<Running>,
    /// Scores, later factors of what is there: `[TILE, queries]`, queries in whole [`LANES`].
    keep: Vec<Lanes<f32>>,
    /// Factors of what is added, laid out likewise.
    weight: Vec<Lanes<f32>>,
}

/// The largest score so far, and the sum of weights relative to it.
#[derive(Clone, Copy)]
struct Running {
    max: Lanes<f32>,
    sum: Lanes<f32>,
    /// Positions that each query sees.
    seen: Lanes<u32>,
}

/// What a tile's positions do to the results of one token: factors of its first query's result,
/// then its second's; from one position to the next it is `stride`.
#[derive(Clone, Copy)]
pub(super) struct Steps<'a> {
    pub(super) keep: &'a [f32],
    pub(super) weight: &'a [f32],
    pub(super) stride: usize,
    /// Positions.
    pub(super) count: usize,
    /// Whether to ask for the values of the next tile.
    pub(super) ahead: bool,
}

impl Softmax {
    /// Begins with `heads` queries for each of the tokens, which see that many positions.
    pub(super) fn start(&mut self, heads: usize, seen: &[usize]) {
        self.running.clear();
        let none = Running {
            max: [f32::NEG_INFINITY; LANES],
            sum: [0.0; LANES],
            seen: [0; LANES],
        };
        let queries = seen.len() * heads;
        self.running.resize(queries.div_ceil(LANES), none);
        for row in 0..queries {
            self.running[row / LANES].seen[row % LANES] = seen[row / heads] as u32;
        }
        let tile = TILE * self.running.len();
        self.keep.resize(tile, [0.0; LANES]);
        self.weight.resize(tile, [0.0; LANES]);
    }

    fn stride(&self) -> usize {
        self.running.len() * LANES
    }

    /// Where the scores of `count` positions go.
    pub(super) fn scores(&mut self, count: usize) -> Scores<'_> {
        let stride = self.stride();
        let values = &mut self.keep.as_flattened_mut()[..count * stride];
        Scores { values, stride }
    }

    /// Takes in the scores of `count` positions from `first` on.
    pub(super) fn take(&mut self, first: usize, count: usize) {
        let tile = count * self.running.len();
        take(
            first,
            &mut self.running,
            &mut self.keep[..tile],
            &mut self.weight[..tile],
        );
    }

    /// The first `count` steps of the tile for the queries from `row` on.
    pub(super) fn steps(&self, row: usize, count: usize) -> Steps<'_> {
        Steps {
            keep: &self.keep.as_flattened()[row..],
            weight: &self.weight.as_flattened()[row..],
            stride: self.stride(),
            count,
            ahead: row == 0,
        }
    }

    /// The sum of a query's weights.
    pub(super) fn sum(&self, row: usize) -> f32 {
        self.running[row / LANES].sum[row % LANES]
    }
}

multiversion! {
    fn take(
        first: usize, running: &mut [Running], keep: &mut [Lanes<f32>], weight: &mut [Lanes<f32>],
    ) = body;
}

#[inline(always)]
fn body<I: Isa>(
    first: usize,
    running: &mut [Running],
    keep: &mut [Lanes<f32>],
    weight: &mut [Lanes<f32>],
) {
    let groups = running.len();
    for (g, running) in running.iter_mut().enumerate() {
        let tile = keep[g..].iter_mut().zip(&mut weight[g..]);
        for (p, (keep, weight)) in tile.step_by(groups).enumerate() {
            (*keep, *weight) = running.step((first + p) as u32, *keep);
        }
    }
}

impl Running {
    /// Takes in the scores of a position; returns the factors of what is there and of what is
    /// added. Each loop has one result, so that it becomes vector instructions.
    #[inline(always)]
    fn step(&mut self, position: u32, scores: Lanes<f32>) -> (Lanes<f32>, Lanes<f32>) {
        let Running { max, sum, seen } = *self;
        let mut below = [0.0; LANES];
        for j in 0..LANES {
            let (rise, fall) = (max[j] - scores[j], scores[j] - max[j]);
            below[j] = if scores[j] > max[j] { rise } else { fall };
        }
        let exp = math::exps(below);
        // A position that is not seen leaves everything as it is.
        let (mut keep, mut weight) = ([0.0; LANES], [0.0; LANES]);
        for j in 0..LANES {
            let kept = if scores[j] > max[j] { exp[j] } else { 1.0 };
            keep[j] = if position < seen[j] { kept } else { 1.0 };
        }
        for j in 0..LANES {
            let added = if scores[j] > max[j] { 1.0 } else { exp[j] };
            let hidden = position >= seen[j] || scores[j] == f32::NEG_INFINITY;
            weight[j] = if hidden { 0.0 } else { added };
        }
        for j in 0..LANES {
            self.max[j] = if scores[j] > max[j] {
                scores[j]
            } else {
                max[j]
            };
        }
        for j in 0..LANES {
            self.sum[j] = sum[j].mul_add(keep[j], weight[j]);
        }
        (keep, weight)
    }
}
