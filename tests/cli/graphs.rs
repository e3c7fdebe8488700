//! `dump-graph`.

use std::fs;

use serde_json::Value;
use sharpi_compile::gguf::write::Writer;
use sharpi_compile::gguf::{Array, Gguf};
use sharpi_ir::text;
use tempfile::tempdir;

use crate::{fails, json, sharpi, stdout};

/// The line that stands for layers that are not shown.
const FOLDED: &str = "; blk.1-2: the same as blk.0, 2 more times";

#[test]
fn a_dump_is_the_same_each_time() {
    for args in [
        "",
        "--stage planned",
        "--format json --stage fused",
        "--format dot",
        "--format svg",
        "--format model-explorer --stage planned",
        "--format html --stop-after cse",
    ] {
        let dump = || stdout(sharpi(&format!("dump-graph {args}")));
        assert_eq!(dump(), dump(), "{args}");
    }
}

#[test]
fn equal_layers_are_folded_unless_all_are_wanted() {
    for stage in ["imported", "fused", "scheduled", "planned"] {
        let dump = |fold: &str| stdout(sharpi(&format!("dump-graph --stage {stage} {fold}")));
        let (folded, whole) = (dump(""), dump("--no-fold"));
        assert!(folded.contains(FOLDED), "{folded}");
        assert!(!folded.contains("@blk.1."), "{folded}");
        assert!(!whole.contains("the same as"), "{whole}");
        for block in 0..5 {
            assert!(whole.contains(&format!("@blk.{block}.")), "{whole}");
        }
    }
}

#[test]
fn a_whole_dump_parses_and_prints_again() {
    for stage in ["imported", "planned"] {
        let dump = stdout(sharpi(&format!("dump-graph --no-fold --stage {stage}")));
        let module = text::parse(&dump).unwrap();
        let printed = text::print(&module);
        assert_eq!(printed, text::print(&text::parse(&printed).unwrap()));
        if stage == "imported" {
            assert_eq!(printed, dump);
        }
    }
}

/// The small model, its two DeltaNet blocks and its attention block standing there four times.
fn tall() -> Vec<u8> {
    let gguf = Gguf::open("fixtures/models/micro-dense-IQ4_XS.gguf").unwrap();
    let mut writer = Writer::new();
    for (key, value) in gguf.metadata() {
        writer.metadata(key, value.clone());
    }
    writer.metadata("qwen35.block_count", 13u32);
    let recurrent: Vec<bool> = (0..13).map(|block| block < 12 && block % 3 < 2).collect();
    writer.metadata("qwen35.attention.recurrent_layers", Array::from(recurrent));
    for (name, info) in gguf.tensors() {
        let mut add = |name: String| {
            writer.tensor(name, info.ty, &info.dims, gguf.data(info));
        };
        let block = name.strip_prefix("blk.").and_then(|n| n.split_once('.'));
        match block.map(|(block, rest)| (block.parse::<usize>().unwrap(), rest)) {
            None => add(name.clone()),
            Some((3, rest)) => add(format!("blk.12.{rest}")),
            Some((block, rest)) => {
                (0..4).for_each(|i| add(format!("blk.{}.{rest}", block + 3 * i)))
            }
        }
    }
    let mut bytes = Vec::new();
    writer.write(&mut bytes).unwrap();
    bytes
}

#[test]
fn groups_of_layers_are_folded_from_the_outside_in() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("tall.gguf");
    fs::write(&path, tall()).unwrap();
    let mut command = sharpi("dump-graph --graph trunk --stage planned -m");
    command.arg(path);
    let dump = stdout(command);
    let folds: Vec<&str> = dump.lines().filter(|l| l.contains("the same as")).collect();
    let expected = [
        "    ; blk.1: the same as blk.0, 1 more time",
        "    ; blk.3-11: the same as blk.0-2, 3 more times",
    ];
    assert_eq!(folds, expected, "{dump}");
}

#[test]
fn graphs_and_blocks_can_be_chosen() {
    let mtp = stdout(sharpi("dump-graph --graph mtp"));
    assert!(mtp.contains("graph @mtp(") && !mtp.contains("graph @trunk("));
    let one = stdout(sharpi("dump-graph --layers 2 --no-fold"));
    assert!(one.contains("l_out-2") && one.contains("only the blocks asked for"));
    assert!(!one.contains("l_out-1") && !one.contains("@output") && !one.contains("@mtp"));
    let two = stdout(sharpi("dump-graph --layers 1-2"));
    assert!(
        two.contains("; blk.2: the same as blk.1, 1 more time"),
        "{two}"
    );
}

#[test]
fn what_is_not_there_cannot_be_dumped() {
    fails(sharpi("dump-graph --layers 9"), 1, &["blocks 9 to 9"]);
}

