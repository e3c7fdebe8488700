//! A pass of a token, or of one token's end and the next one's start, over groups of columns.

use crate::isa::reduce::Reduce;
use crate::isa::{Cache, Isa, prefetch};

/// Columns of a group.
pub(super) const LANES: usize = 16;

/// How much further ahead of what is brought into L1 memory is asked into L2, in bytes.
const FAR: usize = 32 << 10;

/// What a pass takes of a token.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) q: &'a [f32],
    pub(super) k: &'a [f32],
    pub(super) decay: f32,
}

/// Asks for the memory behind a block, a little at a time.
pub(super) struct Prefetcher {
    line: *const u8,
    /// Lines for a quarter of a pass.
    lines: usize,
}

impl Prefetcher {
    /// For so many passes over `state`.
    #[inline(always)]
    pub(super) fn new(state: &[f32], passes: usize) -> Prefetcher {
        Prefetcher {
            line: state.as_ptr_range().end.cast(),
            lines: size_of_val(state).div_ceil(64 * 4 * passes),
        }
    }

    #[inline(always)]
    fn bring(&mut self) {
        for _ in 0..self.lines {
            prefetch(self.line.wrapping_add(FAR), Cache::L2);
            prefetch(self.line, Cache::L1);
            self.line = self.line.wrapping_add(64);
        }
    }
}

/// The values of `G` groups' columns; zeros for columns that are not there.
#[inline(always)]
pub(super) fn load<I: Isa, const G: usize>(x: &[f32]) -> [I::F; G] {
    let mut values = [I::splat(0.0); G];
    for g in 0..G {
        values[g] = match x[g * LANES..].first_chunk() {
            Some(x) => I::load(x),
            None => {
                let mut wide = [0.0; LANES];
                wide[..x.len()].copy_from_slice(x);
                I::load(&wide)
            }
        };
    }
    values
}

/// Writes the values of `G` groups' columns, those that are there.
#[inline(always)]
pub(super) fn store<I: Isa, const G: usize>(values: [I::F; G], to: &mut [f32]) {
    for g in 0..G {
        match to[g * LANES..].first_chunk_mut() {
            Some(to) => I::store(values[g], to),
            None => {
                let mut wide = [0.0; LANES];
                I::store(values[g], &mut wide);
                to.copy_from_slice(&wide[..to.len()]);
            }
        }
    }
}

/// `S = S · decay + k · δ` for `G` groups, `[D, 16]` each.
#[inline(always)]
pub(super) fn add_update<I: Isa, const G: usize>(
    state: &mut [f32],
    k: &[f32],
    decay: f32,
    delta: [I::F; G],
) {
    let decay = I::splat(decay);
    for g in 0..G {
        let (group, _) = state[g * k.len() * LANES..].as_chunks_mut::<LANES>();
        for (s, k) in group.iter_mut().zip(k) {
            I::store(I::fma(I::splat(*k), delta[g], I::mul(I::load(s), decay)), s);
        }
    }
}

/// Goes over `G` groups once: `S = S + k · δ` and `S·q` for the token that `ENDS`, then
/// `S = S · decay` and `S·k` for the one that `BEGINS`. The products are returned. `N` is D, or 0
/// if that is not known. With `FROM` the state is taken from there.
///
/// A product of D values is defined as for 16 lanes in four groups ([`Reduce::merged`]): value i
/// adds to sum `i % 64` until less than 64 are left; then sums come together 32 apart, 16 apart, 8,
/// 4, 2 and 1 apart; the products that are left are rounded and added in order. Here a leaf is what
/// sums l, l + 16, l + 32 and l + 48 come to.
#[inline(always)]
pub(super) fn pass<
    I: Reduce,
    const N: usize,
    const G: usize,
    const ENDS: bool,
    const BEGINS: bool,
    const FROM: bool,
