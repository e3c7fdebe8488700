use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::disk::Files;
use super::store::{Limits, Prompts};
use crate::{CompileOptions, Executable, Input, Model, SavedSession, Session, SessionOptions};

const LIMITS: Limits = Limits {
    bytes: 1 << 30,
    disk_bytes: 1 << 30,
};

fn executable() -> Arc<Executable> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/models");
    let model = Model::open(folder.join("micro-dense-f32.gguf")).expect("a model");
    Arc::new(model.compile(&CompileOptions::default()).expect("compiled"))
}

fn fresh(executable: &Arc<Executable>) -> Session {
    let options = SessionOptions::default().context(256).threads(1);
    Session::new(executable.clone(), &options).expect("a session")
}

/// Feeds what a session has not seen of a text; the last logits.
fn feed(session: &mut Session, text: &[u32]) -> Vec<f32> {
    let ids: Vec<i32> = text[session.position("trunk")..]
        .iter()
        .map(|id| *id as i32)
        .collect();
    let rows = [ids.len() as i32 - 1];
    let inputs = [("ids", Input::I32(&ids)), ("rows", Input::I32(&rows))];
    let mut outputs = session.run("trunk", &inputs).expect("a run");
    outputs.take("logits").expect("logits")
}

fn text(own: u32, len: u32) -> Vec<u32> {
    (0..len)
        .map(|i| if i < 20 { i } else { (i * own) % 500 })
        .collect()
}

/// Lets a store remember a text at some places.
fn read(prompts: &mut Prompts, executable: &Arc<Executable>, text: &[u32], places: &[usize]) {
    let mut session = fresh(executable);
    let known = prompts.resume(false, text, &mut session);
    for place in places {
        if known.as_ref().is_none_or(|k| k.tokens < *place) {
            feed(&mut session, &text[..*place]);
        }
        if session.position("trunk") == *place {
            prompts.remember(&text[..*place], &session, (false, &[], &[]));
        }
    }
}

/// Tokens that are known of a text, after holding what follows against a fresh session.
fn known(prompts: &mut Prompts, executable: &Arc<Executable>, text: &[u32]) -> usize {
    let mut session = fresh(executable);
    let resumed = prompts.resume(false, text, &mut session);
    let tokens = resumed.map_or(0, |r| r.tokens);
    assert_eq!(session.position("trunk"), tokens);
    let found = feed(&mut session, text);
    let expected = feed(&mut fresh(executable), text);
    assert!(found == expected, "after {tokens} of {}", text.len());
    tokens
}

#[test]
fn texts_are_found_up_to_their_deepest_checkpoint() {
    let executable = executable();
    let mut prompts = Prompts::new(LIMITS);
    let (a, b) = (text(3, 60), text(5, 60));
    read(&mut prompts, &executable, &a, &[10, 40]);
    assert_eq!(known(&mut prompts, &executable, &a), 40);
    assert_eq!(known(&mut prompts, &executable, &a[..40]), 10);
    assert_eq!(prompts.known(false, &b), (10, 20));
    // The node up to 40 is cut at 20, where the texts part, and again at 15.
    read(&mut prompts, &executable, &b, &[20, 50]);
    read(&mut prompts, &executable, &a, &[15, 60]);
    for (text, tokens) in [(&a, 40), (&b, 50)] {
        assert_eq!(known(&mut prompts, &executable, text), tokens);
    }
    assert_eq!(known(&mut prompts, &executable, &b[..50]), 20);
    assert_eq!(prompts.known(true, &a), (0, 0));
}

