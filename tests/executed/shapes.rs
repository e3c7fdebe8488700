//! Ops of random shapes: the engine in all ways of running against the evaluator.

use std::fmt::Write;

use proptest::prelude::*;

use crate::case::Case;
use crate::files::check;

/// A graph in the making: all that is declared, and the ops. Numbers are made up.
#[derive(Default)]
struct Text {
    declared: String,
    inputs: Vec<String>,
    outputs: Vec<String>,
    body: String,
    returned: Vec<String>,
    weights: String,
    /// Inputs with what stands in their type's place of the tokens, for the runs.
    given: Vec<(String, String)>,
}

impl Text {
    fn input(&mut self, name: &str, ty: &str, dims: &[usize]) -> &mut Text {
        let list: String = dims.iter().map(|n| format!(", {n}")).collect();
        self.inputs.push(format!("%{name}: {ty}[T{list}]"));
        self.given.push((name.into(), list));
        self
    }

    fn weight(&mut self, name: &str, dims: &[usize]) -> &mut Text {
        let _ = writeln!(self.declared, "weight @{name} : f32{dims:?} = \"{name}\"");
        let seed = self.weights.len() + 11;
        let _ = writeln!(self.weights, "; weight @{name} = fill {seed}");
        self
    }

    fn state(&mut self, name: &str, ty: &str) -> &mut Text {
        let _ = writeln!(self.declared, "state @{name} : {ty}");
        self
    }

    /// An op without results.
    fn effect(&mut self, op: &str) -> &mut Text {
        let _ = writeln!(self.body, "{op}");
        self
    }

    /// An op, of which each result is an output.
    fn op(&mut self, op: &str, types: &[String]) -> &mut Text {
        let first = self.outputs.len();
        let names: Vec<String> = (first..first + types.len())
            .map(|i| format!("%y{i}"))
            .collect();
        let _ = writeln!(
            self.body,
            "{} = {op} : {}",
            names.join(", "),
            types.join(", ")
        );
        for (name, ty) in names.iter().zip(types) {
            self.outputs.push(format!("{name}: {ty}"));
            self.returned.push(format!("{name} = {name}"));
        }
        self
    }

    /// The module, and runs of so many tokens one after another.
    fn case(&self, widths: &[usize]) -> String {
        let (inputs, outputs) = (self.inputs.join(", "), self.outputs.join(", "));
        let mut text = format!(
            "module @m {{\n{}graph @g({inputs}) -> ({outputs}) where T in 0..=64 {{\n{}return {}\n}}\n}}\n{}",
            self.declared,
            self.body,
            self.returned.join(", "),
            self.weights
        );
        for (run, tokens) in widths.iter().enumerate() {
            let given = self.given.iter().zip(run * 100..);
            let given =
                given.map(|((name, dims), seed)| format!("%{name} = fill {seed} [{tokens}{dims}]"));
            let _ = writeln!(text, "; run: @g({})", given.collect::<Vec<_>>().join(", "));
        }
        text
    }
}

fn f32(dims: &[usize]) -> String {
    let list: String = dims.iter().map(|n| format!(", {n}")).collect();
    format!("f32[T{list}]")
}

fn dim(most: usize) -> impl Strategy<Value = usize> {
    prop_oneof![3 => 1..=most.min(9), 2 => 1..=most]
}

/// Runs that follow each other on the same states.
fn widths() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(prop_oneof![Just(0), Just(1), 2usize..20], 1..4)
}

fn elementwise(dims: &[usize], ones: &[bool]) -> Text {
    let mut text = Text::default();
    let b: Vec<usize> = dims
        .iter()
        .zip(ones)
        .map(|(n, one)| if *one { 1 } else { *n })
        .collect();
    let y = [f32(dims)];
    text.input("a", "f32", dims)
        .input("b", "f32", &b)
        .weight("w", &b);
    text.op("add %a, %b", &y)
        .op("mul %a, %b", &y)
        .op("div %a, %b", &y)
        .op("add %a, @w", &y);
    text.op("silu %a", &y)
        .op("sigmoid %a", &y)
        .op("softplus %a", &y);
    text.op("clamp_min %a {min = 0.125}", &y)
        .op("scale %a {by = -1.5}", &y);
    text
}

fn rows(dims: &[usize]) -> Text {
    let mut text = Text::default();
    let (y, last) = ([f32(dims)], dims[dims.len() - 1]);
    let sums = [&dims[..dims.len() - 1], &[1]].concat();
    text.input("x", "f32", dims).weight("w", &[last]);
    text.op("softmax %x", &y)
        .op("rmsnorm %x, @w {eps = 1e-6}", &y);
    text.op("l2norm %x {eps = 1e-6}", &y)
        .op("row_sum %x", &[f32(&sums)]);
    if let [rows, _] = dims {
        text.weight("by_rows", &[*rows, last])
            .op("rmsnorm %x, @by_rows {eps = 1e-6}", &y);
    }
    text
}

