//! Files of the reference that are not as they should be: the error names the place.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use sharpi_compile::parity::{Capture, Dump};
use tempfile::tempdir;

fn golden(name: &str) -> PathBuf {
    PathBuf::from("fixtures/golden").join(name)
}

fn value(name: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(golden(name)).unwrap()).unwrap()
}

/// What is said of a golden file with this text.
fn complaint(text: &str) -> String {
    let folder = tempdir().unwrap();
    let path = folder.path().join("golden.json");
    fs::write(&path, text).unwrap();
    Capture::read_all(&path).unwrap_err().to_string()
}

/// What is said of a good file once `spoil` has changed its third capture, which drafts.
fn spoiled(spoil: impl Fn(&mut Value)) -> String {
    let mut captures = value("tiny-dense-Q4_K_M.json");
    spoil(&mut captures[2]);
    complaint(&captures.to_string())
}

#[test]
fn captures_and_dumps_are_written_as_they_were_read() {
    let captures = Capture::read_all(&golden("tiny-dense-Q4_K_M.json")).unwrap();
    assert_eq!(captures.len(), 56);
    let written = serde_json::to_string(&captures).unwrap();
    assert_eq!(
        serde_json::from_str::<Vec<Capture>>(&written).unwrap(),
        captures
    );
    let dump = Dump::read(&golden("micro-moe-f32.tensors.json")).unwrap();
    assert_eq!(dump.passes.len(), 6);
    let written = serde_json::to_string(&dump).unwrap();
    assert_eq!(serde_json::from_str::<Dump>(&written).unwrap(), dump);
}

#[test]
fn a_malformed_entry_is_named_with_its_field() {
    let said = spoiled(|c| c["rounds"][1]["draft"] = json!([5, "six"]));
    assert!(
        said.contains("golden.json: [2].rounds[1].draft[1]: invalid type"),
        "{said}"
    );
    let said = spoiled(|c| c["ids"][7] = json!(-1));
    assert!(said.contains("[2].ids[7]: invalid value"), "{said}");
    let said = spoiled(|c| c["cache_type"] = json!("q5_1"));
    assert!(
        said.contains("[2].cache_type") && said.contains("one of f16, bf16, f32, q8_0, q4_0"),
        "{said}"
    );
    let said = spoiled(|c| drop(c.as_object_mut().unwrap().remove("stable")));
    assert!(said.contains("[2]: missing field `stable`"), "{said}");
}

#[test]
fn an_entry_that_contradicts_itself_is_named_with_its_field() {
    let said = spoiled(|c| c["prompt_ids"] = json!([]));
    assert!(said.contains("[2].prompt_ids: is empty"), "{said}");
    let said = spoiled(|c| c["ids"] = json!([]));
    assert!(said.contains("[2].ids: is empty"), "{said}");
    let said = spoiled(|c| c["rounds"][3]["accepted"] = json!(3));
    assert!(said.contains("[2].rounds[3].accepted: is more"), "{said}");
    let said = spoiled(|c| c["n_draft_max"] = json!(0));
    assert!(said.contains("[2].rounds: are given"), "{said}");
    let said = spoiled(|c| {
        c["rounds"] = json!([]);
        drop(c.as_object_mut().unwrap().remove("drafted"));
    });
    assert!(said.contains("[2].rounds: are missing"), "{said}");
    let said = spoiled(|c| c["top5"] = json!([[[1, 2.0]]]));
    assert!(said.contains("[2].top5[0]: holds fewer"), "{said}");
    let said = spoiled(|c| c["top5"] = json!(vec![[(1, 2.0), (3, 1.0)]; 97]));
    assert!(said.contains("[2].top5: has more steps"), "{said}");
}

#[test]
fn a_file_that_is_no_list_of_captures_is_refused() {
    assert!(complaint("{}").contains("golden.json: invalid type: map"));
    assert!(complaint("[]").contains("holds no captures"));
    assert!(complaint("[").contains("EOF"));
    let whole = value("micro-dense-Q2_K.json").to_string();
    assert!(complaint(&(whole + "x")).contains("trailing"));
    let missing = Capture::read_all(&golden("no-such.json")).unwrap_err();
    assert!(missing.to_string().contains("no-such.json: "), "{missing}");
}

#[test]
fn a_dump_that_shows_more_than_there_is_is_refused() {
    let mut dump = value("micro-dense-f32.tensors.json");
    dump["passes"][1]["tensors"][4]["ne"] = json!([1]);
    let folder = tempdir().unwrap();
    let path = folder.path().join("dump.json");
    fs::write(&path, dump.to_string()).unwrap();
    let said = Dump::read(&path).unwrap_err().to_string();
    assert!(said.contains("passes[1].tensors[4]: shows more"), "{said}");
}
