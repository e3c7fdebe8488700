//! `memory`.

use tempfile::tempdir;

use crate::{assert_snapshot, fails, json, sharpi, stdout};

#[test]
fn the_memory_of_the_small_model_is_shown_as_before() {
    let args = "memory -c 1000 --spec-draft-n-max 2 --fit 24MiB";
    assert_snapshot("memory.tiny-dense-Q4_K_M", &stdout(sharpi(args)));
}

#[test]
fn the_picture_of_the_arena_has_at_most_120_columns() {
    for args in ["", "--graph mtp", "--steps 10-23", "-b 4"] {
        let text = stdout(sharpi(&format!("memory {args}")));
        let widest = text.lines().map(|line| line.chars().count()).max();
        assert!(widest.is_some_and(|n| n <= 120), "{text}");
    }
}

#[test]
fn the_memory_of_a_27b_is_known_from_its_header() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("model.gguf");
    let mut synth = sharpi("synth --preset 27b --header-only -o");
    synth.arg(&file);
    stdout(synth);
    let memory = |args: &str| {
        let mut command = sharpi(&format!("memory --json -c 8192 {args} -m"));
        command.arg(&file);
        json(command)
    };
    let found = memory("--fit 24GiB");
    assert_eq!(found["kv"].as_u64(), Some(16 * 4096 * 8192));
    let packed = found["packed_weights"].as_u64().unwrap();
    assert!((15_000_000_000..17_000_000_000).contains(&packed));
    let fit = found["fit"]["context"].as_u64().unwrap();
    assert!((50_000..150_000).contains(&fit), "{fit}");
    let mapped = memory("--fit 4GiB --no-repack");
    assert_eq!(mapped["packed_weights"], 0);
    assert!(mapped["fit"]["context"].as_u64().unwrap() > 10_000);
    // The head has a cache too, for a run that drafts.
    let drafting = memory("--spec-draft-n-max 1")["kv"].as_u64();
    assert_eq!(drafting, Some(17 * 4096 * 8192));
    // Half the bytes for each key.
    let halves = memory("-ctk f32")["kv"].as_u64();
    assert_eq!(halves, Some(16 * 6144 * 8192));
}

#[test]
fn what_cannot_be_shown_is_refused() {
    fails(sharpi("memory --steps 900-910"), 2, &["no step 900"]);
    fails(sharpi("memory --fit many"), 2, &["--fit"]);
    let none = stdout(sharpi("memory --fit 1k"));
    assert!(none.contains("no context at all"), "{none}");
}

#[test]
fn what_is_worked_out_is_what_a_run_then_takes() {
    for args in [
        "",
        "-c 300",
        "-c 512 -ctk f32 -ctv bf16",
        "-c 100 -b 7",
        "-c 100 -ub 3",
        "-c 200 --skip-pass fuse-gdn",
        "-c 200 --no-repack",
        "-c 200 --spec-draft-n-max 3",
        "-c 200 --spec-draft-n-max 3 --draft-vocab 100",
    ] {
        let drafting = if args.contains("spec") {
            "--spec-type draft-mtp"
        } else {
            ""
        };
        let run = json(sharpi(&format!("run -p x -n 2 --json {args} {drafting}")));
        let memory = json(sharpi(&format!("memory --json {args}")));
        for part in [
            "packed_weights",
            "kv",
            "recurrent",
            "rollback",
            "arena",
            "total",
        ] {
            assert_eq!(memory[part], run["memory"][part], "{part} with {args:?}");
        }
        assert!(memory["total"].as_u64().unwrap() > 100_000);
    }
}
