//! What a graph takes is told by the types of its inputs, not by their names, and whatever a caller
//! hands in is run rightly or refused.

mod support;

use std::sync::Arc;

use sharpi_compile::exec::ExecutorOptions;
use sharpi_compile::generate::{
    GenerateError, GenerateOptions, Generator, Sampler, SamplerOptions,
};
use sharpi_compile::ir::text;
use sharpi_compile::tokenizer::{TextStream, Tokenizer};
use sharpi_compile::{
    CompileOptions, Error, Executable, Input, Model, RunError, SavedSession, Session,
    SessionOptions,
};
use support::{compile, feed, model, session};

/// The text of a graph over the f32 model's weights, compiled.
fn try_own(graph: &str) -> Result<Arc<Executable>, Error> {
    let source = format!(
        "module @m {{
          weight @table : f32[512, 256] = \"token_embd.weight\"
          weight @norm : f32[256] = \"output_norm.weight\"
          {graph}
        }}"
    );
    let module = text::parse(&source).unwrap_or_else(|e| panic!("{e}"));
    let model = model("micro-dense-f32");
    let compiled = model.compile_module(module, &CompileOptions::default(), &|_, _| ());
    compiled.map(Arc::new)
}

fn own(graph: &str) -> Session {
    let executable = try_own(graph).unwrap_or_else(|e| panic!("{e}"));
    let options = SessionOptions::default().context(8).threads(2);
    Session::new(executable, &options).expect("a session")
}

const TWO_INPUTS: &str = "graph @g(%chosen: index<T>[R], %tokens: index<512>[T]) -> (%y: f32[R, 256]) where T in 0..=8, R in 0..=8 {
    %0 = embed %tokens, @table : f32[T, 256]
    %1 = get_rows %0, %chosen : f32[R, 256]
    return %y = %1
  }";

#[test]
fn inputs_may_have_any_names_in_any_order() {
    let mut session = own(TWO_INPUTS);
    let tokens = [3, 500, 3];
    let given = [
        ("tokens", Input::I32(&tokens)),
        ("chosen", Input::I32(&[2, 1])),
    ];
    let named = session.run("g", &given).expect("a run");
    let y = named.get("y").expect("rows");
    assert_eq!(y.len(), 2 * 256);
    let first = session.run(
        "g",
        &[
            ("chosen", Input::I32(&[0])),
            ("tokens", Input::I32(&tokens)),
        ],
    );
    assert_eq!(first.unwrap().get("y").unwrap(), &y[..256]);
}

#[test]
fn a_run_without_tokens_is_a_run_where_the_graph_allows_it() {
    let mut session = own(TWO_INPUTS);
    let none = [("tokens", Input::I32(&[])), ("chosen", Input::I32(&[]))];
    let outputs = session.run("g", &none).expect("a run");
    assert_eq!(outputs.get("y"), Some(&[][..]));
}

#[test]
fn a_graph_without_states_is_not_limited_by_the_context() {
    let mut session = own(TWO_INPUTS);
    for _ in 0..5 {
        let given = [("tokens", Input::I32(&[1; 8])), ("chosen", Input::I32(&[]))];
        session.run("g", &given).expect("a run");
    }
    assert_eq!(session.position("g"), 0);
}