#[test]
fn the_oldest_go_first_and_what_is_left_stays_sound() {
    let executable = executable();
    let mut prompts = Prompts::new(LIMITS);
    let texts: Vec<Vec<u32>> = (1..9).map(|own| text(own * 2 + 1, 70)).collect();
    for text in &texts {
        read(&mut prompts, &executable, text, &[12, 20, 45, 66]);
    }
    let all = prompts.stats().bytes;
    let mut last = usize::MAX;
    for tenths in (0..10).rev() {
        let bytes = all * tenths / 10;
        let mut prompts = Prompts::new(Limits { bytes, ..LIMITS });
        for text in &texts {
            read(&mut prompts, &executable, text, &[12, 20, 45, 66]);
            assert!(prompts.stats().bytes <= bytes);
        }
        let found: usize = texts
            .iter()
            .map(|t| known(&mut prompts, &executable, t))
            .sum();
        assert!(found <= last, "{found} tokens after {last}");
        last = found;
    }
    assert_eq!(last, 0);
}

/// Files in memory, of which some cannot be written or read.
#[derive(Default)]
struct Faulty {
    files: Mutex<HashMap<String, Vec<u8>>>,
    operations: AtomicUsize,
    /// Which operations fail.
    fails: Option<fn(usize) -> bool>,
}

impl Faulty {
    fn check(&self) -> io::Result<()> {
        let n = self.operations.fetch_add(1, Ordering::Relaxed);
        match self.fails.is_some_and(|fails| fails(n)) {
            true => Err(io::Error::from(io::ErrorKind::StorageFull)),
            false => Ok(()),
        }
    }
}

impl Files for Faulty {
    fn write(&self, name: &str, saved: &SavedSession) -> io::Result<u64> {
        self.check()?;
        let bytes = saved.to_bytes();
        let size = bytes.len() as u64;
        self.files.lock().unwrap().insert(name.into(), bytes);
        Ok(size)
    }

    fn read(&self, name: &str) -> io::Result<SavedSession> {
        self.check()?;
        let files = self.files.lock().unwrap();
        let bytes = files.get(name).ok_or(io::ErrorKind::NotFound)?;
        SavedSession::from_bytes(bytes).map_err(io::Error::other)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.check()?;
        self.files.lock().unwrap().remove(name);
        Ok(())
    }
}

#[test]
fn a_full_disk_costs_files_and_nothing_else() {
    let executable = executable();
    for fails in [
        (|_| true) as fn(usize) -> bool,
        |n| n % 2 == 0,
        |n| n % 3 == 1,
    ] {
        let files = Arc::new(Faulty {
            fails: Some(fails),
            ..Faulty::default()
        });
        let mut prompts = Prompts::on(LIMITS, files);
        for own in 1..8 {
            let text = text(own, 50);
            read(&mut prompts, &executable, &text, &[20, 40]);
            assert_eq!(known(&mut prompts, &executable, &text), 40);
        }
    }
}

#[test]
fn a_file_that_was_cut_at_any_byte_is_not_taken_for_whole() {
    let mut session = fresh(&executable());
    feed(&mut session, &text(3, 40));
    let bytes = session.save_from(38).to_bytes();
    let len = bytes.len();
    for cut in (0..2000)
        .chain((2000..len - 100).step_by(211))
        .chain(len - 100..len)
    {
        assert!(
            SavedSession::from_bytes(&bytes[..cut]).is_err(),
            "{cut} of {len}"
        );
    }
    assert!(SavedSession::from_bytes(&bytes).is_ok());
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let own = std::fs::read_dir(folder)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let files = std::fs::read_dir(own).unwrap().map(|e| e.unwrap().path());
    let mut files: Vec<_> = files.filter(|p| p.extension().is_some()).collect();
    files.sort();
    files
}

