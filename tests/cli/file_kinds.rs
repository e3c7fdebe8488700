//! GGUF files that are no models are told what they are.

use sharpi_compile::gguf::GgmlType;
use sharpi_compile::gguf::write::Writer;

use crate::files::File;
use crate::{fails, stdout};

fn file(texts: &[(&str, &str)], tensors: &[&str]) -> File {
    let mut writer = Writer::new();
    for (key, text) in texts {
        writer.metadata(*key, *text);
    }
    for name in tensors {
        writer.tensor(*name, GgmlType::F32, &[8], vec![0; 32]);
    }
    let mut bytes = Vec::new();
    writer.write(&mut bytes).unwrap();
    File::new(&bytes)
}

#[test]
fn a_file_that_is_no_model_is_told_what_it_is() {
    let qwen = ("general.architecture", "qwen35");
    for (file, words) in [
        (
            file(
                &[qwen, ("general.type", "adapter"), ("adapter.type", "lora")],
                &["blk.2.attn_q.weight.lora_a", "blk.2.attn_q.weight.lora_b"],
            ),
            "an adapter (LoRA)",
        ),
        (
            file(&[qwen], &["blk.0.ffn_up.weight.lora_a"]),
            "an adapter (LoRA)",
        ),
        (
            file(
                &[("general.type", "imatrix")],
                &["blk.0.ffn_up.weight.in_sum2"],
            ),
            "an importance matrix",
        ),
        (
            file(
                &[("general.architecture", "clip")],
                &["v.patch_embd.weight"],
            ),
            "a projector for images",
        ),
        (
            file(
                &[("general.type", "mmproj"), ("general.architecture", "clip")],
                &["mm.0.weight"],
            ),
            "a projector for images",
        ),
        (
            file(
                &[("general.architecture", "controlvector")],
                &["direction.1"],
            ),
            "a control vector",
        ),
        (file(&[qwen], &[]), "metadata alone"),
    ] {
        for args in ["run -p x", "memory", "tokenize x", "dump-graph"] {
            fails(file.command(args), 4, &["is no model", words]);
        }
        let reasons = file.inspect()["unsupported"].clone();
        assert_eq!(reasons.as_array().unwrap().len(), 1, "{reasons}");
        assert!(reasons[0].as_str().unwrap().contains(words));
    }
}

#[test]
fn a_vocabulary_alone_still_cuts_text_into_tokens() {
    let dense = "fixtures/models/micro-dense-f32.gguf";
    let gguf = sharpi_compile::gguf::Gguf::open(dense).unwrap();
    let is_tensor = |name: &str| gguf.tensor(name).is_some();
    let vocabulary = File::new(&crate::rewrite::rewritten(&gguf, is_tensor, |_, _| {}));
    fails(vocabulary.command("run -p x"), 4, &["a vocabulary alone"]);
    let model = File::altered(dense, &[], |_, _| {});
    let ids = |file: &File| stdout(file.command("tokenize ROMEO:"));
    assert_eq!(ids(&vocabulary), ids(&model));
}
