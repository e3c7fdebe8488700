//! Heads that are absent, partly there, not declared, or in a file of their own.

use assert_cmd::Command;
use sharpi_compile::gguf::{Array, Gguf, Value};

use crate::files::File;
use crate::rewrite::rewritten;
use crate::{fails, json, sharpi, stdout};

const DENSE: &str = "fixtures/models/micro-dense-f32.gguf";
const MOE: &str = "fixtures/models/micro-moe-f32.gguf";
const PROMPT: &str = "run --ids 5,17,33,100,7 -n 12 --ignore-eos -ctk f32 -ctv f32 --json";

/// Names of a model's tensors that are of the blocks that `wanted` says.
fn tensors_of(source: &str, wanted: impl Fn(usize) -> bool) -> Vec<String> {
    let gguf = Gguf::open(source).unwrap();
    let block = |name: &str| name.strip_prefix("blk.")?.split('.').next()?.parse().ok();
    let names = gguf.tensors().keys();
    names
        .filter(|name| block(name).is_some_and(&wanted))
        .cloned()
        .collect()
}

fn without(source: &str, names: &[String]) -> File {
    let gguf = Gguf::open(source).unwrap();
    File::new(&rewritten(
        &gguf,
        |n| names.iter().any(|m| m == n),
        |_, _| {},
    ))
}

/// Index of the head's block.
fn head_block(source: &str) -> usize {
    if source == DENSE { 3 } else { 2 }
}

fn trunk_only(source: &str) -> File {
    without(
        source,
        &tensors_of(source, |block| block == head_block(source)),
    )
}

fn head_only(source: &str) -> File {
    without(
        source,
        &tensors_of(source, |block| block < head_block(source)),
    )
}

#[test]
fn a_missing_head_is_no_head() {
    for source in [DENSE, MOE] {
        let trunk = trunk_only(source);
        let mut whole = sharpi(PROMPT);
        whole.args(["-m", source]);
        let expected = json(whole)["ids"].clone();
        assert_eq!(json(trunk.command(PROMPT))["ids"], expected);
        let auto = json(trunk.command(&format!("{PROMPT} --spec-type auto")));
        assert_eq!((&auto["ids"], &auto["drafted"]), (&expected, &0.into()));
        let drafting = trunk.command(&format!("{PROMPT} --spec-type draft-mtp"));
        fails(
            drafting,
            4,
            &["nextn_predict_layers` declares one", "tensors are absent"],
        );
        for args in ["memory", "dump-graph", "dump-graph --stage planned"] {
            trunk.command(args).assert().success();
        }
        let found = trunk.inspect();
        assert_eq!(found["unsupported"].as_array().unwrap().len(), 0);
        assert_eq!(found["mtp_head"], false);
        assert!(
            found["unused"]
                .to_string()
                .contains("its tensors are absent")
        );
    }
}

#[test]
fn a_head_that_is_partly_there_is_refused_by_name() {
    for name in [
        "blk.3.nextn.eh_proj.weight",
        "blk.3.nextn.hnorm.weight",
        "blk.3.attn_q.weight",
    ] {
        let file = without(DENSE, &[name.to_string()]);
        for args in [PROMPT, "memory"] {
            fails(
                file.command(args),
                1,
                &[&format!("tensor `{name}` is missing")],
            );
        }
    }
    let names = tensors_of(DENSE, |block| block == 3);
    let nextn: Vec<String> = names.into_iter().filter(|n| n.contains("nextn")).collect();
    fails(
        without(DENSE, &nextn).command(PROMPT),
        1,
        &["tensor `blk.3.nextn."],
    );
}

#[test]
fn a_head_without_its_key_belongs_to_no_block() {
    for (source, key) in [
        (DENSE, "qwen35.nextn_predict_layers"),
        (MOE, "qwen35moe.nextn_predict_layers"),
    ] {
        let nextn = format!(
            "tensors `blk.{}.nextn.*` belong to no block",
            head_block(source)
        );
        let file = File::altered(source, &[key], |_, _| {});
        fails(file.command(PROMPT), 4, &[&nextn]);
    }
    let file = File::altered(DENSE, &["qwen35.nextn_predict_layers"], |_, writer| {
        writer.metadata("qwen35.block_count", 3u32);
    });
    fails(file.command(PROMPT), 4, &["`blk.3.", "belong to no block"]);
}

#[test]
fn a_head_alone_is_told_what_it_is() {
    for source in [DENSE, MOE] {
        let head = head_only(source);
        let words = [
            "is no model",
            "multi-token-prediction head alone",
            "--model-draft",
        ];
        fails(head.command(PROMPT), 4, &words);
    }
}

