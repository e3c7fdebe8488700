//! `parity`.

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use serde_json::{Value, json};
use sharpi_compile::gguf::Gguf;
use sharpi_compile::gguf::write::Writer;
use tempfile::{TempDir, tempdir};

use crate::{fails, json, sharpi, stdout};

const MODEL: &str = "fixtures/models/micro-dense-f32.gguf";
const GOLDEN: &str = "fixtures/golden/micro-dense-f32.json";
const TENSORS: &str = "fixtures/golden/micro-dense-f32.tensors.json";

fn read(path: impl AsRef<Path>) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// A folder to write into, and a file in it.
fn file(content: impl AsRef<[u8]>) -> (TempDir, PathBuf) {
    let folder = tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, content).unwrap();
    (folder, path)
}

/// `parity` on these captures of the model, with more arguments.
fn parity(model: &str, captures: &Value, args: &str) -> Command {
    let (folder, path) = file(captures.to_string());
    let mut command = sharpi(&format!("parity -m {model} {args} --golden"));
    command.arg(path);
    // Gone when the test's process is; a test makes a few.
    let _ = folder.keep();
    command
}

/// The first capture without drafting, and the first with.
fn two() -> Value {
    let all = read(GOLDEN);
    json!([all[0], all[1]])
}

/// Runs a comparison that finds a difference: what it prints, and what it complains of.
fn differs(mut command: Command) -> (String, String) {
    let output = command.assert().code(3).get_output().clone();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr))
}

#[test]
fn the_captures_of_a_model_come_out_the_same() {
    let table = stdout(sharpi(&format!("parity -m {MODEL} --golden {GOLDEN}")));
    assert!(
        table.starts_with("capture  cache  n-max  verdict"),
        "{table}"
    );
    assert!(table.ends_with("\n16 captures: 16 same\n"), "{table}");
}

#[test]
fn a_wrong_id_is_named_with_its_rank_and_the_reference_s_gap() {
    let mut captures = two();
    let (chosen, second) = (&captures[0]["ids"][5], &captures[0]["top5"][5][1][0]);
    let expected = format!("id 5: {chosen}, not {second}");
    captures[0]["ids"][5] = second.clone();
    let top = &captures[0]["top5"][5];
    let gap = top[0][1].as_f64().unwrap() - top[1][1].as_f64().unwrap();
    let (table, complaint) = differs(parity(MODEL, &captures, ""));
    assert!(table.contains(&expected), "{expected} in {table}");
    assert!(table.contains(&format!("2, {gap:.4}")), "{gap} in {table}");
    assert!(table.contains("2 captures: 1 same, 1 differs"), "{table}");
    assert!(complaint.contains("1 of 2 captures differ"), "{complaint}");
}

#[test]
fn a_round_that_drafts_otherwise_is_counted_and_fails_where_drafts_are_exact() {
    let mut captures = json!([two()[1]]);
    let rounds = captures[0]["rounds"].as_array().unwrap().len();
    let table = stdout(parity(MODEL, &captures, ""));
    assert!(table.contains(&format!("{rounds} of {rounds}")), "{table}");
    captures[0]["rounds"][7]["draft"] = json!([0]);
    let (table, _) = differs(parity(MODEL, &captures, ""));
    assert!(table.contains(&format!("7 of {rounds}")), "{table}");
    captures[0]["stable"] = json!(false);
    let table = stdout(parity(MODEL, &captures, ""));
    assert!(table.contains("1 capture: 1 excused"), "{table}");
}

#[test]
fn drafts_of_a_model_without_a_head_are_not_compared() {
    let gguf = Gguf::open(MODEL).unwrap();
    let mut writer = Writer::new();
    for (key, value) in gguf.metadata() {
        writer.metadata(key, value.clone());
    }
    writer.metadata("qwen35.block_count", 3u32);
    writer.metadata("qwen35.nextn_predict_layers", 0u32);
    let trunk = gguf
        .tensors()
        .iter()
        .filter(|(name, _)| !name.starts_with("blk.3."));
    for (name, info) in trunk {
        writer.tensor(name, info.ty, &info.dims, gguf.data(info));
    }
    let mut bytes = Vec::new();
    writer.write(&mut bytes).unwrap();
    let (_folder, path) = file(bytes);
    let model = path.display().to_string();
    let table = stdout(parity(&model, &two(), ""));
    assert!(table.contains("no head to draft with"), "{table}");
    assert!(table.contains("2 captures: 1 same, 1 skipped"), "{table}");
    let bisect = sharpi(&format!("parity -m {model} --bisect {TENSORS}"));
    fails(bisect, 1, &["no multi-token-prediction head", "-m"]);
}