#[test]
fn numbers_beyond_what_their_type_says_are_refused() {
    let mut session = own(TWO_INPUTS);
    let refused = |session: &mut Session, tokens: &[i32], chosen: &[i32]| {
        let given = [
            ("tokens", Input::I32(tokens)),
            ("chosen", Input::I32(chosen)),
        ];
        session.run("g", &given).expect_err("a refusal").to_string()
    };
    for (tokens, chosen, message) in [
        (&[512][..], &[][..], "512 is not below 512"),
        (&[-1], &[], "-1 is not below 512"),
        (&[1, 2], &[2], "2 is not below 2"),
        (&[1, 2], &[i32::MIN], "is not below 2"),
        (&[1; 9], &[], "T is 9"),
        (&[1], &[0; 9], "R is 9"),
    ] {
        let error = refused(&mut session, tokens, chosen);
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn each_input_of_ids_is_held_against_the_table_that_it_indexes() {
    let graph = "weight @small : f32[256, 256] = \"token_embd.weight\" rows 0..256
  graph @g(%a: index<512>[T], %b: index<256>[T]) -> (%y: f32[T, 256]) where T in 1..=8 {
    %0 = embed %a, @table : f32[T, 256]
    %1 = embed %b, @small : f32[T, 256]
    %2 = add %0, %1 : f32[T, 256]
    return %y = %2
  }";
    let mut session = own(graph);
    let run = |session: &mut Session, a: i32, b: i32| {
        let given = [("a", Input::I32(&[a])), ("b", Input::I32(&[b]))];
        session.run("g", &given).map(|_| ())
    };
    assert_eq!(run(&mut session, 511, 255), Ok(()));
    let error = run(&mut session, 5, 256)
        .expect_err("a refusal")
        .to_string();
    assert!(
        error.contains("`b`") && error.contains("256 is not below 256"),
        "{error}"
    );
    // An input of more ids than the table has is no graph at all.
    let wider = graph.replace("%b: index<256>", "%b: index<512>");
    let error = try_own(&wider).err().expect("a fault").to_string();
    assert!(error.contains("index<256>"), "{error}");
}

#[test]
fn inputs_of_one_axis_have_the_same_number_of_rows() {
    let mut session = own(
        "graph @g(%x: f32[T, 256], %tokens: index<512>[T]) -> (%y: f32[T, 256]) where T in 1..=8 {
    %0 = embed %tokens, @table : f32[T, 256]
    %1 = add %x, %0 : f32[T, 256]
    return %y = %1
  }",
    );
    let given = [
        ("x", Input::F32(&[0.0; 512])),
        ("tokens", Input::I32(&[1, 2, 3])),
    ];
    let error = session.run("g", &given).expect_err("a refusal").to_string();
    assert!(error.contains("2 rows"), "{error}");
    let given = [("x", Input::F32(&[0.0; 500])), ("tokens", Input::I32(&[1]))];
    let error = session.run("g", &given).expect_err("a refusal").to_string();
    assert!(error.contains("multiple of 256"), "{error}");
}

const CACHED: &str = "weight @k : f32[256] = \"output_norm.weight\"
  state @kv : kv<f16>[1, 256]
  graph @g(%x: f32[T, 256], %where: position[T]) -> (%y: f32[T, 1, 256]) where T in 0..=8 {
    %0 = reshape %x {dims = [1, 256]} : f32[T, 1, 256]
    kv_store %0, %0, %where, state @kv
    %1 = attention %0, %where, state @kv {scale = 0.0625} : f32[T, 1, 256]
    return %y = %1
  }";

#[test]
fn positions_that_repeat_or_leap_are_refused_whatever_they_are_called() {
    let mut session = own(CACHED);
    let x = [0.5; 512];
    for (positions, expected) in [
        (&[0, 0][..], "position 0 stands where 1 was expected"),
        (&[0, 2], "position 2 stands where 1"),
        (&[1, 2], "position 1 stands where 0"),
        (&[-1, 0], "position -1 stands where 0"),
        (&[i32::MAX, i32::MIN], "stands where 0"),
    ] {
        let given = [("x", Input::F32(&x)), ("where", Input::I32(positions))];
        let error = session.run("g", &given).expect_err("a refusal").to_string();
        assert!(error.contains(expected), "{error}");
        assert_eq!(session.position("g"), 0);
    }
}

#[test]
fn positions_follow_from_the_states_where_they_are_left_out() {
    let (mut given, mut left_out) = (own(CACHED), own(CACHED));
    for start in [0, 2, 4] {
        let x: Vec<f32> = (0..512).map(|i| (i + start) as f32 * 0.01).collect();
        let positions = [start, start + 1];
        let with = [("x", Input::F32(&x)), ("where", Input::I32(&positions))];
        let with = given.run("g", &with).expect("a run");
        let without = left_out.run("g", &[("x", Input::F32(&x))]).expect("a run");
        assert_eq!(with, without);
    }
    let full = left_out.run("g", &[("x", Input::F32(&[0.0; 768]))]);
    assert!(
        matches!(full, Err(RunError::Context { context: 8, .. })),
        "{full:?}"
    );
}

#[test]
fn positions_cannot_be_computed_for_the_tokens_of_a_run() {
    let error = try_own(
        "state @kv : kv<f16>[1, 256]
  graph @g(%x: f32[T, 256], %p: position[T], %i: index<T>[T]) -> () where T in 1..=8 {
    %0 = reshape %x {dims = [1, 256]} : f32[T, 1, 256]
    %1 = get_rows %p, %i : position[T]
    kv_store %0, %0, %1, state @kv
    return
  }",
    );
    let error = error.err().expect("a fault").to_string();
    assert!(error.contains("they follow each other"), "{error}");
}

#[test]
fn attention_before_the_store_of_its_tokens_is_refused() {
    let store = "kv_store %0, %0, %where, state @kv";
    let attention = "%1 = attention %0, %where, state @kv {scale = 0.0625} : f32[T, 1, 256]";
    let turned = (CACHED.replace(store, "…").replace(attention, store)).replace("…", attention);
    let error = try_own(&turned).err().expect("a fault").to_string();
    assert!(
        error.contains("no keys and values of the run's tokens"),
        "{error}"
    );
}

#[test]
fn a_state_goes_on_with_tokens_and_not_with_rows() {
    let error = try_own(
        "state @kv : kv<f16>[1, 256]
  graph @g(%x: f32[R, 1, 256], %p: position[R]) -> () where T in 1..=8, R in 1..=8 {
    kv_store %x, %x, %p, state @kv
    return
  }",
    );
    let error = error.err().expect("a fault").to_string();
    assert!(error.contains("along the first axis, T"), "{error}");
}

#[test]
fn a_softmax_or_a_sum_along_the_tokens_is_no_graph() {
    for op in ["softmax %0 : f32[T]", "row_sum %0 : f32[1]"] {
        let graph = format!(
            "graph @g(%0x: f32[T]) -> () where T in 1..=8 {{
    %0 = silu %0x : f32[T]
    %1 = {op}
    return
  }}"
        );
        let error = try_own(&graph.replace("%0x", "%x")).err().expect("a fault");
        assert!(
            error.to_string().contains("2 or more dimensions"),
            "{error}"
        );
    }
}

