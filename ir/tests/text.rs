//! Properties of the textual form.

mod support;

use proptest::prelude::*;
use sharpi_ir::text::{self, graph_lines_in, parse, print, print_graph, print_with};
use sharpi_ir::{Builder, DType, Dim, Module, Op, Symbol, TensorType, dot, verify};
use support::{modules, remade};

proptest! {
    #[test]
    fn printed_modules_parse_to_the_same_graph(module in modules(40)) {
        let printed = print(&module);
        let parsed = parse(&printed).map_err(|e| TestCaseError::fail(e.to_string()))?;
        prop_assert_eq!(&print(&parsed), &printed);
        prop_assert_eq!(parsed.symbols, module.symbols.clone());
        let (before, after) = (&module.graphs["g"], &parsed.graphs["g"]);
        let hash = before.structural_hash(&module.symbols);
        prop_assert_eq!(after.structural_hash(&module.symbols), hash);
    }

    #[test]
    fn built_graphs_have_no_faults(module in modules(40)) {
        verify(&module).map_err(|e| TestCaseError::fail(e.to_string()))?;
    }

    #[test]
    fn the_order_in_which_nodes_are_made_cannot_be_seen(
        module in modules(40),
        seed in any::<u64>(),
    ) {
        let mut other = module.clone();
        let graph = remade(&module.graphs["g"], &mut other.symbols, seed);
        let hash = graph.structural_hash(&other.symbols);
        prop_assert_eq!(hash, module.graphs["g"].structural_hash(&module.symbols));
        other.graphs.insert("g".into(), graph);
        prop_assert_eq!(print(&other), print(&module));
    }

    #[test]
    fn a_schedule_prints_in_its_order_and_parses(module in modules(30), seed in any::<u64>()) {
        let mut symbols = module.symbols.clone();
        let graph = remade(&module.graphs["g"], &mut symbols, seed);
        let schedule: Vec<_> = graph.nodes().collect();
        let lines = graph_lines_in(&schedule, "g", &graph, &symbols);
        let ops = schedule.iter().copied().filter(|n| graph.op(*n).is_some());
        prop_assert!(lines.iter().filter_map(|l| l.node).eq(ops));
        let mut scheduled = print(&module);
        let head = scheduled.find("  graph ").expect("a graph");
        scheduled.truncate(head);
        lines.iter().for_each(|l| scheduled += &format!("{}\n", l.text));
        let parsed = parse(&(scheduled + "}\n"));
        let parsed = parsed.map_err(|e| TestCaseError::fail(e.to_string()))?;
        prop_assert_eq!(print(&parsed), print(&module));
    }

    #[test]
    fn any_mutation_of_a_text_is_parsed_or_refused_without_panic(
        module in modules(12),
        edits in prop::collection::vec((any::<usize>(), 0..12usize, fragments()), 1..6),
    ) {
        let mut text = print(&module);
        for (at, delete, insert) in edits {
            mutate(&mut text, at, delete, &insert);
        }
        survives(&text)?;
    }

    #[test]
    fn any_text_is_parsed_or_refused_without_panic(
        parts in prop::collection::vec(fragments(), 0..60),
    ) {
        survives(&parts.concat())?;
    }
}

fn fragments() -> impl Strategy<Value = String> {
    let known = [
        "module ",
        "weight ",
        "state ",
        "graph ",
        "return",
        " as ",
        " where ",
        "@",
        "%",
        "%0",
        "%1 = ",
        "silu ",
        "kv_store ",
        "split ",
        "f32",
        "q4_k",
        "[",
        "]",
        "[T, 64]",
        "(",
        ")",
        "{",
        "}",
        "{axis = 1}",
        "<",
        ">",
        "->",
        ":",
        ",",
        "=",
        "\"",
        "\\",
        "\\u{",
        ";",
        "\n",
        "..=",
        "-",
        "1e999",
        "18446744073709551615",
        "4294967296",
        "é",
        "\u{2028}",
        "\0",
        " ",
    ];
    prop_oneof![
        4 => prop::sample::select(known.to_vec()).prop_map(String::from),
        1 => "\\PC{0,6}",
    ]
}

fn mutate(text: &mut String, at: usize, delete: usize, insert: &str) {
    let bounds: Vec<usize> = text
        .char_indices()
        .map(|(i, _)| i)
        .chain([text.len()])
        .collect();
    let start = at % bounds.len();
    let end = (start + delete).min(bounds.len() - 1);
    text.replace_range(bounds[start]..bounds[end], insert);
}

/// Nothing panics; what parses prints and parses again; an error shows its line.
fn survives(text: &str) -> Result<(), TestCaseError> {
    match parse(text) {
        Err(e) => {
            let lines = text.matches('\n').count() + 1;
            prop_assert!(e.line >= 1 && e.line <= lines && e.column >= 1, "{}", e);
            prop_assert!(e.to_string().contains('^'));
        }
        Ok(module) => {
            let printed = print(&module);
            let again = parse(&printed).map_err(|e| TestCaseError::fail(e.to_string()))?;
            prop_assert_eq!(print(&again), printed);
            if let Err(e) = verify(&module) {
                prop_assert!(e.to_string().contains('^'));
            }
            for (name, graph) in &module.graphs {
                dot(name, graph, &module.symbols);
            }
        }
    }
    Ok(())
}

