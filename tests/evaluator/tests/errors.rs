//! What cannot be evaluated or read is told with its place.

use sharpi_evaluator::script::{Content, Script};
use sharpi_evaluator::{Evaluator, Tensor};
use sharpi_ir::{Module, text};

const MODULE: &str = r#"module @m {
  weight @w : f32[2, 2] = "w"
  state @kv : kv<f32>[1, 2]
  graph @g(%x: f32[T, 2], %i: index<T>[R]) -> (%y: f32[R, 2]) where T in 1..=4, R in 0..=2 {
    %0 = matmul %x, @w : f32[T, 2]
    %1 = get_rows %0, %i : f32[R, 2]
    return %y = %1
  }
  graph @early(%x: f32[T, 1, 2], %pos: position[T]) -> (%y: f32[T, 1, 2]) where T in 1..=4 {
    %0 = attention %x, %pos, state @kv {scale = 1.0} : f32[T, 1, 2]
    return %y = %0
  }
}"#;

fn module() -> Module {
    text::parse(MODULE).expect("a module")
}

fn tensor(dims: &[usize]) -> Tensor {
    Tensor::new(dims, vec![0.0; dims.iter().product()]).expect("so many numbers")
}

/// What a run of a graph is refused with; the weight is given or not.
fn refused(graph: &str, inputs: &[(&str, Tensor)], weight: bool) -> String {
    let module = module();
    let given = |_: &str, _: &sharpi_ir::Weight| weight.then(|| tensor(&[2, 2]));
    let mut evaluator = Evaluator::new(&module, &given).expect("an evaluator");
    let error = evaluator.run(graph, inputs).expect_err("a refusal");
    error.to_string()
}

#[test]
fn an_op_that_cannot_be_evaluated_is_told_with_its_graph_and_its_line() {
    let x = || ("x", tensor(&[1, 2]));
    let error = refused("g", &[x(), ("i", tensor(&[1]))], false);
    assert!(error.starts_with("@g: %0 = matmul %x, @w"), "{error}");
    assert!(error.ends_with("weight @w is not given"), "{error}");
}

#[test]
fn an_input_that_does_not_fit_is_told_with_its_name() {
    let x = |rows| ("x", tensor(&[rows, 2]));
    let i = |data: Vec<f64>| ("i", Tensor::new([data.len()], data).expect("numbers"));
    for (inputs, message) in [
        (vec![x(1)], "@g: input %i: it is missing"),
        (
            vec![x(1), i(vec![1.0])],
            "@g: input %i: 1 is not one of 0..1",
        ),
        (
            vec![x(2), i(vec![0.5])],
            "@g: input %i: 0.5 is not one of 0..2",
        ),
        (vec![x(1), x(1)], "@g: input %x: it is given twice"),
        (
            vec![("z", tensor(&[1]))],
            "@g: input %z: there is no such input",
        ),
        (
            vec![("x", tensor(&[2])), i(vec![])],
            "@g: input %x: it has dimensions [2]",
        ),
        (vec![x(5), i(vec![])], "@g: T is 5, which is not in 1..=4"),
    ] {
        let error = refused("g", &inputs, true);
        assert!(error.starts_with(message), "{error}");
    }
    assert_eq!(refused("h", &[], true), "@h: there is no such graph");
}

#[test]
fn a_position_that_does_not_follow_is_refused() {
    let pos = Tensor::new([1], vec![3.0]).expect("a number");
    let error = refused("early", &[("x", tensor(&[1, 1, 2])), ("pos", pos)], true);
    assert!(
        error.ends_with("3 stands where the position is 0"),
        "{error}"
    );
}

#[test]
fn a_weight_of_other_dimensions_is_refused() {
    let module = module();
    let error = Evaluator::new(&module, &|_, _| Some(tensor(&[4]))).err();
    let error = error.expect("a refusal").to_string();
    assert_eq!(
        error,
        "weight @w: it has dimensions [4], expected f32[2, 2]"
    );
}

#[test]
fn a_script_has_weights_and_runs_in_their_order() {
    let script = Script::parse(
        "; run is a word of this comment\n\
         module @m {}\n\
         ; weight @w = [[1, -2.5], [3e1, 4]]\n\
         ; weight @v = fill 7\n\
         ; run: @g(%x = [[1, 2]],\n\
         ;      %i = []) == %y = [], %z = fill 3 [1, 2]\n\
         ; run: @g()\n",
    );
    let script = script.expect("a script");
    let list = |dims: &[usize], data: &[f64]| Content::List {
        dims: dims.to_vec(),
        data: data.to_vec(),
    };
    assert_eq!(script.weights[0].1, list(&[2, 2], &[1.0, -2.5, 30.0, 4.0]));
    assert_eq!(
        script.weights[1].1,
        Content::Fill {
            seed: 7,
            dims: None
        }
    );
    let [first, second] = &script.runs[..] else {
        panic!("{script:?}");
    };
    assert_eq!((first.line, &*first.graph, second.line), (5, "g", 7));
    assert_eq!(first.inputs[1], ("i".into(), list(&[0], &[])));
    assert_eq!(first.expected.len(), 2);
}

#[test]
fn a_line_that_cannot_be_read_is_told_with_its_column() {
    for (line, message) in [
        (
            "; weight @w = [[1, 2], [3]]",
            "line 2, column 27: it has another length",
        ),
        (
            "; weight @w = [1, x]",
            "line 2, column 19: expected a number",
        ),
        ("; weight @w [1]", "line 2, column 13: expected `=`"),
        ("; run: g()", "line 2, column 8: expected `@`"),
        (
            "; run: @g(%x = [1]) = %y = [1]",
            "line 2, column 21: expected the end",
        ),
        (
            "; run: @g(%x = fill)",
            "line 2, column 20: expected a whole number",
        ),
        (
            "; run: @g(%x = [1],\n;    %y = [",
            "line 3, column 12: expected a number",
        ),
    ] {
        let error = Script::parse(&format!("module @m {{}}\n{line}\n"));
        let error = error.expect_err(line).to_string();
        assert!(error.starts_with(message), "{line}: {error}");
    }
}
