//! Blocks in forms that the bundled models do not have, with a norm, a gate or a shared expert or
//! without: passes make of them what they make of the models' own, and the bits stay those of the
//! ops one by one.

mod support;

use std::sync::Arc;

use sharpi_compile::ir::{Op, text};
use sharpi_compile::passes::Options;
use sharpi_compile::{CompileOptions, Executable, Input, Model};
use support::{model, session};

/// Whether a form has the part that one bit of its number stands for.
fn has(form: usize, part: usize) -> bool {
    form >> part & 1 == 1
}

/// A line if the form has it, else another.
fn either(there: bool, line: &str, other: &str) -> String {
    if there { line } else { other }.to_string()
}

/// A graph of values over the mixture's weights, whose `%0` is the embedding.
fn module(lines: &[String], output: &str) -> String {
    let lines = lines.join("\n    ");
    format!(
        r#"module @m {{
  weight @table : q4_k[2048, 256] = "token_embd.weight"
  weight @norm : f32[256] = "blk.3.attn_norm.weight"
  weight @q : q4_k[1024, 256] = "blk.3.attn_q.weight"
  weight @k : q8_0[256, 256] = "blk.3.attn_k.weight"
  weight @v : q8_0[256, 256] = "blk.3.attn_v.weight"
  weight @q_norm : f32[128] = "blk.3.attn_q_norm.weight"
  weight @k_norm : f32[128] = "blk.3.attn_k_norm.weight"
  weight @router : f32[8, 256] = "blk.3.ffn_gate_inp.weight"
  weight @gate : q4_k[8, 256, 256] = "blk.3.ffn_gate_exps.weight"
  weight @up : q4_k[8, 256, 256] = "blk.3.ffn_up_exps.weight"
  weight @down : q4_k[8, 256, 256] = "blk.3.ffn_down_exps.weight"
  weight @shared : q4_k[256, 256] = "blk.3.ffn_up_shexp.weight"
  weight @shared_gate : f32[1, 256] = "blk.3.ffn_gate_inp_shexp.weight"
  state @kv : kv<f16>[2, 128]
  graph @g(%ids: index<2048>[T], %pos: position[T]) -> (%y: {output}) where T in 1..=32 {{
    %0 = embed %ids, @table : f32[T, 256]
    %1 = rmsnorm %0, @norm {{eps = 1e-6}} : f32[T, 256]
    {lines}
    return %y = %y
  }}
}}"#
    )
}

/// Attention with a norm of keys, a norm of queries and a gate, each if the form has it.
fn attention(form: usize) -> String {
    let (keys_normed, queries_normed, gated) = (has(form, 0), has(form, 1), has(form, 2));
    let rope = |to: &str, of: &str, heads: usize| {
        format!("%{to} = rope %{of}, %pos {{n_rot = 32, freq_base = 1e7}} : f32[T, {heads}, 128]")
    };
    let norm = |to: &str, of: &str, heads: usize| {
        format!("%{to} = rmsnorm %{of}, @{to} {{eps = 1e-6}} : f32[T, {heads}, 128]")
    };
    let (heads, width) = if gated { (4, 512) } else { (8, 1024) };
    let mut lines: Vec<String> = vec![
        "%2 = matmul %1, @k : f32[T, 256]".into(),
        "%3 = matmul %1, @v : f32[T, 256]".into(),
        "%4 = reshape %2 {dims = [2, 128]} : f32[T, 2, 128]".into(),
        "%5 = reshape %3 {dims = [2, 128]} : f32[T, 2, 128]".into(),
        "%6 = matmul %1, @q : f32[T, 1024]".into(),
    ];
    if keys_normed {
        lines.push(norm("k_norm", "4", 2));
    }
    lines.push(rope("keys", &either(keys_normed, "k_norm", "4"), 2));
    lines.push("kv_store %keys, %5, %pos, state @kv".into());
    if gated {
        lines.push("%7 = reshape %6 {dims = [4, 256]} : f32[T, 4, 256]".into());
        lines.push(
            "%8, %9 = split %7 {axis = 2, sizes = [128, 128]} : f32[T, 4, 128], f32[T, 4, 128]"
                .into(),
        );
    } else {
        lines.push("%8 = reshape %6 {dims = [8, 128]} : f32[T, 8, 128]".into());
    }
    if queries_normed {
        lines.push(norm("q_norm", "8", heads));
    }
    lines.push(rope(
        "queries",
        &either(queries_normed, "q_norm", "8"),
        heads,
    ));
    lines.push(format!(
        "%10 = attention %queries, %pos, state @kv {{scale = 0.088}} : f32[T, {heads}, 128]"
    ));
    let flat = either(gated, "11", "y");
    lines.push(format!(
        "%{flat} = reshape %10 {{dims = [{width}]}} : f32[T, {width}]"
    ));
    if gated {
        lines.push("%12 = reshape %9 {dims = [512]} : f32[T, 512]".into());
        lines.push("%13 = sigmoid %12 : f32[T, 512]".into());
        lines.push("%y = mul %11, %13 : f32[T, 512]".into());
    }
    module(&lines, &format!("f32[T, {width}]"))
}