#[test]
fn a_store_that_was_cut_anywhere_is_read_or_dropped_and_never_served_wrong() {
    let executable = executable();
    let folder = tempfile::tempdir().unwrap();
    let open = || Prompts::open(LIMITS, folder.path(), &executable).expect("a store");
    let (a, b) = (text(3, 60), text(5, 60));
    let mut prompts = open();
    read(&mut prompts, &executable, &a, &[20, 40]);
    read(&mut prompts, &executable, &b, &[50]);
    drop(prompts);
    let written: Vec<_> = files(folder.path())
        .into_iter()
        .map(|p| {
            let bytes = std::fs::read(&p).unwrap();
            (p, bytes)
        })
        .collect();
    assert_eq!(written.len(), 3);
    let check = || {
        let mut prompts = open();
        let found = [
            known(&mut prompts, &executable, &a),
            known(&mut prompts, &executable, &b),
        ];
        drop(prompts);
        // What is left afterwards is sound too.
        let mut prompts = open();
        let again = [
            known(&mut prompts, &executable, &a),
            known(&mut prompts, &executable, &b),
        ];
        assert_eq!(found, again);
        found
    };
    assert_eq!(check(), [40, 50]);
    for (i, (path, bytes)) in written.iter().enumerate() {
        // In every field, and between fields.
        let len = bytes.len();
        let cuts = [
            0,
            5,
            8,
            11,
            30,
            44,
            47,
            52,
            60,
            200,
            len / 2,
            len - 33,
            len - 32,
            len - 1,
        ];
        for cut in cuts {
            std::fs::write(path, &bytes[..cut]).unwrap();
            let found = check();
            assert!(
                found.iter().all(|n| [0, 20, 40, 50].contains(n)),
                "{found:?}"
            );
            let whole = [40, 50];
            assert!(
                found != whole,
                "file {i} cut at {cut} of {len} made no difference"
            );
            for (path, bytes) in &written {
                std::fs::write(path, bytes).unwrap();
            }
        }
    }
    std::fs::write(written[0].0.with_extension("prompt.77.part"), b"half").unwrap();
    assert_eq!(check(), [40, 50]);
    assert_eq!(files(folder.path()).len(), 3);
}

#[test]
fn a_file_that_cannot_be_read_in_use_costs_what_needs_it_and_nothing_else() {
    let executable = executable();
    let (a, b) = (text(3, 60), text(5, 60));
    for lost in 0..3 {
        for late in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let open = || Prompts::open(LIMITS, folder.path(), &executable).expect("a store");
            let mut prompts = open();
            read(&mut prompts, &executable, &a, &[20, 40]);
            read(&mut prompts, &executable, &b, &[50]);
            drop(prompts);
            let mut prompts = open();
            if late {
                while prompts.preload() {}
            }
            let path = &files(folder.path())[lost];
            std::fs::remove_file(path).unwrap();
            std::fs::create_dir(path).unwrap();
            let found = [&a, &b].map(|text| known(&mut prompts, &executable, text));
            assert_eq!(found == [40, 50], late, "{found:?}");
            assert_eq!(prompts.stats().failures > 0, !late);
            // What was lost is read and remembered anew.
            read(&mut prompts, &executable, &a, &[20, 40]);
            read(&mut prompts, &executable, &b, &[50]);
            let found = [&a, &b].map(|text| known(&mut prompts, &executable, text));
            assert_eq!(found, [40, 50]);
        }
    }
}

#[test]
fn what_was_used_last_is_read_ahead_first_and_within_the_bound() {
    let executable = executable();
    let folder = tempfile::tempdir().unwrap();
    let open = |bytes| {
        let limits = Limits { bytes, ..LIMITS };
        Prompts::open(limits, folder.path(), &executable).expect("a store")
    };
    let mut prompts = open(LIMITS.bytes);
    for own in 1..5 {
        read(&mut prompts, &executable, &text(2 * own + 1, 60), &[50]);
    }
    drop(prompts);
    let largest = files(folder.path())
        .iter()
        .map(|p| p.metadata().unwrap().len())
        .max();
    let largest = largest.expect("files");
    for most in 0..4 {
        let limit = most * largest + 8192;
        let mut prompts = open(limit);
        let before = prompts.stats().bytes;
        while prompts.preload() {}
        let stats = prompts.stats();
        assert!(stats.bytes <= limit, "{stats:?}");
        assert_eq!((stats.bytes > before, stats.failures), (most > 0, 0));
        // All are to be had, one after the other.
        for own in (1..5).rev() {
            assert_eq!(known(&mut prompts, &executable, &text(2 * own + 1, 60)), 50);
            assert!(
                prompts.stats().bytes <= limit,
                "{most}: {:?}",
                prompts.stats()
            );
        }
    }
}