#[test]
fn a_capture_that_is_not_stable_may_differ_but_it_is_told() {
    let mut captures = two();
    captures[0]["ids"][5] = json!(0);
    captures[0]["stable"] = json!(false);
    let table = stdout(parity(MODEL, &captures, ""));
    assert!(table.contains("id 5: "), "{table}");
    assert!(table.contains("2 captures: 1 same, 1 excused"), "{table}");
}

#[test]
fn a_forced_choice_may_differ_where_the_reference_hesitates_alone() {
    let mut captures = json!([two()[0]]);
    let second = captures[0]["top5"][63][1][0].clone();
    captures[0]["ids"][63] = second;
    let (table, _) = differs(parity(MODEL, &captures, "--mode forced"));
    assert!(table.contains("id 63: "), "{table}");
    let best = captures[0]["top5"][63][0][1].as_f64().unwrap();
    captures[0]["top5"][63][1][1] = json!(best - 0.001);
    let record = json(parity(MODEL, &captures, "--mode forced --json"));
    let capture = &record["captures"][0];
    assert_eq!(capture["verdict"], "excused");
    assert_eq!(capture["ids"], 64);
    assert_eq!(capture["differences"][0]["step"], 63);
    assert_eq!(capture["differences"][0]["rank"], 2);
}

#[test]
fn a_forced_comparison_skips_captures_without_logits() {
    let table = stdout(parity(MODEL, &two(), "--mode forced"));
    assert!(table.contains("no logits captured"), "{table}");
    assert!(table.contains("2 captures: 1 same, 1 skipped"), "{table}");
}

#[test]
fn log_probabilities_are_compared_by_their_differences() {
    let mut captures = json!([two()[0]]);
    captures[0]["log_probabilities"] = json!(true);
    let steps = captures[0]["top5"].as_array_mut().unwrap();
    for (step, top) in steps.iter_mut().enumerate() {
        for best in top.as_array_mut().unwrap() {
            best[1] = json!(best[1].as_f64().unwrap() - 3.0 - step as f64);
        }
    }
    let record = json(parity(MODEL, &captures, "--mode forced --json"));
    let largest = &record["captures"][0]["largest_logit_difference"];
    assert!(largest.as_f64().unwrap() < 1e-3, "{record}");
}

#[test]
fn a_capture_with_sums_in_place_of_rounds_is_compared_by_its_ids() {
    let mut captures = json!([two()[1]]);
    captures[0].as_object_mut().unwrap().remove("rounds");
    let record = json(parity(MODEL, &captures, "--json"));
    assert_eq!(record["captures"][0]["verdict"], "same", "{record}");
    assert_eq!(record["captures"][0]["rounds"], Value::Null);
}

#[test]
fn runs_of_every_width_give_the_same_bits() {
    let captures = json!([two()[0]]);
    let record = json(parity(MODEL, &captures, "--widths 1,2,3,40 --json"));
    let count = |field: &str| captures[0][field].as_array().unwrap().len();
    let positions = count("prompt_ids") + count("ids");
    let expected = json!({"positions": positions, "fork": null});
    assert_eq!(record["captures"][0]["widths"], expected);
    let table = stdout(parity(MODEL, &captures, "--widths 2"));
    assert!(table.contains(&format!("{positions} positions")), "{table}");
}

#[test]
fn captures_with_another_cache_type_are_skipped_and_told() {
    let mut captures = two();
    captures[1]["cache_type"] = json!("f16");
    let table = stdout(parity(MODEL, &captures, "--cache-type f32"));
    assert!(table.contains("another cache type"), "{table}");
    assert!(table.contains("2 captures: 1 same, 1 skipped"), "{table}");
    let mut none = parity(MODEL, &captures, "--cache-type bf16");
    let output = none.assert().code(1).get_output().clone();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(complaint.contains("no capture was compared"), "{complaint}");
}

#[test]
fn a_golden_file_that_cannot_be_used_is_refused_with_the_place() {
    let mut captures = two();
    captures[1]["rounds"][2]["draft"] = json!("none");
    let place = "[1].rounds[2].draft: invalid type";
    fails(parity(MODEL, &captures, ""), 1, &[place, "parity capture"]);
    let missing = sharpi("parity --golden no/such.json");
    fails(missing, 1, &["no/such.json", "path"]);
    let other = sharpi(&format!(
        "parity -m {MODEL} --golden fixtures/golden/tiny-dense-Q4_K_M.json"
    ));
    fails(other, 1, &["[0]: token id 870 is outside", "-m"]);
}

#[test]
fn the_tensors_of_a_model_come_out_the_same() {
    let found = stdout(sharpi(&format!("parity -m {MODEL} --bisect {TENSORS}")));
    assert!(
        found.ends_with("0 of 244 tensors differ, in 6 runs\n"),
        "{found}"
    );
}