/// A mixture with a shared expert, its gate, weights divided by their sum, and without a residual,
/// each if the form has it.
fn mixture(form: usize) -> String {
    let (shared, gated, normalised) = (has(form, 0), has(form, 1), has(form, 2));
    let alone = has(form, 3);
    let mut lines: Vec<String> = vec![
        "%2 = matmul %1, @router : f32[T, 8]".into(),
        "%3 = softmax %2 : f32[T, 8]".into(),
        "%4, %p = topk_router %3 {k = 2} : index<8>[T, 2], f32[T, 2]".into(),
        "%5 = moe_matmul %1, %4, @gate : f32[T, 2, 256]".into(),
        "%6 = moe_matmul %1, %4, @up : f32[T, 2, 256]".into(),
        "%7 = silu %5 : f32[T, 2, 256]".into(),
        "%8 = mul %7, %6 : f32[T, 2, 256]".into(),
        "%9 = moe_matmul %8, %4, @down : f32[T, 2, 256]".into(),
    ];
    if normalised {
        lines.push("%10 = row_sum %p : f32[T, 1]".into());
        lines.push("%11 = clamp_min %10 {min = 6e-5} : f32[T, 1]".into());
        lines.push("%12 = div %p, %11 : f32[T, 2]".into());
    }
    let weights = either(normalised, "12", "p");
    lines.push(format!(
        "%13 = reshape %{weights} {{dims = [2, 1]}} : f32[T, 2, 1]"
    ));
    lines.push("%14 = mul %9, %13 : f32[T, 2, 256]".into());
    lines.push("%15 = expert_sum %14 : f32[T, 256]".into());
    if shared {
        lines.push("%16 = matmul %1, @shared : f32[T, 256]".into());
    }
    if shared && gated {
        lines.push("%17 = matmul %1, @shared_gate : f32[T, 1]".into());
        lines.push("%18 = sigmoid %17 : f32[T, 1]".into());
        lines.push("%19 = mul %16, %18 : f32[T, 256]".into());
    }
    if shared {
        let expert = either(gated, "19", "16");
        lines.push(format!("%20 = add %15, %{expert} : f32[T, 256]"));
    }
    let sum = either(shared, "20", "15");
    lines.push(match alone {
        true => format!("%y = reshape %{sum} {{dims = [256]}} : f32[T, 256]"),
        false => format!("%y = add %0, %{sum} : f32[T, 256]"),
    });
    module(&lines, "f32[T, 256]")
}

fn compiled(model: &Model, source: &str, passes: Options) -> Arc<Executable> {
    let module = text::parse(source).unwrap_or_else(|e| panic!("{e}\n{source}"));
    let options = CompileOptions::default().passes(passes);
    let executable = model.compile_module(module, &options, &|_, _| ());
    Arc::new(executable.unwrap_or_else(|e| panic!("{e}\n{source}")))
}

/// The result of two runs as bits, the second with other tokens behind those of the first.
fn bits(executable: &Arc<Executable>, poisoned: bool) -> Vec<u32> {
    let mut session = session(executable, 2);
    session.poison(poisoned);
    let mut all = Vec::new();
    for (start, tokens) in [(0, 17), (17, 3)] {
        let ids: Vec<i32> = (0..tokens).map(|i| (start + i) * 37 % 500).collect();
        let run = session.run("g", &[("ids", Input::I32(&ids))]);
        let run = run.unwrap_or_else(|e| panic!("{e}"));
        all.extend(run.get("y").expect("an output").iter().map(|x| x.to_bits()));
    }
    all
}

/// What the passes leave of a graph besides products and the embedding.
fn others(executable: &Executable) -> Vec<&'static str> {
    let graph = &executable.module().graphs["g"];
    let ops = graph.order().into_iter().filter_map(|n| graph.op(n));
    let others = ops.filter(|op| !matches!(op, Op::Product { .. } | Op::Embed {}));
    others.map(Op::mnemonic).collect()
}

fn check(form: usize, source: &str, expected: &[&str]) {
    let model = model("tiny-moe-Q4_K_M");
    let plain = compiled(&model, source, Options::required_only());
    let fused = compiled(&model, source, Options::default());
    assert_eq!(others(&fused), expected, "form {form}");
    assert!(
        bits(&plain, false) == bits(&fused, true),
        "form {form}:\n{source}"
    );
}

#[test]
fn attention_with_and_without_norms_and_a_gate_is_fused_to_the_same_bits() {
    for form in 0..8 {
        check(form, &attention(form), &["rope_attention"]);
    }
}

#[test]
fn a_mixture_with_and_without_a_shared_expert_is_fused_to_the_same_bits() {
    for form in [0b000, 0b001, 0b011, 0b100, 0b101, 0b111] {
        check(form, &mixture(form), &["moe_swiglu", "moe_sum"]);
    }
}

#[test]
fn a_mixture_that_is_added_to_nothing_is_fused_to_the_same_bits() {
    for form in [0b1000, 0b1011, 0b1111] {
        check(form, &mixture(form), &["moe_swiglu", "moe_sum", "reshape"]);
    }
}