#[test]
fn what_leaves_memory_is_still_in_files_and_comes_back_in_parts() {
    let executable = executable();
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits {
        bytes: 600 << 10,
        ..LIMITS
    };
    let open = || Prompts::open(limits, folder.path(), &executable).expect("a store");
    let mut prompts = open();
    let texts: Vec<Vec<u32>> = (1..9).map(|own| text(own * 2 + 1, 70)).collect();
    for text in &texts {
        read(&mut prompts, &executable, text, &[12, 20, 45, 66]);
        assert!(prompts.stats().bytes <= limits.bytes);
    }
    let check = |prompts: &mut Prompts| {
        for text in &texts {
            assert_eq!(known(prompts, &executable, text), 66);
            assert_eq!(known(prompts, &executable, &text[..50]), 45);
            assert_eq!(known(prompts, &executable, &text[..18]), 12);
            assert!(prompts.stats().bytes <= limits.bytes);
        }
    };
    check(&mut prompts);
    drop(prompts);
    let mut prompts = open();
    check(&mut prompts);
    assert_eq!(prompts.stats().failures, 0);
}

#[test]
fn texts_that_parted_are_found_again_after_a_restart_wherever_they_parted() {
    let executable = executable();
    let folder = tempfile::tempdir().unwrap();
    let open = || Prompts::open(LIMITS, folder.path(), &executable).expect("a store");
    let mut prompts = open();
    let one = text(3, 40);
    read(&mut prompts, &executable, &one, &[40]);
    // They go on together for some tokens behind the first one's end, and part.
    let next = |own: u32| -> Vec<u32> {
        let ends = (0..20).map(|i| if i < 6 { 7 } else { i * own % 500 });
        one.iter().copied().chain(ends).collect()
    };
    for own in [3, 5, 7] {
        read(&mut prompts, &executable, &next(own), &[60]);
    }
    drop(prompts);
    for _ in 0..2 {
        let mut prompts = open();
        assert_eq!(known(&mut prompts, &executable, &next(11)), 40);
        for own in [3, 5, 7] {
            let mut longer = next(own);
            longer.push(9);
            assert_eq!(known(&mut prompts, &executable, &longer), 60);
            // What was read for it leaves the others as they were.
            assert_eq!(known(&mut prompts, &executable, &next(11)), 40);
        }
        assert_eq!(prompts.stats().failures, 0);
    }
}

#[test]
fn two_processes_do_not_share_a_folder() {
    let executable = executable();
    let folder = tempfile::tempdir().unwrap();
    let first = Prompts::open(LIMITS, folder.path(), &executable).expect("a store");
    let error = Prompts::open(LIMITS, folder.path(), &executable)
        .err()
        .expect("a refusal");
    assert!(
        error.to_string().contains("in use by another process"),
        "{error}"
    );
    drop(first);
    Prompts::open(LIMITS, folder.path(), &executable).expect("a store");
}

#[test]
fn files_stay_within_their_bound_and_those_that_others_need_stay() {
    let executable = executable();
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits {
        disk_bytes: 4 << 20,
        ..LIMITS
    };
    let mut prompts = Prompts::open(limits, folder.path(), &executable).expect("a store");
    for own in 1..12 {
        read(&mut prompts, &executable, &text(own, 80), &[20, 50, 70]);
    }
    assert!(prompts.stats().disk_bytes <= 4 << 20);
    drop(prompts);
    let size: u64 = files(folder.path())
        .iter()
        .map(|p| p.metadata().unwrap().len())
        .sum();
    assert!((1..=5 << 20).contains(&size), "{size}");
    let mut prompts = Prompts::open(limits, folder.path(), &executable).expect("a store");
    assert_eq!(prompts.stats().failures, 0);
    assert!(known(&mut prompts, &executable, &text(11, 80)) == 70);
}