fn streams(count: usize, width: usize) -> Text {
    let mut text = Text::default();
    let all = [count, width];
    text.input("x", "f32", &[width])
        .input("s", "f32", &all)
        .input("gate", "f32", &all)
        .input("inject", "f32", &[count]);
    text.op(&format!("streams %x {{count = {count}}}"), &[f32(&all)]);
    text.op("stream_mix %s, %gate", &[f32(&[width])]);
    text.op("stream_mix %s, %gate {sums = rounded}", &[f32(&[width])]);
    text.op("stream_add %s, %x, %inject", &[f32(&all)]);
    text
}

fn pieces(dims: &[usize], axis: usize, more: usize, cut: usize) -> Text {
    let mut text = Text::default();
    let along = |n: usize| {
        let mut dims = dims.to_vec();
        dims[axis] = n;
        dims
    };
    let joined = dims[axis] + more;
    let first = 1 + cut % (joined.max(2) - 1);
    let axis = axis + 1;
    text.input("a", "f32", dims).input("b", "f32", &along(more));
    text.op(
        &format!("concat %a, %b {{axis = {axis}}}"),
        &[f32(&along(joined))],
    );
    text.op(
        &format!("concat %b, %a {{axis = {axis}}}"),
        &[f32(&along(joined))],
    );
    let parts = [f32(&along(first)), f32(&along(joined - first))];
    text.op(
        &format!(
            "split %y1 {{axis = {axis}, sizes = [{first}, {}]}}",
            joined - first
        ),
        &parts,
    );
    text
}

fn products(k: usize, n: usize, m: usize) -> Text {
    let mut text = Text::default();
    text.input("x", "f32", &[k]).weight("norm", &[k]);
    text.weight("a", &[n, k])
        .weight("b", &[n, k])
        .weight("c", &[m, n]);
    text.input("r", "f32", &[m]);
    text.op("rmsnorm %x, @norm {eps = 1e-5}", &[f32(&[k])]);
    text.op("matmul %y0, @a", &[f32(&[n])])
        .op("matmul %y0, @b", &[f32(&[n])]);
    text.op("matmul %y1, @c", &[f32(&[m])])
        .op("add %r, %y3", &[f32(&[m])]);
    text.op(
        "product %x, @norm, @a, @b {norm_eps = 1e-5}",
        &[f32(&[n]), f32(&[n])],
    );
    text.op(
        "product %x, @a, @b {epilogue = swiglu {to = f32}}",
        &[f32(&[n])],
    );
    text.op(
        "product %x, @norm, @a, @b {norm_eps = 1e-5, epilogue = swiglu {to = f32}}",
        &[f32(&[n])],
    );
    text.op("product %y7, %r, @c {epilogue = add}", &[f32(&[m])]);
    text.op(
        "product %x, @a {epilogue = silu {by = 0.25, to = f32}}",
        &[f32(&[n])],
    );
    text
}

fn convolutions(k: usize, channels: usize, taps: usize) -> Text {
    let mut text = Text::default();
    let window = format!("f32[{}, {channels}]", taps - 1);
    text.input("x", "f32", &[channels]).input("z", "f32", &[k]);
    text.weight("taps", &[channels, taps])
        .weight("w", &[channels, k]);
    text.state("a", &window).state("b", &window);
    text.op("causal_conv %x, @taps, state @a", &[f32(&[channels])]);
    text.op(
        "product %z, state @b, @taps, @w {epilogue = conv_silu}",
        &[f32(&[channels])],
    );
    text
}

fn scans(d: usize, k_heads: usize, group: usize) -> Text {
    let mut text = Text::default();
    let heads = k_heads * group;
    let matrix = format!("f32[{heads}, {d}, {d}]");
    text.state("a", &matrix).state("b", &matrix);
    text.input("q", "f32", &[k_heads, d])
        .input("k", "f32", &[k_heads, d]);
    text.input("v", "f32", &[heads, d])
        .input("g", "f32", &[heads])
        .input("beta", "f32", &[heads]);
    text.input("u", "f32", &[(2 * k_heads + heads) * d])
        .input("z", "f32", &[heads * d]);
    text.weight("dt", &[heads]).weight("norm", &[d]);
    let _ = writeln!(text.declared, "weight @a : f32[{heads}] = \"a\"");
    let _ = writeln!(text.weights, "; weight @a = {:?}", vec![-0.5; heads]);
    // Keys of length one, and gates by which the state decays.
    text.op("l2norm %k {eps = 1e-6}", &[f32(&[k_heads, d])]);
    text.op("softplus %g", &[f32(&[heads])])
        .op("scale %y1 {by = -1.0}", &[f32(&[heads])]);
    text.op("sigmoid %beta", &[f32(&[heads])]);
    text.op(
        "gdn_scan %q, %y0, %v, %y2, %y3, state @a",
        &[f32(&[heads, d])],
    );
    text.op(
        "gated_delta_net %u, %z, %g, %beta, state @b, @dt, @a, @norm {l2_eps = 1e-6, eps = 1e-3, to = f32}",
        &[f32(&[heads * d])],
    );
    text.state("c", &matrix).op(
        "gated_delta_net %u, %z, %g, %beta, state @c, @dt, @a, @norm {gate = sigmoid, l2_eps = 1e-6, eps = 1e-3, to = f32}",
        &[f32(&[heads * d])],
    );
    text
}