/// The model with another weight in one place.
fn changed(tensor: &str) -> (TempDir, PathBuf) {
    let gguf = Gguf::open(MODEL).unwrap();
    let mut writer = Writer::new();
    for (key, value) in gguf.metadata() {
        writer.metadata(key, value.clone());
    }
    for (name, info) in gguf.tensors() {
        let mut data = gguf.data(info).to_vec();
        if name == tensor {
            data[..4].copy_from_slice(&3f32.to_le_bytes());
        }
        writer.tensor(name, info.ty, &info.dims, data);
    }
    let mut bytes = Vec::new();
    writer.write(&mut bytes).unwrap();
    file(bytes)
}

#[test]
fn a_wrong_weight_is_found_by_the_first_tensor_that_differs() {
    let (_folder, model) = changed("blk.1.ssm_out.weight");
    let mut command = sharpi(&format!("parity --bisect {TENSORS} -m"));
    command.arg(model);
    let (found, complaint) = differs(command);
    assert!(
        found.contains("first: linear_attn_out-1, in run 0 (@trunk, width 8)"),
        "{found}"
    );
    let (_, origin) = found.split_once("made by\n").unwrap();
    let (lines, operands) = origin.split_once("made of\n").unwrap();
    assert!(
        lines.contains("@blk.1.ssm_out") && lines.contains("as linear_attn_out-1"),
        "{found}"
    );
    assert!(
        operands.contains("agrees") && !operands.contains("differs"),
        "{found}"
    );
    assert!(
        complaint.contains("tensors differ from the reference"),
        "{complaint}"
    );
}

#[test]
fn a_bit_is_a_difference_where_bits_are_asked_for() {
    let mut dump = read(TENSORS);
    dump["passes"][2]["tensors"][3]["bits"] = json!(1);
    let name = dump["passes"][2]["tensors"][3]["name"].as_str().unwrap();
    let (_folder, path) = file(dump.to_string());
    let mut command = sharpi(&format!("parity -m {MODEL} --bisect"));
    command.arg(path);
    let rounding = stdout(command);
    assert!(rounding.contains("0 of 244 tensors differ"), "{rounding}");
    let (_folder, path) = file(dump.to_string());
    let mut command = sharpi(&format!("parity -m {MODEL} --bits --bisect"));
    command.arg(path);
    let (found, _) = differs(command);
    assert!(found.contains(&format!("first: {name}")), "{found}");
    assert!(found.contains("agrees but for last bits"), "{found}");
    fails(
        sharpi(&format!("parity -m {MODEL} --bits")),
        2,
        &["--bisect"],
    );
}

#[test]
fn a_tensor_that_no_value_is_named_after_differs() {
    let mut dump = read(TENSORS);
    dump["passes"][2]["tensors"][3]["name"] = json!("no_such-3");
    let (_folder, path) = file(dump.to_string());
    let mut command = sharpi(&format!("parity -m {MODEL} --bisect"));
    command.arg(path);
    let (found, _) = differs(command);
    assert!(
        found.contains("first: no_such-3, in run 2 (@mtp, width 1)"),
        "{found}"
    );
    assert!(
        found.contains("no value of the graph has this name"),
        "{found}"
    );
}

#[test]
fn a_dump_that_cannot_be_replayed_is_refused() {
    let bisect = |spoil: fn(&mut Value)| {
        let mut dump = read(TENSORS);
        spoil(&mut dump);
        let (folder, path) = file(dump.to_string());
        let mut command = sharpi(&format!("parity -m {MODEL} --bisect"));
        command.arg(path);
        let _ = folder.keep();
        command
    };
    let width = bisect(|dump| dump["passes"][4]["width"] = json!(2));
    fails(width, 1, &["passes: ", "@trunk of 2", "expected"]);
    let draft = bisect(|dump| dump["rounds"][0]["draft"] = json!([]));
    fails(draft, 1, &["rounds[0].draft: is too short"]);
    let undrafted = bisect(|dump| dump["rounds"] = json!([]));
    fails(undrafted, 1, &["passes: ", "@trunk of 7, @trunk of 2"]);
    let prompt = bisect(|dump| dump["prompt_ids"] = json!([44]));
    fails(prompt, 1, &["prompt_ids: is too short"]);
    let id = bisect(|dump| dump["prompt_ids"][0] = json!(512));
    fails(id, 1, &["prompt_ids: token id 512 is outside"]);
    let field = bisect(|dump| dump["passes"][0]["tensors"][1]["l2"] = json!(null));
    fails(field, 1, &["passes[0].tensors[1].l2: invalid type"]);
}