>(
    from: &[f32],
    state: &mut [f32],
    [ended, begun]: [Row<'_>; 2],
    delta: [I::F; G],
    prefetcher: &mut Prefetcher,
) -> [[I::F; 2]; G] {
    let n = if N > 0 { N } else { ended.k.len() };
    let lens = [ended.q.len(), ended.k.len(), begun.q.len(), begun.k.len()];
    assert!(lens == [n; 4] && state.len() == G * n * LANES);
    assert!(!FROM || from.len() == state.len());
    let mut over = ColumnPass::<I, G, ENDS, BEGINS, FROM> {
        from,
        state,
        n,
        rows: [ended, begun],
        delta,
        decay: I::splat(begun.decay),
    };
    // Loops, not calls one after another: portable code, where each operation is itself a loop,
    // would take the compiler minutes.
    let mut quarters = [[[I::splat(0.0); 2]; G]; 4];
    for (l, quarter) in quarters.iter_mut().enumerate() {
        let mut leaves = [[[I::splat(0.0); 2]; G]; 4];
        for (i, leaf) in leaves.iter_mut().enumerate() {
            *leaf = over.leaf(l + 4 * i);
        }
        *quarter = sum_of_four::<I, G>(leaves);
        prefetcher.bring();
    }
    let mut sums = sum_of_four::<I, G>(quarters);
    for i in n / 64 * 64..n {
        over.step::<1, false>(i, &mut sums);
    }
    sums
}

/// The sum of four: the first and the third, the second and the fourth, then both.
#[inline(always)]
fn sum_of_four<I: Isa, const G: usize>([a, b, c, d]: [[[I::F; 2]; G]; 4]) -> [[I::F; 2]; G] {
    together::<I, G>(together::<I, G>(a, c), together::<I, G>(b, d))
}

/// Lane by lane.
#[inline(always)]
fn together<I: Isa, const G: usize>(a: [[I::F; 2]; G], b: [[I::F; 2]; G]) -> [[I::F; 2]; G] {
    let mut sums = a;
    for g in 0..G {
        for i in 0..2 {
            sums[g][i] = I::add(a[g][i], b[g][i]);
        }
    }
    sums
}

/// A pass under way.
struct ColumnPass<
    'a,
    I: Isa,
    const G: usize,
    const ENDS: bool,
    const BEGINS: bool,
    const FROM: bool,
> {
    from: &'a [f32],
    state: &'a mut [f32],
    n: usize,
    rows: [Row<'a>; 2],
    delta: [I::F; G],
    decay: I::F,
}

impl<I: Reduce, const G: usize, const ENDS: bool, const BEGINS: bool, const FROM: bool>
    ColumnPass<'_, I, G, ENDS, BEGINS, FROM>
{
    #[inline(always)]
    fn leaf(&mut self, l: usize) -> [[I::F; 2]; G] {
        let mut sums = [[[I::splat(0.0); 2]; G]; 4];
        for (c, sum) in sums.iter_mut().enumerate() {
            *sum = self.sum(l + 16 * c);
        }
        sum_of_four::<I, G>(sums)
    }

    /// Values `first`, `first + 64`, … of those that make whole sixty-fours.
    #[inline(always)]
    fn sum(&mut self, first: usize) -> [[I::F; 2]; G] {
        let mut sums = [[I::splat(0.0); 2]; G];
        let end = self.n / 64 * 64;
        let mut i = first;
        while i + 64 < end {
            self.step::<2, true>(i, &mut sums);
            i += 128;
        }
        if i < end {
            self.step::<1, true>(i, &mut sums);
        }
        sums
    }

    /// Values `i`, `i + 64`, …, `S` of them, of all columns; if `FUSED`, a product and its sum are
    /// rounded once. All are read before one is written:
    /// they are whole pages apart, and a CPU that compares addresses by their place in a page
    /// holds up what it reads after such a write.
    #[inline(always)]
    fn step<const S: usize, const FUSED: bool>(&mut self, i: usize, sums: &mut [[I::F; 2]; G]) {
        let mut values = [[I::splat(0.0); G]; S];
        for s in 0..S {
            for g in 0..G {
                let from = if FROM { self.from } else { &*self.state };
                // SAFETY: `place` is below the length of both.
                values[s][g] = I::load(unsafe { &*from.as_ptr().add(self.place(i, s, g)).cast() });
            }
        }
        let [ended, begun] = self.rows;
        for s in 0..S {
            for g in 0..G {
                let value = &mut values[s][g];
                if ENDS {
                    *value = I::fma(factor::<I>(ended.k, i + 64 * s), self.delta[g], *value);
                    sums[g][0] =
                        plus::<I, FUSED>(sums[g][0], *value, factor::<I>(ended.q, i + 64 * s));
                }
                if BEGINS {
                    *value = I::mul(*value, self.decay);
                    sums[g][1] =
                        plus::<I, FUSED>(sums[g][1], *value, factor::<I>(begun.k, i + 64 * s));
                }
            }
        }
        for s in 0..S {
            for g in 0..G {
                let place = self.place(i, s, g);
                // SAFETY: as above.
                I::store(values[s][g], unsafe {
                    &mut *self.state.as_mut_ptr().add(place).cast()
                });
            }
        }
    }

    /// Where the `s`-th of the values from `i` on begins in group `g`.
    #[inline(always)]
    fn place(&self, i: usize, s: usize, g: usize) -> usize {
        let place = (g * self.n + i + 64 * s) * LANES;
        debug_assert!(place + LANES <= self.state.len());
        place
    }
}

/// `sum + x · y`, rounded once if `FUSED`.
#[inline(always)]
fn plus<I: Isa, const FUSED: bool>(sum: I::F, x: I::F, y: I::F) -> I::F {
    match FUSED {
        true => I::fma(x, y, sum),
        false => I::add(sum, I::mul(x, y)),
    }
}

/// Value `i` of a row, in every lane.
#[inline(always)]
fn factor<I: Isa>(row: &[f32], i: usize) -> I::F {
    debug_assert!(i < row.len());
    // SAFETY: `pass` has seen that rows have n values, and `ColumnPass` stays below n.
    I::splat(unsafe { *row.as_ptr().add(i) })
}
