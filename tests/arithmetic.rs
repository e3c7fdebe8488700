//! Keys and tensors that change the arithmetic: files that differ from a fixture in them.

mod support;

use sharpi_compile::exec::LoadOptions;
use sharpi_compile::gguf::write::Writer;
use sharpi_compile::gguf::{GgmlType, Gguf, Value};
use sharpi_compile::ir::DType;
use sharpi_compile::lower::LowerOptions;
use sharpi_compile::passes::Options;
use sharpi_compile::{CompileOptions, Input, Model};
use support::rewrite::rewritten;
use support::{feed, fixtures, session};

const PROMPT: [u32; 5] = [5, 17, 33, 100, 7];
const DENSE: &str = "micro-dense-f32";
const MOE: &str = "micro-moe-f32";

fn source(name: &str) -> Gguf {
    Gguf::open(fixtures().join(format!("models/{name}.gguf"))).expect("a fixture")
}

/// A fixture with what `edit` adds or replaces.
fn edited(name: &str, edit: impl FnOnce(&Gguf, &mut Writer<'_>)) -> Model {
    model_of(rewritten(&source(name), |_| false, edit))
}

fn model_of(bytes: Vec<u8>) -> Model {
    Model::from_gguf(Gguf::from_bytes(bytes).expect("a file"))
}

/// A fixture with other keys, named without the architecture.
fn keyed(name: &str, keys: &[(&str, Value)]) -> Model {
    edited(name, |gguf, writer| {
        let arch = gguf.get("general.architecture").and_then(Value::as_str);
        let arch = arch.expect("an architecture").to_string();
        for (key, value) in keys {
            writer.metadata(format!("{arch}.{key}"), value.clone());
        }
    })
}

fn floats(gguf: &Gguf, tensor: &str) -> Vec<f32> {
    let info = gguf.tensor(tensor).unwrap_or_else(|| panic!("{tensor}"));
    assert_eq!(info.ty, GgmlType::F32);
    let (quads, _) = gguf.data(info).as_chunks::<4>();
    quads.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

fn put(writer: &mut Writer<'_>, tensor: &str, dims: &[u64], values: &[f32]) {
    let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
    writer.tensor(tensor.to_string(), GgmlType::F32, dims, bytes);
}

/// Values without a pattern that anything could share.
fn spread(count: usize) -> Vec<f32> {
    let value = |i: usize| ((i * 37 + 11) % 101) as f32 / 101.0 - 0.4;
    (0..count).map(value).collect()
}

fn executable(model: &Model, only: Option<Vec<String>>) -> sharpi_compile::Executable {
    let options = CompileOptions::default()
        .lower(
            LowerOptions::default()
                .cache_k(DType::F32)
                .cache_v(DType::F32),
        )
        .passes(Options::default().only(only))
        .load(LoadOptions::default());
    model.compile(&options).expect("a compiled model")
}

/// Greedy ids and their logits behind the prompt.
fn greedy(model: &Model, count: usize) -> Vec<(u32, f32)> {
    let mut session = session(&executable(model, None).into(), 2);
    let mut row = feed(&mut session, &PROMPT).pop().expect("logits");
    let mut all = Vec::new();
    for _ in 0..count {
        let best = |best: usize, i: usize| if row[i] > row[best] { i } else { best };
        let id = (0..row.len()).fold(0, best);
        all.push((id as u32, row[id]));
        row = feed(&mut session, &[id as u32]).pop().expect("logits");
    }
    all
}

#[track_caller]
fn assert_continues(model: &Model, ids: [u32; 6], logits: [f32; 6]) {
    let found = greedy(model, 6);
    let found_ids: Vec<u32> = found.iter().map(|(id, _)| *id).collect();
    assert_eq!(found_ids, ids);
    for ((_, found), expected) in found.iter().zip(logits) {
        let far = (found - expected).abs();
        assert!(far < 2e-3, "logit {found}, expected {expected}");
    }
}

/// Bits of the logits of the trunk for the prompt and of the head, in runs of one width.
fn bits(model: &Model, width: usize, only: Option<Vec<String>>) -> Vec<Vec<u32>> {
    let mut session = session(&executable(model, only).into(), 1);
    let mut rows = Vec::new();
    for ids in PROMPT.chunks(width) {
        rows.extend(feed(&mut session, ids));
    }
    let embedding = model.hparams().expect("sizes").embedding;
    let hidden = spread(PROMPT.len() * embedding);
    let at: Vec<i32> = (0..PROMPT.len() as i32).collect();
    let ids: Vec<i32> = PROMPT.iter().map(|id| *id as i32).collect();
    for (i, ids) in ids.chunks(width).enumerate() {
        let (from, count) = (i * width, ids.len());
        let inputs = [
            ("ids", Input::I32(ids)),
            (
                "h",
                Input::F32(&hidden[from * embedding..][..count * embedding]),
            ),
            ("pos", Input::I32(&at[from..from + count])),
            ("rows", Input::I32(&at[..count])),
        ];
        let outputs = session.run("mtp", &inputs).expect("a run of the head");
        let logits = outputs.get("logits").expect("logits");
        rows.extend(
            logits
                .chunks_exact(logits.len() / count)
                .map(<[f32]>::to_vec),
        );
    }
    let bits = |row: Vec<f32>| row.into_iter().map(f32::to_bits).collect();
    rows.into_iter().map(bits).collect()
}

fn yarn(factor: f32) -> Vec<(&'static str, Value)> {
    vec![
        ("rope.scaling.type", Value::from("yarn")),
        ("rope.scaling.factor", factor.into()),
        ("rope.scaling.original_context_length", 1024u32.into()),
    ]
}

// Ids and logits of the following are those of llama.cpp and of a forward pass in f64.

#[test]
fn yarn_turns_as_the_reference_does() {
    assert_continues(
        &keyed(DENSE, &yarn(4.0)),
        [395, 283, 341, 251, 131, 371],
        [8.487, 8.540, 10.215, 9.274, 9.228, 9.016],
    );
}

#[test]
fn linear_scaling_turns_as_the_reference_does() {
    let keys = [
        ("rope.scaling.type", Value::from("linear")),
        ("rope.scaling.factor", 4.0f32.into()),
    ];
    assert_continues(
        &keyed(DENSE, &keys),
        [395, 283, 341, 251, 131, 371],
        [8.383, 8.795, 10.188, 9.184, 9.141, 9.014],
    );
}

#[test]
fn scales_of_two_weights_count() {
    let model = edited(DENSE, |_, writer| {
        for tensor in ["blk.2.attn_q.scale", "blk.0.ffn_down.scale"] {
            put(writer, tensor, &[1], &[7.0]);
        }
    });
    assert_continues(
        &model,
        [17, 362, 25, 345, 489, 376],
        [8.641, 8.434, 8.889, 8.441, 9.106, 11.958],
    );
}

#[test]
fn the_old_name_of_a_linear_factor_and_a_factor_without_a_type_are_linear() {
    let linear = bits(
        &keyed(
            DENSE,
            &[
                ("rope.scaling.type", Value::from("linear")),
                ("rope.scaling.factor", 2.5f32.into()),
            ],
        ),
        5,
        None,
    );
    assert_ne!(bits(&keyed(DENSE, &[]), 5, None), linear);
    for key in ["rope.scaling.factor", "rope.scale_linear"] {
        assert_eq!(
            bits(&keyed(DENSE, &[(key, 2.5f32.into())]), 5, None),
            linear
        );
    }
}

#[test]
fn a_factor_of_0_and_the_type_none_scale_nothing() {
    let plain = bits(&keyed(DENSE, &[]), 5, None);
    let typed = |ty: &str, factor: f32| {
        let keys = [
            ("rope.scaling.type", Value::from(ty)),
            ("rope.scaling.factor", factor.into()),
        ];
        bits(&keyed(DENSE, &keys), 5, None)
    };
    assert_eq!(typed("linear", 0.0), plain);
    assert_eq!(typed("none", 4.0), plain);
}

#[test]
fn an_unknown_scaling_is_refused_by_name() {
    for ty in ["longrope", "dynamic", "x"] {
        let model = keyed(DENSE, &[("rope.scaling.type", Value::from(ty))]);
        let error = model.lower(&LowerOptions::default()).expect_err(ty);
        assert!(error.is_unsupported(), "{error}");
        let message = error.to_string();
        assert!(message.contains("qwen35.rope.scaling.type"), "{message}");
    }
}

#[test]
fn pairs_of_the_fourth_section_do_not_turn() {
    let sections = |n: [u32; 4]| {
        let array = Value::Array(n.to_vec().into());
        bits(
            &keyed(DENSE, &[("rope.dimension_sections", array)]),
            5,
            None,
        )
    };
    let plain = bits(&keyed(DENSE, &[]), 5, None);
    assert_eq!(sections([6, 5, 5, 0]), plain);
    assert_ne!(sections([4, 4, 4, 4]), plain);
}

/// Every weight that is multiplied with, of the trunk and of the head.
fn matrices(gguf: &Gguf) -> Vec<String> {
    let stem = |name: &String| Some(name.strip_suffix(".weight")?.to_string());
    let tensors = gguf.tensors().iter();
    let matrix = tensors.filter(|(name, tensor)| {
        let table = name.contains("token_embd") || name.contains("embed_tokens");
        tensor.dims.len() > 1 && !name.contains("conv1d") && !table
    });
    matrix.filter_map(|(name, _)| stem(name)).collect()
}

#[test]
fn a_scale_of_any_weight_is_a_factor_of_that_weight() {
    // Powers of two round nothing, so that bits can be compared; the first is so small that a norm
    // behind the product does not take it back, for the norm's epsilon is larger.
    let factors = [1.0 / 4096.0, 0.5, 4.0, 0.25, 8.0f32];
    for name in [DENSE, MOE] {
        let source = source(name);
        let plain = bits(&keyed(name, &[]), 5, None);
        for stem in matrices(&source) {
            let weight = format!("{stem}.weight");
            let dims = source.tensor(&weight).expect("it").dims.clone();
            let experts = if dims.len() == 3 { dims[2] as usize } else { 1 };
            let scale = &factors[..experts];
            let scaled = edited(name, |_, writer| {
                put(writer, &format!("{stem}.scale"), &[experts as u64], scale);
            });
            let multiplied = edited(name, |gguf, writer| {
                let mut values = floats(gguf, &weight);
                let each = values.len() / experts;
                for (values, factor) in values.chunks_exact_mut(each).zip(scale) {
                    values.iter_mut().for_each(|x| *x *= factor);
                }
                put(writer, &weight, &dims, &values);
            });
            let found = bits(&scaled, 5, None);
            assert!(found == bits(&multiplied, 5, None), "{name}: {stem}.scale");
            assert!(found != plain, "{name}: {stem}.scale has no effect");
        }
    }
}

/// A fixture in which every weight that can have one has a scale and a bias, with YaRN.
fn with_everything(name: &str) -> Model {
    edited(name, |gguf, writer| {
        let arch = gguf.get("general.architecture").and_then(Value::as_str);
        let arch = arch.expect("an architecture");
        for (key, value) in yarn(4.0) {
            writer.metadata(format!("{arch}.{key}"), value);
        }
        for stem in matrices(gguf) {
            let dims = &gguf.tensor(&format!("{stem}.weight")).expect("it").dims;
            let experts = dims.get(2).copied().unwrap_or(1);
            let scale: Vec<f32> = spread(experts as usize).iter().map(|x| 1.0 + x).collect();
            put(writer, &format!("{stem}.scale"), &[experts], &scale);
            if stem != "output" && !stem.contains("nextn") {
                let mut rows = vec![dims[1]];
                rows.extend(dims.get(2));
                let bias = spread(rows.iter().product::<u64>() as usize);
                put(writer, &format!("{stem}.bias"), &rows, &bias);
            }
        }
    })
}

#[test]
fn passes_change_no_bit_of_scaled_and_biased_products() {
    for name in [DENSE, MOE] {
        let model = with_everything(name);
        let fused = bits(&model, 5, None);
        assert!(fused == bits(&model, 5, Some(Vec::new())), "{name}: none");
        for pass in ["fuse-attention", "fuse-epilogue", "fuse-moe", "fuse-gdn"] {
            let only = Some(vec![pass.to_string()]);
            assert!(fused == bits(&model, 5, only), "{name}: {pass} alone");
        }
    }
}

#[test]
fn the_width_of_a_run_changes_no_bit_of_scaled_and_biased_products() {
    for name in [DENSE, MOE] {
        let model = with_everything(name);
        let whole = bits(&model, 5, None);
        for width in [1, 2, 3] {
            assert!(whole == bits(&model, width, None), "{name}: width {width}");
        }
    }
}

#[test]
fn one_matrix_of_queries_keys_and_values_is_three() {
    let biased = |gguf: &Gguf, writer: &mut Writer<'_>| {
        for part in ["q", "k", "v"] {
            let weight = format!("blk.2.attn_{part}.weight");
            let rows = gguf.tensor(&weight).expect("it").dims[1];
            let bias = format!("blk.2.attn_{part}.bias");
            put(writer, &bias, &[rows], &spread(rows as usize));
        }
    };
    let apart = edited(DENSE, biased);
    let part_of = |name: &str| {
        let parts = ["q", "k", "v"].map(|part| format!("blk.2.attn_{part}.weight"));
        parts.iter().any(|part| part == name)
    };
    let joined = model_of(rewritten(&source(DENSE), part_of, |gguf, writer| {
        let parts = ["q", "k", "v"].map(|part| floats(gguf, &format!("blk.2.attn_{part}.weight")));
        let width = gguf.tensor("blk.2.attn_q.weight").expect("it").dims[0];
        let values = parts.concat();
        let dims = [width, values.len() as u64 / width];
        put(writer, "blk.2.attn_qkv.weight", &dims, &values);
        biased(gguf, writer);
    }));
    let found = bits(&apart, 5, None);
    assert!(found == bits(&joined, 5, None));
    assert!(found != bits(&keyed(DENSE, &[]), 5, None));
}

#[test]
fn a_scale_of_the_experts_weights_is_one_of_their_last_products() {
    let scaled = keyed(MOE, &[("expert_weights_scale", 2.0f32.into())]);
    let multiplied = edited(MOE, |gguf, writer| {
        let tensors = gguf.tensors().iter();
        for (name, tensor) in tensors.filter(|(name, _)| name.ends_with("ffn_down_exps.weight")) {
            let doubled: Vec<f32> = floats(gguf, name).iter().map(|x| 2.0 * x).collect();
            put(writer, name, &tensor.dims, &doubled);
        }
    });
    assert!(bits(&scaled, 5, None) == bits(&multiplied, 5, None));
}

#[test]
fn a_scale_of_the_logits_is_one_of_the_head() {
    let scaled = keyed(DENSE, &[("logit_scale", 0.5f32.into())]);
    let multiplied = edited(DENSE, |_, writer| put(writer, "output.scale", &[1], &[0.5]));
    let found = bits(&scaled, 5, None);
    assert!(found == bits(&multiplied, 5, None));
    assert!(found != bits(&keyed(DENSE, &[]), 5, None));
}