#[test]
fn outputs_are_read_as_what_they_are() {
    let mut session = own(
        "graph @g(%tokens: index<512>[T]) -> (%ids: index<512>[T], %q: q8_k[T, 256], %x: f32[T, 256]) where T in 1..=8 {
    %0 = embed %tokens, @table : f32[T, 256]
    %1 = quantize %0 {to = q8_k} : q8_k[T, 256]
    return %ids = %tokens, %q = %1, %x = %0
  }",
    );
    let given = [("tokens", Input::I32(&[7, 8]))];
    let outputs = session.run("g", &given).expect("a run");
    assert_eq!(outputs.get("ids"), None);
    assert_eq!(outputs.numbers("ids"), Some(&[7, 8][..]));
    assert_eq!(outputs.get("q"), None);
    assert_eq!(outputs.bytes("q").map(<[u8]>::len), Some(2 * 292));
    assert_eq!(outputs.get("x").map(<[f32]>::len), Some(512));
    assert_eq!(outputs.get("nothing"), None);
}

#[test]
fn a_weight_is_taken_from_a_tensor_of_its_type_and_shape_alone() {
    // The table the other way round has as many bytes.
    let error = try_own(
        "weight @turned : f32[256, 512] = \"token_embd.weight\"
  graph @g(%x: f32[T, 512]) -> (%y: f32[T, 256]) where T in 1..=8 {
    %0 = matmul %x, @turned : f32[T, 256]
    return %y = %0
  }",
    );
    let error = error.err().expect("a fault").to_string();
    assert!(error.contains("does not hold f32[256, 512]"), "{error}");
}

#[test]
fn two_ops_on_one_recurrent_state_are_refused() {
    let error = try_own(
        "weight @taps : f32[640, 4] = \"blk.0.ssm_conv1d.weight\"
  state @window : f32[3, 640]
  graph @g(%x: f32[T, 640]) -> (%y: f32[T, 640]) where T in 1..=8 {
    %0 = causal_conv %x, @taps, state @window : f32[T, 640]
    %1 = causal_conv %0, @taps, state @window : f32[T, 640]
    return %y = %1
  }",
    );
    let error = error.err().expect("a fault").to_string();
    assert!(error.contains("@window is another op's too"), "{error}");
}