fn small(ops: usize) -> Module {
    let mut module = Module::new("m");
    let mut b = Builder::new(&mut module.symbols);
    b.bound(Symbol::TOKENS, 1..=8);
    let mut v = b.input(
        "x",
        TensorType::new(DType::F32, [Symbol::TOKENS.into(), Dim::Fixed(4)]),
    );
    for _ in 0..ops {
        v = b.value(Op::Silu {}, &[v.into()]).expect("a valid op");
    }
    b.output("y", v);
    let graph = b.finish();
    module.graphs.insert("g".into(), graph);
    module
}

#[test]
fn a_graph_of_any_depth_prints_parses_and_verifies() {
    let module = small(50_000);
    let printed = print(&module);
    let parsed = parse(&printed).expect("a module");
    assert!(print(&parsed) == printed);
    verify(&parsed).expect("no faults");
}

#[test]
fn notes_stand_in_a_comment_column_and_parse_away() {
    let module = small(2);
    let graph = &module.graphs["g"];
    let first = graph.order()[1];
    let note = |n| (n == first).then(|| "arena 0..64\nin place".to_string());
    let printed = print_with(&module, &|graph, n| note(n).map(|t| format!("{graph} {t}")));
    insta::assert_snapshot!(printed, @r#"
    module @m {
      graph @g(%x: f32[T, 4]) -> (%y: f32[T, 4]) where T in 1..=8 {
        %0 = silu %x                                               : f32[T, 4]                            ; g arena 0..64 in place
        %1 = silu %0                                               : f32[T, 4]
        return %y = %1
      }
    }
    "#);
    assert_eq!(print(&parse(&printed).expect("a module")), print(&module));
    let alone = print_graph("g", graph, &module.symbols, &note);
    assert!(alone.contains("; arena 0..64 in place"), "{alone}");
}

#[test]
fn a_parse_error_shows_its_line_with_a_caret() {
    let error = text::parse("module @m {\n\tweight @w : f23[4] = \"w\"\n}").expect_err("no dtype");
    insta::assert_snapshot!(error.to_string(), @r#"
    line 2, column 14: there is no element type `f23`
    2 | 	weight @w : f23[4] = "w"
      | 	            ^ expected one of f32, f16, bf16, i32, q8_0, q8_1, q4_0, q4_1, q5_0, q5_1, q2_k, q3_k, q4_k, q5_k, q6_k, q8_k, iq4_nl, iq4_xs, mxfp4, iq2_xxs, iq2_xs, iq2_s, iq3_xxs, iq3_s, iq1_s, iq1_m, tq1_0, tq2_0, nvfp4, q1_0, q2_0, index, position
    "#);
}

#[test]
fn faults_stand_under_their_lines() {
    let text = print(&small(9)).replacen("f32[T, 4]\n    %6", "f32[T, 8]\n    %6", 1);
    let faults = verify(&parse(&text).expect("a module")).expect_err("a wrong type");
    insta::assert_snapshot!(faults.to_string(), @r#"
    2 faults
       …
     6 |     %3 = silu %2                                               : f32[T, 4]
     7 |     %4 = silu %3                                               : f32[T, 4]
     8 |     %5 = silu %4                                               : f32[T, 8]
       |     ^ result 0 has type f32[T, 8], expected f32[T, 4]
     9 |     %6 = silu %5                                               : f32[T, 4]
       |     ^ result 0 has type f32[T, 4], expected f32[T, 8]
    10 |     %7 = silu %6                                               : f32[T, 4]
    11 |     %8 = silu %7                                               : f32[T, 4]
    "#);
}

#[test]
fn dot_draws_ops_operands_states_and_outputs() {
    let path = "../fixtures/filetests/parse/attention.sir";
    let text = std::fs::read_to_string(path).expect("a filetest");
    let module = parse(&text).expect("a module");
    insta::assert_snapshot!(dot("g", &module.graphs["g"], &module.symbols), @r#"
    digraph "g" {
      node [shape=box, fontname="monospace"];
      n0 [label="input\n%q: f32[T, 8, 128]", shape=ellipse];
      n1 [label="input\n%k: f32[T, 2, 128]", shape=ellipse];
      n2 [label="input\n%v: f32[T, 2, 128]", shape=ellipse];
      n3 [label="input\n%pos: position[T]", shape=ellipse];
      n4 [label="rope\n%0: f32[T, 8, 128]\nQcur-3"];
      n5 [label="rope\n%1: f32[T, 2, 128]"];
      n6 [label="kv_store @blk.3.kv"];
      n7 [label="attention @blk.3.kv\n%2: f32[T, 8, 128]"];
      n0 -> n4 [headlabel="0"];
      n1 -> n5 [headlabel="0"];
      n2 -> n6 [headlabel="1"];
      n3 -> n4 [headlabel="1"];
      n3 -> n5 [headlabel="1"];
      n3 -> n6 [headlabel="2"];
      n3 -> n7 [headlabel="1"];
      n4 -> n7 [headlabel="0"];
      n5 -> n6 [headlabel="0"];
      n6 -> n7 [style=dashed, label="@blk.3.kv"];
      out0 [label="%o", shape=ellipse];
      n7 -> out0;
    }
    "#);
}
