//! Every tensor that the reference names, against its dump of one short run with drafting.

mod support;

use sharpi_compile::parity::golden::{Dump, Tensor};
use sharpi_compile::{Input, Session};
use support::{compile, fixtures, model, session};

type Made = Vec<(String, Vec<f32>)>;

/// Runs a graph and keeps every named value.
fn run(session: &mut Session, graph: &str, inputs: &[(&str, Input<'_>)]) -> Made {
    let mut made = Vec::new();
    session
        .run_traced(graph, inputs, &mut |name, _, data| {
            made.push((name.to_string(), data.to_vec()));
        })
        .expect("a run");
    made
}

fn value<'a>(made: &'a Made, name: &str) -> &'a [f32] {
    &made.iter().find(|(n, _)| n == name).expect(name).1
}

/// The runs of the dump: prompt, catch-up, two draft steps, verification, its catch-up.
fn replay(dump: &Dump) -> Vec<Made> {
    let executable = compile(&model(&dump.model), dump.cache_type);
    let mut session = session(&executable, 1);
    let signed = |ids: &[u32]| -> Vec<i32> { ids.iter().map(|id| *id as i32).collect() };
    let ids = signed(&dump.prompt_ids);
    let (prompt, last) = ids.split_at(ids.len() - 1);
    let drafts = signed(&dump.rounds[0].draft);
    let n = prompt.len() as i32;

    let trunk = |session: &mut Session, ids: &[i32], rows: &[i32]| {
        let start = session.position("trunk") as i32;
        let pos: Vec<i32> = (start..start + ids.len() as i32).collect();
        let inputs = [
            ("ids", Input::I32(ids)),
            ("pos", Input::I32(&pos)),
            ("rows", Input::I32(rows)),
        ];
        run(session, "trunk", &inputs)
    };
    let mtp = |session: &mut Session, ids: &[i32], h: &[f32], rows: &[i32]| {
        let start = session.position("mtp") as i32;
        let pos: Vec<i32> = (start..start + ids.len() as i32).collect();
        let inputs = [
            ("ids", Input::I32(ids)),
            ("h", Input::F32(h)),
            ("pos", Input::I32(&pos)),
            ("rows", Input::I32(rows)),
        ];
        run(session, "mtp", &inputs)
    };

    let prefill = trunk(&mut session, prompt, &[]);
    let h = value(&prefill, "h_nextn");
    let width = h.len() / prompt.len();
    // Each token meets the hidden state of the position before, the first meets zeros.
    let shifted: Vec<f32> = std::iter::repeat_n(0.0, width)
        .chain(h[..h.len() - width].iter().copied())
        .collect();
    let newest = h[h.len() - width..].to_vec();
    let catch_up = mtp(&mut session, prompt, &shifted, &[]);
    let draft_1 = mtp(&mut session, last, &newest, &[0]);
    let draft_2 = mtp(&mut session, &drafts[..1], value(&draft_1, "h_nextn"), &[0]);
    session.truncate("mtp", n as usize).expect("only caches");
    let ids = [last, &drafts[..]].concat();
    let verify = trunk(&mut session, &ids, &[0, 1, 2]);
    let h = value(&verify, "h_nextn");
    let shifted: Vec<f32> = newest.iter().chain(&h[..2 * width]).copied().collect();
    let verify_catch_up = mtp(&mut session, &ids, &shifted, &[]);
    vec![prefill, catch_up, draft_1, draft_2, verify, verify_catch_up]
}

/// What differs in one tensor, if anything.
fn difference(made: &[f32], tensor: &Tensor) -> Option<String> {
    let elements: usize = tensor.ne.iter().product();
    if made.len() != elements {
        return Some(format!(
            "{} elements, the reference has {elements}",
            made.len()
        ));
    }
    let l2 = made
        .iter()
        .map(|&x| f64::from(x).powi(2))
        .sum::<f64>()
        .sqrt();
    if (l2 - tensor.l2).abs() > 2e-4 * tensor.l2 {
        return Some(format!("l2 norm {l2}, the reference has {}", tensor.l2));
    }
    let rms = tensor.l2 / (elements.max(1) as f64).sqrt();
    let ends = [
        (&made[..tensor.first.len()], &tensor.first),
        (&made[made.len() - tensor.last.len()..], &tensor.last),
    ];
    for (made, expected) in ends {
        for (x, y) in made.iter().zip(expected) {
            if f64::from((x - y).abs()) > 1e-3 * rms {
                return Some(format!("{made:?}, the reference has {expected:?}"));
            }
        }
    }
    None
}

/// The sampler's own tensors: not of the model, but made of its logits alone.
fn of_the_sampler(tensor: &Tensor, made: &Made) -> Option<Vec<f32>> {
    let logits = value(made, "result_output");
    match tensor.name.as_str() {
        "logits_seq_0_0" => Some(logits.to_vec()),
        "top_k_rows" => {
            let mut best = logits.to_vec();
            best.sort_by(|a, b| b.total_cmp(a));
            best.truncate(10);
            Some(best)
        }
        _ => None,
    }
}

fn check(name: &str) {
    let file = fixtures()
        .join("golden")
        .join(format!("{name}.tensors.json"));
    let dump = Dump::read(&file).unwrap_or_else(|e| panic!("{e}"));
    let runs = replay(&dump);
    assert_eq!(runs.len(), dump.passes.len());
    let (mut compared, mut differing): (usize, Vec<String>) = (0, Vec::new());
    for (i, (made, pass)) in runs.iter().zip(&dump.passes).enumerate() {
        let at = format!("{name}, run {i} (@{}, width {})", pass.graph, pass.width);
        // The reference reuses a few names in a run; they stand in order.
        let mut left: Vec<&(String, Vec<f32>)> = made.iter().collect();
        for tensor in &pass.tensors {
            let found = left.iter().position(|(n, _)| *n == tensor.name);
            let data = match found {
                Some(found) => left.remove(found).1.clone(),
                None => match of_the_sampler(tensor, made) {
                    // Without a row of logits the sampler's tensors hold what lay there before.
                    Some(data) if data.is_empty() => continue,
                    Some(mut data) => {
                        if tensor.name == "top_k_rows" {
                            let mut same = tensor.first.clone();
                            same.truncate(8);
                            assert!(
                                same.iter()
                                    .all(|x| data.iter().any(|y| (x - y).abs() < 1e-2)),
                                "{at}: {data:?}"
                            );
                            data.clear();
                            compared += 1;
                            continue;
                        }
                        data
                    }
                    None => panic!("{at}: no value is named {}", tensor.name),
                },
            };
            if let Some(difference) = difference(&data, tensor) {
                println!("{at}: {}: {difference}", tensor.name);
                differing.push(format!("{at}: {}", tensor.name));
            }
            compared += 1;
        }
    }
    println!("{name}: {compared} tensors in {} runs", runs.len());
    assert!(differing.is_empty(), "{differing:#?}");
}

#[test]
fn every_named_tensor_of_the_dense_model_is_the_reference_s() {
    check("micro-dense-f32");
}

#[test]
fn every_named_tensor_of_the_mixture_of_experts_is_the_reference_s() {
    check("micro-moe-f32");
}
