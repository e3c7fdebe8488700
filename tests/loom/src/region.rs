//! A region in small: workers take chunks of steps, and meet between steps.

use loom::cell::UnsafeCell;
use loom::model::Builder;
use loom::sync::Arc;
use loom::thread;

use crate::barrier::Barrier;
use crate::shares::Shares;

/// Runs a model in every order with up to so many switches between threads that can go on.
fn every_order(switches: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(switches);
    builder.check(model);
}

/// What the workers share: a cell for each chunk of each step, which loom watches for races.
struct Region {
    steps: Vec<(Shares, Vec<UnsafeCell<usize>>)>,
    barrier: Barrier,
}

impl Region {
    fn new(steps: &[usize], workers: usize) -> Region {
        let cells = |chunks| (0..chunks).map(|_| UnsafeCell::new(0)).collect();
        let step = |chunks: &usize| (Shares::new(*chunks, workers), cells(*chunks));
        Region {
            steps: steps.iter().map(step).collect(),
            barrier: Barrier::new(workers),
        }
    }

    /// Each chunk writes its cell: one more than the sum of the step before, whose cells it reads.
    fn walk(&self, worker: usize) {
        let _guard = self.barrier.guard();
        for (i, (shares, cells)) in self.steps.iter().enumerate() {
            for of in shares.order(worker) {
                while let Some(chunk) = shares.take(of) {
                    let sum = i.checked_sub(1).map_or(0, |before| self.sum(before));
                    // SAFETY: whether the chunk is this worker's alone is what loom looks at.
                    cells[chunk].with_mut(|cell| unsafe { *cell += sum + 1 });
                }
            }
            self.barrier.wait();
        }
    }

    fn sum(&self, step: usize) -> usize {
        let cells = self.steps[step].1.iter();
        // SAFETY: whether nobody writes meanwhile is what loom looks at.
        cells.map(|cell| cell.with(|cell| unsafe { *cell })).sum()
    }
}

/// Runs the steps with so many workers, and looks at the last sum.
fn run(steps: &'static [usize], workers: usize, switches: usize) {
    every_order(switches, move || {
        let region = Arc::new(Region::new(steps, workers));
        let others: Vec<_> = (1..workers)
            .map(|worker| {
                let region = region.clone();
                thread::spawn(move || region.walk(worker))
            })
            .collect();
        region.walk(0);
        others.into_iter().for_each(|other| other.join().unwrap());
        let expected = (steps.iter()).fold(0, |sum, chunks| chunks * (sum + 1));
        assert_eq!(region.sum(steps.len() - 1), expected);
    });
}

#[test]
fn each_chunk_is_taken_once_and_the_next_step_sees_what_it_wrote() {
    run(&[3, 2, 1], 2, 3);
}

#[test]
fn a_step_without_work_for_all_holds_nobody_up() {
    run(&[1, 0, 2], 2, 3);
}

#[test]
fn three_workers_meet_as_two_do() {
    run(&[2, 2], 3, 2);
}