fn attention(d: usize, kv_heads: usize, group: usize) -> Text {
    let mut text = Text::default();
    let heads = kv_heads * group;
    text.state("kv", &format!("kv<bf16>[{kv_heads}, {d}]"));
    text.input("q", "f32", &[heads, d])
        .input("k", "f32", &[kv_heads, d]);
    text.input("v", "f32", &[kv_heads, d])
        .inputs
        .push("%pos: position[T]".into());
    text.effect("kv_store %k, %v, %pos, state @kv");
    text.op(
        "attention %q, %pos, state @kv {scale = 0.25}",
        &[f32(&[heads, d])],
    );
    if d > 1 {
        // The engine walks from angle to angle, each a rounding further from the true one.
        let n_rot = (d / 2 * 2).min(8);
        let rope = format!("rope %q, %pos {{n_rot = {n_rot}, freq_base = 100.0}}");
        text.op(&rope, &[f32(&[heads, d])]);
    }
    text
}

fn experts(x: usize, n: usize, count: usize, k: usize) -> Text {
    let mut text = Text::default();
    let k = 1 + k % count;
    text.input("x", "f32", &[x])
        .input("logits", "f32", &[count])
        .input("r", "f32", &[x]);
    text.input("s", "f32", &[x]).input("gate", "f32", &[1]);
    text.weight("a", &[count, n, x])
        .weight("b", &[count, n, x])
        .weight("c", &[count, x, n]);
    text.weight("table", &[count, n]).weight("factor", &[count]);
    text.op("softmax %logits", &[f32(&[count])]);
    let best = [format!("index<{count}>[T, {k}]"), f32(&[k])];
    text.op(&format!("topk_router %y0 {{k = {k}}}"), &best);
    text.op("moe_matmul %x, %y1, @a", &[f32(&[k, n])]);
    text.op("moe_matmul %y3, %y1, @c", &[f32(&[k, x])])
        .op("expert_sum %y4", &[f32(&[x])]);
    text.op("expert_rows %y1, @table", &[f32(&[k, n])]);
    text.op("expert_rows %y1, @factor", &[f32(&[k, 1])]);
    text.op(
        &format!("moe_swiglu %x, %logits, @a, @b {{k = {k}, to = f32}}"),
        &[f32(&[k, n])],
    );
    text.op(
        "moe_sum %y8, %logits, %s, %gate, %r, @c {min = 0.25, shared = gated}",
        &[f32(&[x])],
    );
    text.op("moe_sum %y8, %logits, %r, @c", &[f32(&[x])]);
    text.op(
        "moe_sum %y8, %logits, %s, %r, @c {min = 0.25, shared = plain}",
        &[f32(&[x])],
    );
    text.op(
        "moe_sum %y8, %logits, %s, %gate, @c {shared = gated, onto = nothing}",
        &[f32(&[x])],
    );
    text
}

fn text() -> impl Strategy<Value = Text> {
    let dims = || prop::collection::vec(dim(40), 1..4);
    let ones = prop::collection::vec(any::<bool>(), 4);
    let elements = (dims(), ones).prop_map(|(dims, ones)| elementwise(&dims, &ones));
    let rows = dims().prop_map(|dims| rows(&dims));
    let pieces = (dims(), any::<usize>(), 1usize..20, any::<usize>())
        .prop_map(|(dims, axis, more, cut)| pieces(&dims, axis % dims.len(), more, cut));
    let products = (dim(80), dim(80), dim(80)).prop_map(|(k, n, m)| products(k, n, m));
    let convolutions = (dim(40), dim(300), 1usize..7).prop_map(|(k, c, t)| convolutions(k, c, t));
    let scans = (dim(40), 1usize..4, 1usize..4).prop_map(|(d, k, group)| scans(d, k, group));
    let attention =
        (dim(70), 1usize..4, 1usize..6).prop_map(|(d, k, group)| attention(d, k, group));
    let experts = (dim(50), dim(50), 1usize..8, any::<usize>())
        .prop_map(|(x, n, count, k)| experts(x, n, count, k));
    let streams = (1usize..6, dim(50)).prop_map(|(count, width)| streams(count, width));
    prop_oneof![
        elements,
        streams,
        rows,
        pieces,
        products,
        convolutions,
        scans,
        attention,
        experts
    ]
}

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.case(&[]))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn ops_of_any_shape_give_what_their_definition_gives(text in text(), widths in widths()) {
        let source = text.case(&widths);
        let checked = Case::parse(&source).and_then(|case| check(&case));
        prop_assert!(checked.is_ok(), "{source}\n{}", checked.unwrap_err());
    }
}
