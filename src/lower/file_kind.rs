//! GGUF files that are no models.

use sharpi_ir::plain::Quoted;

use crate::gguf::Gguf;

/// What a file is, in words, if it is no model of its own.
pub(crate) fn not_a_model(gguf: &Gguf) -> Option<String> {
    let text = |key| gguf.get(key).and_then(|value| value.as_str());
    let (kind, arch) = (text("general.type"), text("general.architecture"));
    let by_key = match (kind, arch) {
        (Some("adapter"), _) => Some(adapter(text("adapter.type"))),
        (Some("mmproj"), _) | (_, Some("clip")) => Some(PROJECTOR.into()),
        (Some("imatrix"), _) | (_, Some("imatrix")) => Some(IMATRIX.into()),
        (_, Some("controlvector")) => Some(CONTROL_VECTOR.into()),
        (Some("model") | None, _) => None,
        (Some("vocab"), _) => Some(VOCABULARY.into()),
        // Whatever else there will be: a model says that it is one.
        (Some(kind), _) => Some(format!("of type {kind:?} (`general.type`)")),
    };
    by_key.or_else(|| by_tensors(gguf, arch))
}

const PROJECTOR: &str = "a projector for images or sound, which goes with a model";
const IMATRIX: &str = "an importance matrix, which helps to quantise a model";
const CONTROL_VECTOR: &str = "a control vector, which changes a model";
const VOCABULARY: &str = "a vocabulary alone, without tensors";

fn adapter(kind: Option<&str>) -> String {
    match kind {
        Some("lora") | None => "an adapter (LoRA), which changes a model".into(),
        Some(kind) => format!("an adapter ({}), which changes a model", Quoted(kind)),
    }
}

fn by_tensors(gguf: &Gguf, arch: Option<&str>) -> Option<String> {
    let any = |is: fn(&str) -> bool| gguf.tensors().keys().any(|name| is(name));
    let has_tokens = gguf.get("tokenizer.ggml.tokens").is_some();
    if any(|name| name.ends_with(".lora_a") || name.ends_with(".lora_b")) {
        return Some(adapter(None));
    }
    if gguf.tensors().is_empty() {
        let what = match has_tokens {
            true => VOCABULARY,
            false => "metadata alone, without tensors",
        };
        return Some(what.into());
    }
    if any(|name| name.ends_with(".in_sum2")) || gguf.get("imatrix.datasets").is_some() {
        return Some(IMATRIX.into());
    }
    let all = |prefixes: &[&str]| {
        let mut names = gguf.tensors().keys();
        names.all(|name| prefixes.iter().any(|prefix| name.starts_with(prefix)))
    };
    if all(&["v.", "mm.", "a."]) {
        return Some(PROJECTOR.into());
    }
    if all(&["direction."]) {
        return Some(CONTROL_VECTOR.into());
    }
    is_head_alone(gguf, arch?).then(|| {
        "a multi-token-prediction head alone, which goes with a model (--model-draft)".into()
    })
}

/// As llama.cpp's converter writes with `--mtp`: the block of the head, without the trunk.
pub(super) fn is_head_alone(gguf: &Gguf, arch: &str) -> bool {
    let declared = gguf.get(&format!("{arch}.nextn_predict_layers"));
    let is_head = |name: &str| name.starts_with("blk.") && name.contains(".nextn.");
    declared.and_then(|n| n.as_u64()).is_some_and(|n| n > 0)
        && !gguf.tensors().keys().any(|name| name.starts_with("blk.0."))
        && gguf.tensors().keys().any(|name| is_head(name))
}