#[test]
fn a_run_from_within_a_run_is_refused_and_not_waited_for() {
    let executable = compile(&model("micro-dense-f32"), sharpi_compile::ir::DType::F16);
    let options = ExecutorOptions::default().threads(1);
    let executor = sharpi_compile::exec::Executor::new(executable, &options).unwrap();
    let mut outer = executor.session(16, 0).unwrap();
    let mut inner = executor.session(16, 0).unwrap();
    let (sender, receiver) = std::sync::mpsc::channel();
    executor.watch(Some(Box::new(move |_, _, _, _| {
        let given = [("ids", Input::I32(&[1])), ("rows", Input::I32(&[]))];
        let _ = sender.send(inner.run("trunk", &given).map(|_| ()));
    })));
    let given = [("ids", Input::I32(&[1])), ("rows", Input::I32(&[0]))];
    outer.run("trunk", &given).expect("a run");
    executor.watch(None);
    let answers: Vec<_> = receiver.iter().collect();
    assert!(!answers.is_empty());
    assert!(answers.iter().all(|a| *a == Err(RunError::WithinRun)));
}

#[test]
fn a_saved_session_survives_as_bytes_and_goes_on_with_the_same_bits() {
    let executable = compile(&model("tiny-moe-Q4_K_M"), sharpi_compile::ir::DType::F16);
    let mut first = session(&executable, 1);
    feed(&mut first, &[1, 2, 3, 4]);
    let bytes = first.save().to_bytes();
    let expected = feed(&mut first, &[5, 6]);
    // Compiled anew, as by another process, and with other passes.
    let mut options = CompileOptions::default();
    options.passes.skip = vec!["fuse-norm".into()];
    let again = Model::open(support::fixtures().join("models/tiny-moe-Q4_K_M.gguf")).unwrap();
    let mut second = session(&Arc::new(again.compile(&options).unwrap()), 2);
    let saved = SavedSession::from_bytes(&bytes).expect("a saved session");
    assert_eq!(saved.tokens(), 4);
    second.restore(&saved).expect("the same model");
    assert_eq!(feed(&mut second, &[5, 6]), expected);
}

#[test]
fn a_damaged_saved_session_is_refused_wherever_it_is_cut_or_changed() {
    let executable = compile(&model("micro-dense-f32"), sharpi_compile::ir::DType::F16);
    let mut session = session(&executable, 1);
    feed(&mut session, &[1, 2]);
    let bytes = session.save().to_bytes();
    for at in (0..bytes.len()).step_by(bytes.len() / 97) {
        assert!(
            SavedSession::from_bytes(&bytes[..at]).is_err(),
            "cut at {at}"
        );
        let mut changed = bytes.clone();
        changed[at] ^= 4;
        assert!(
            SavedSession::from_bytes(&changed).is_err(),
            "changed at {at}"
        );
    }
}

#[test]
fn a_session_of_another_model_cache_or_length_is_not_taken_over() {
    use sharpi_compile::ir::DType;
    let f16 = compile(&model("micro-dense-f32"), DType::F16);
    let mut from = session(&f16, 1);
    feed(&mut from, &[1, 2, 3, 4, 5]);
    let saved = from.save();
    let refused = |executable: &Arc<Executable>, context: usize| {
        let options = SessionOptions::default()
            .context(context)
            .threads(1)
            .rollback(16);
        let mut session = Session::new(executable.clone(), &options).unwrap();
        session.restore(&saved).expect_err("a refusal").to_string()
    };
    let other_cache = compile(&model("micro-dense-f32"), DType::F32);
    assert!(refused(&other_cache, 64).contains("another model"));
    // The same shapes, other weights.
    let other = support::requantise::derived("micro-dense-F16").expect("a model");
    assert!(refused(&compile(&other, DType::F16), 64).contains("another model"));
    assert!(refused(&f16, 4).contains("more tokens than the context"));
}

#[test]
fn a_trunk_without_states_cannot_continue_a_text() {
    let session = own(
        "graph @trunk(%rows: index<T>[R], %ids: index<512>[T]) -> (%logits: f32[R, 512]) where T in 1..=8, R in 0..=8 {
    %0 = embed %ids, @table : f32[T, 256]
    %1 = get_rows %0, %rows : f32[R, 256]
    %2 = matmul %1, @table : f32[R, 512]
    return %logits = %2
  }",
    );
    let sampler = Sampler::new(SamplerOptions::default());
    let generator = Generator::new(session, sampler, &[1, 2], GenerateOptions::default());
    assert!(matches!(generator.err(), Some(GenerateError::NoState)));
}

#[test]
fn a_generator_and_a_text_stream_can_live_in_an_async_task() {
    fn sent<T: Send + 'static>() {}
    sent::<Generator>();
    sent::<TextStream<Arc<Tokenizer>>>();
}
