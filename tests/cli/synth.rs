//! `synth`: models of real shapes with made-up weights.

use std::fs;

use tempfile::tempdir;

use crate::{fails, json, sharpi, stdout};

#[test]
fn a_header_alone_is_a_model_whose_graphs_can_be_seen_and_takes_little_room() {
    let folder = tempdir().unwrap();
    for preset in ["0.8b", "27b", "35b-a3b"] {
        let file = folder.path().join(preset);
        let file = file.to_str().unwrap();
        let written = json(sharpi(&format!(
            "synth --preset {preset} -o {file} --header-only --json"
        )));
        let bytes = fs::metadata(file).unwrap().len();
        assert_eq!(written["bytes"], bytes);
        assert!(bytes > 600_000_000);
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            assert!(fs::metadata(file).unwrap().blocks() * 512 < 20_000_000);
        }
        let graph = stdout(sharpi(&format!("dump-graph -m {file} --graph mtp")));
        assert!(graph.contains("nextn.eh_proj"));
    }
    let left = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 3, "parts stay behind");
}

#[test]
fn a_shape_that_is_too_large_is_written_with_fewer_blocks() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("x.gguf");
    let file = file.to_str().unwrap();
    for preset in [
        "qwen3-next-80b-a3b",
        "qwen3.8-flash-next",
        "glm-4.5-air",
        "mixtral-8x7b",
    ] {
        let synth = format!("synth --preset {preset} -o {file} --header-only --blocks");
        json(sharpi(&format!("{synth} 4 --json")));
        let costs = json(sharpi(&format!("cost -m {file} --json")));
        assert!(costs["forecast"]["decode"].as_f64().unwrap() > 0.0);
        let inside = stdout(sharpi(&format!("inspect {file}")));
        let count = |n: usize| inside.contains(&format!("block_count = {n}\n"));
        assert!(count(4) || count(5), "4, and perhaps a head: {inside}");
        fails(sharpi(&format!("{synth} 99")), 1, &["99", "--blocks"]);
        fails(sharpi(&format!("{synth} 0")), 2, &["--blocks"]);
    }
}

#[test]
fn a_shape_or_a_place_that_is_none_is_refused() {
    fails(sharpi("synth --preset 3b -o x"), 2, &["0.8b", "35b-a3b"]);
    fails(sharpi("synth --preset 4b"), 2, &["--output"]);
    fails(
        sharpi("synth --preset 4b -o x --mtp-accept 1.1"),
        2,
        &["0.01 to 1"],
    );
    fails(
        sharpi("synth --preset 0.8b -o no/such/folder/x.gguf"),
        1,
        &["no/such/folder/x.gguf", "-o"],
    );
}