#[test]
fn stages_tell_what_the_passes_have_decided() {
    let imported = stdout(sharpi("dump-graph --graph trunk"));
    assert!(!imported.contains("quantize") && !imported.contains("step"));
    let fused = stdout(sharpi("dump-graph --graph trunk --stage fused"));
    assert!(fused.contains("quantize") && !fused.contains("; step"));
    let scheduled = stdout(sharpi("dump-graph --graph trunk --stage scheduled"));
    assert!(scheduled.contains("; step 0") && !scheduled.contains("arena"));
    let planned = stdout(sharpi("dump-graph --graph trunk --stage planned"));
    assert!(planned.contains("; arena of ") && planned.contains(", arena "));
}

#[test]
fn json_counts_the_ops_of_every_layer() {
    let ops = |entries: &Value| count(entries, 1);
    let folded = json(sharpi("dump-graph --format json"));
    let whole = json(sharpi("dump-graph --format json --no-fold"));
    for graph in [0, 1] {
        let (folded, whole) = (
            &folded["graphs"][graph]["body"],
            &whole["graphs"][graph]["body"],
        );
        assert_eq!(ops(folded), ops(whole));
        assert_eq!(ops(whole), whole.as_array().unwrap().len());
    }
}

/// Ops of a body that stands there so many times.
fn count(body: &Value, times: usize) -> usize {
    let entries = body.as_array().unwrap().iter();
    let ops = entries.map(|entry| match entry["times"].as_u64() {
        Some(n) => count(&entry["body"], times * n as usize),
        None => times,
    });
    ops.sum()
}

#[test]
fn an_edge_of_a_dot_picture_joins_boxes_that_are_there() {
    let dot = stdout(sharpi("dump-graph --format dot"));
    let boxes: Vec<&str> = dot
        .lines()
        .filter_map(|l| l.split_once(" [label="))
        .map(|(id, _)| id.trim())
        .collect();
    let edges: Vec<(&str, &str)> = dot
        .lines()
        .filter(|line| !line.contains(" [label="))
        .filter_map(|l| l.trim().trim_end_matches(';').split_once(" -> "))
        .collect();
    assert!(edges.len() > 50);
    for (from, to) in edges {
        let to = to.trim_end_matches(" [style=dashed]");
        assert!(
            boxes.contains(&from) && boxes.contains(&to),
            "{from} -> {to}"
        );
    }
}

#[test]
fn a_planned_dot_picture_has_steps_the_arena_types_and_colours() {
    let dot = stdout(sharpi("dump-graph --format dot --stage planned"));
    for words in [
        "label=\"qwen35, planned\"",
        "@trunk, 25 steps, arena of 5193792 bytes",
        "@token_embd q4_k[2048, 256]",
        "\\nstep 0, arena 4194304+524288",
        "fillcolor=\"#3b72c433\"",
    ] {
        assert!(dot.contains(words), "{words}");
    }
}

#[test]
fn model_explorer_gets_every_op_and_edge_and_a_layer_for_each_block() {
    let collection = json(sharpi("dump-graph --format model-explorer --stage planned"));
    let whole = json(sharpi("dump-graph --format json --no-fold --stage planned"));
    for (graph, own) in
        (collection["graphs"].as_array().unwrap().iter()).zip(whole["graphs"].as_array().unwrap())
    {
        assert_eq!(graph["id"], own["name"]);
        let nodes = graph["nodes"].as_array().unwrap();
        let ids: Vec<_> = nodes.iter().map(|n| &n["id"]).collect();
        let body = own["body"].as_array().unwrap();
        let ops = nodes
            .iter()
            .filter(|n| n["id"].as_str().unwrap().starts_with("op "));
        let labels: Vec<_> = ops.clone().map(|n| &n["label"]).collect();
        assert_eq!(labels, body.iter().map(|op| &op["op"]).collect::<Vec<_>>());
        for (node, op) in ops.zip(body) {
            let layer = op["block"]
                .as_u64()
                .map_or(String::new(), |n| format!("blk.{n}"));
            assert_eq!(node["namespace"], layer);
            let edges = node["incomingEdges"].as_array().unwrap();
            assert!(
                edges.iter().all(|e| ids.contains(&&e["sourceNodeId"])),
                "{node}"
            );
            let values = op["operands"].as_array().unwrap().iter();
            let values = values
                .filter(|o| o.as_str().unwrap().starts_with('%'))
                .count();
            let ordered = edges
                .iter()
                .filter(|e| e["targetNodeInputId"] == "state")
                .count();
            assert_eq!(edges.len(), values + ordered);
        }
    }
}