/// Drafting with the head of a file of its own.
fn drafting(model: &File, head: &File) -> Command {
    let mut command = model.command(&format!("{PROMPT} --spec-type draft-mtp"));
    command.arg("-md").arg(head.path());
    command
}

#[test]
fn a_head_in_a_file_of_its_own_drafts_as_it_does_in_the_model() {
    for source in [DENSE, MOE] {
        let mut whole = sharpi(&format!("{PROMPT} --spec-type draft-mtp"));
        whole.args(["-m", source]);
        let expected = json(whole);
        assert!(expected["drafted"].as_u64().unwrap() > 0);
        let head = head_only(source);
        for model in [&trunk_only(source), &without(source, &[])] {
            let found = json(drafting(model, &head));
            assert_eq!(found["ids"], expected["ids"]);
            assert_eq!(found["rounds"], expected["rounds"]);
        }
    }
}

#[test]
fn a_model_without_any_word_of_a_head_takes_one_too() {
    let gguf = Gguf::open(DENSE).unwrap();
    let of_the_head =
        |name: &str| name.ends_with("nextn_predict_layers") || name.starts_with("blk.3.");
    let trunk = File::new(&rewritten(&gguf, of_the_head, |_, writer| {
        writer.metadata("qwen35.block_count", 3u32);
        let kinds = Array::from(vec![true, true, false]);
        writer.metadata("qwen35.attention.recurrent_layers", Value::Array(kinds));
    }));
    let mut whole = sharpi(&format!("{PROMPT} --spec-type draft-mtp -m {DENSE}"));
    whole.env_remove("SHARPI_DISABLE_MTP");
    let head = head_only(DENSE);
    let (found, expected) = (json(drafting(&trunk, &head)), json(whole));
    assert_eq!(found["rounds"], expected["rounds"]);
    let mut dump = trunk.command("dump-graph");
    dump.arg("--model-draft").arg(head.path());
    assert!(stdout(dump).contains("graph @mtp"));
}

#[test]
fn a_head_brings_its_own_embeddings_where_they_differ() {
    let gguf = Gguf::open(DENSE).unwrap();
    let of_the_trunk = |name: &str| {
        ["blk.0.", "blk.1.", "blk.2."]
            .iter()
            .any(|b| name.starts_with(b))
    };
    let head = File::new(&rewritten(&gguf, of_the_trunk, |gguf, writer| {
        let table = gguf.tensor("token_embd.weight").unwrap();
        let zeros = vec![0; gguf.data(table).len()];
        writer.tensor("token_embd.weight", table.ty, &table.dims, zeros);
    }));
    let (model, same) = (trunk_only(DENSE), head_only(DENSE));
    let dump = |head: &File| {
        let mut command = model.command("dump-graph --graph mtp");
        command.arg("--model-draft").arg(head.path());
        stdout(command)
    };
    assert!(dump(&head).contains("@blk.3.nextn.embed_tokens"));
    assert!(!dump(&same).contains("@blk.3.nextn.embed_tokens"));
}

#[test]
fn a_head_of_another_model_is_refused() {
    let head = |edit: fn(&Gguf, &mut sharpi_compile::gguf::write::Writer<'_>)| {
        let gguf = Gguf::open(DENSE).unwrap();
        let trunk = |name: &str| {
            ["blk.0.", "blk.1.", "blk.2."]
                .iter()
                .any(|b| name.starts_with(b))
        };
        File::new(&rewritten(&gguf, trunk, edit))
    };
    let model = trunk_only(DENSE);
    let base = head(|_, writer| {
        writer.metadata("qwen35.rope.freq_base", 5e6f32);
    });
    fails(
        drafting(&model, &base),
        1,
        &["does not fit", "frequency base"],
    );
    let tokens = head(|gguf, writer| {
        let tokens = gguf
            .get("tokenizer.ggml.tokens")
            .unwrap()
            .as_array()
            .unwrap();
        let mut texts = tokens.as_strs().unwrap().to_vec();
        texts[300] = "another".into();
        writer.metadata("tokenizer.ggml.tokens", Value::Array(texts.into()));
    });
    fails(
        drafting(&model, &tokens),
        1,
        &["does not fit", "a token", "another"],
    );
    fails(
        drafting(&model, &head_only(MOE)),
        1,
        &["does not fit", "architecture"],
    );
    fails(
        drafting(&model, &trunk_only(DENSE)),
        1,
        &["has no multi-token-prediction head"],
    );
}
