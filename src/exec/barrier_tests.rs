//! The barrier with real threads; every order of few steps is tried in `tests/loom`.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::barrier::Barrier;

#[test]
fn nobody_passes_before_all_have_come_whether_they_spin_or_sleep() {
    let barrier = Barrier::new(3);
    let count = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for worker in 0..3 {
            let (barrier, count) = (&barrier, &count);
            scope.spawn(move || {
                for step in 1..200 {
                    // Now and then one is so late that the others sleep.
                    if step % 50 == 0 && worker == step / 50 % 3 {
                        std::thread::sleep(Duration::from_millis(5));
                    }
                    count.fetch_add(1, Ordering::Relaxed);
                    barrier.wait();
                    assert_eq!(count.load(Ordering::Relaxed), 3 * step);
                    barrier.wait();
                }
            });
        }
    });
}

#[test]
fn a_panic_wakes_and_ends_those_who_wait_for_it() {
    let barrier = Barrier::new(2);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| barrier.wait());
        let failing = scope.spawn(|| {
            let _guard = barrier.guard();
            std::thread::sleep(Duration::from_millis(5));
            panic!("on purpose");
        });
        assert!(failing.join().is_err());
        assert!(waiting.join().is_err());
    });
}