#[test]
fn a_page_has_all_stages_up_to_the_one_wanted() {
    let stages = |options: &str| {
        let page = stdout(sharpi(&format!("dump-graph --format html {options}")));
        let data = page.split_once("id=\"data\">").unwrap().1;
        let data = data.split_once("</script>").unwrap().0;
        let data: Value = serde_json::from_str(data).unwrap();
        let stages = data["stages"].as_array().unwrap().iter();
        let passes = stages.map(|s| s["pass"].as_str().unwrap_or("imported").to_string());
        passes.collect::<Vec<_>>()
    };
    assert_eq!(stages("--stage imported"), ["imported"]);
    assert_eq!(
        stages("--stop-after cse"),
        ["imported", "quantize-activations", "cse"]
    );
    let scheduled = "--stage scheduled --passes cse --graph mtp --layers 4";
    let required = ["imported", "quantize-activations", "cse", "schedule"];
    assert_eq!(stages(scheduled), required);
}

#[test]
fn a_page_takes_only_times_of_its_own_graphs() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("measured.json");
    let other = r#"{"cpu": "x", "threads": 1, "parts": [{"phase": "text", "graph": "trunk",
        "runs": 1, "tokens": 1, "seconds": 1, "ops": []}]}"#;
    for (text, complaint) in [
        ("[]", "no profile of a graph"),
        (other, "of another graph @trunk"),
    ] {
        fs::write(&file, text).unwrap();
        let mut command = sharpi("dump-graph --format html --measured");
        command.arg(&file);
        fails(command, 1, &[complaint]);
    }
    let mut text = sharpi("dump-graph --measured");
    text.arg(&file);
    fails(text, 2, &["--measured and --ceilings are for pages"]);
    fails(
        sharpi("dump-graph --format html --layers 9"),
        1,
        &["blocks 9 to 9"],
    );
}

#[test]
fn a_dump_goes_into_a_file_and_each_pass_leaves_one() {
    let folder = tempdir().unwrap();
    let mut command = sharpi("dump-graph --stage planned -o");
    command.arg(folder.path().join("graph.sir"));
    command
        .arg("--dump-after-each")
        .arg(folder.path().join("steps"));
    assert_eq!(stdout(command), "");
    let dump = fs::read_to_string(folder.path().join("graph.sir")).unwrap();
    assert!(dump.contains("module @qwen35"));
    assert!(folder.path().join("steps/00-imported.sir").exists());
    let mut nowhere = sharpi("dump-graph -o");
    nowhere.arg(folder.path());
    fails(nowhere, 1, &["cannot write"]);
}

#[test]
fn a_planned_graph_tells_its_steps_its_arena_and_what_going_back_costs() {
    let text = stdout(sharpi("dump-graph --stage planned --graph trunk"));
    for words in [
        " steps, ",
        " barriers",
        "without reuse",
        "rollback of 30864 bytes per token",
    ] {
        assert!(text.contains(words), "{words}");
    }
}

#[test]
fn a_model_can_stand_where_a_graph_does() {
    let model = "fixtures/models/micro-dense-IQ4_XS.gguf";
    let named = stdout(sharpi(&format!("dump-graph -m {model}")));
    assert_eq!(stdout(sharpi(&format!("dump-graph {model}"))), named);
    let stage = stdout(sharpi(&format!(
        "dump-graph {model} --no-draft --stage planned"
    )));
    assert!(!stage.contains("graph @mtp"));
    let diff = stdout(sharpi(&format!("dump-graph --diff {model} {model}")));
    assert_eq!(diff, "");
    fails(
        sharpi(&format!("dump-graph -m {model} {model}")),
        2,
        &["cannot be used with"],
    );
}

#[test]
fn numbers_are_numbers_in_json_and_types_are_objects() {
    let dump = json(sharpi("dump-graph --graph trunk --no-fold --format json"));
    let types = dump["weights"]
        .as_array()
        .unwrap()
        .iter()
        .chain(dump["graphs"][0]["inputs"].as_array().unwrap());
    for ty in types.map(|typed| &typed["type"]) {
        assert!(ty["dtype"].is_string() && ty["shape"].is_array(), "{ty}");
    }
    let kinds: Vec<_> = dump["states"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| &s["type"]["kind"])
        .collect();
    assert!(kinds.contains(&&Value::from("kv")) && kinds.contains(&&Value::from("recurrent")));
    let body = dump["graphs"][0]["body"].as_array().unwrap();
    let result = &body[0]["results"][0]["type"];
    assert_eq!(result["shape"], serde_json::json!(["T", 256]));
    let norm = body.iter().find(|op| op["op"] == "rmsnorm").unwrap();
    assert_eq!(norm["attrs"]["eps"], serde_json::json!(1e-6));
    for op in body {
        for (name, value) in op["attrs"].as_object().into_iter().flatten() {
            let word = value
                .as_str()
                .is_some_and(|text| text.parse::<f64>().is_ok());
            assert!(!word, "{name} is written as a text: {value}");
        }
    }
}
