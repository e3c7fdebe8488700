//! Grammars that are wrong, too large, or meant to harm.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::*;

fn fault(grammar: Grammar) -> String {
    let vocabulary = vocabulary();
    guide(&vocabulary, grammar)
        .expect_err("a fault")
        .to_string()
}

#[test]
fn a_wrong_schema_is_told_with_its_place() {
    let properties = |of: Value| json!({"type": "object", "properties": {"a/b": {"items": of}}});
    let cases = [
        json!(7),
        properties(json!({"type": "strin"})),
        properties(json!({"uniqueItems": true})),
        properties(json!({"$ref": "#/$defs/nowhere"})),
        properties(json!({"pattern": "("})),
        json!({"anyOf": [{"type": "null"}, {"minimum": "a"}]}),
        json!({"type": "integer", "minimum": 3, "maximum": 2}),
        json!(false),
    ];
    let told = cases.map(|schema| {
        let fault = fault(Grammar::json_schema(schema.clone()));
        format!("{schema}\n    {}", fault.replace('\n', "\n    "))
    });
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn a_wrong_grammar_is_told_with_its_place() {
    let forbidden = "%llguidance {\"allow_invalid_utf8\": true}\nstart: \"a\"";
    let cases = [
        Grammar::Regex("a(".into()),
        Grammar::Lark("start: \"a\" b".into()),
        Grammar::Lark("start: \"a\"\nstart \"b\"".into()),
        Grammar::Lark("start: <|nowhere|>".into()),
        Grammar::Lark(forbidden.into()),
        Grammar::Gbnf("root ::= <nowhere>".into()),
        Grammar::Gbnf("root ::= \"a\" |\nroot ::= \"b\"".into()),
        Grammar::Gbnf("root ::= root \"a\"".into()),
    ];
    let told = cases.map(|grammar| {
        let fault = fault(grammar.clone());
        format!("{grammar:?}\n    {}", fault.replace('\n', "\n    "))
    });
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn what_is_made_to_take_long_is_refused_or_done_soon() {
    let wide = |n: usize, of: Value| json!({"anyOf": vec![of; n]});
    let mut nested = json!({"type": "string", "pattern": "(a{1,90}b?){1,90}"});
    for i in 0..50 {
        nested = json!({"allOf": [
            {"anyOf": [nested.clone(), {"minLength": i}, {"maxLength": 1000 - i}]},
            {"anyOf": [{"minLength": i}, {"type": ["string", "null"]}]},
        ]});
    }
    let patterns: serde_json::Map<String, Value> = (0..24)
        .map(|i| {
            (
                format!("^(a|b|c{i}){{1,40}}x{i}"),
                json!({"type": "string"}),
            )
        })
        .collect();
    let objects: Vec<Value> = (0..500)
        .map(|i| json!({"type": "object", "properties": {"kind": {"const": i}, "x": {}}}))
        .collect();
    let deep =
        |open: &str, close: &str, n: usize| format!("{}\"a\"{}", open.repeat(n), close.repeat(n));
    let chain: String = (0..2000).map(|i| format!("r{i}: r{}\n", i + 1)).collect();
    let cases = [
        ("wide", Grammar::json_schema(wide(501, json!({})))),
        ("nested", Grammar::json_schema(nested)),
        (
            "patterns",
            Grammar::json_schema(json!({"patternProperties": patterns})),
        ),
        ("objects", Grammar::json_schema(json!({"oneOf": objects}))),
        (
            "items",
            Grammar::json_schema(json!({"type": "array", "minItems": 100_000_000})),
        ),
        (
            "length",
            Grammar::json_schema(json!({"type": "string", "minLength": 100_000_000})),
        ),
        (
            "regex",
            Grammar::Regex("((((a{1,999}b?){1,999}c?){1,999}){1,999}d)+".into()),
        ),
        ("backwards", Grammar::Regex(".*a.{200}".into())),
        (
            "brackets",
            Grammar::Lark(format!("start: {}", deep("(", ")", 15_000))),
        ),
        (
            "not",
            Grammar::Lark(format!("start: A\nA: {}", deep("~", "", 30_000))),
        ),
        (
            "chain",
            Grammar::Lark(format!("start: r0\n{chain}r2000: \"a\"")),
        ),
        (
            "gbnf brackets",
            Grammar::Gbnf(format!("root ::= {}", deep("(", ")", 15_000))),
        ),
        ("options", Grammar::Regex("a?".repeat(2_000))),
        ("large", Grammar::Regex("a".repeat(9_000))),
    ];
    let vocabulary = vocabulary();
    for (name, grammar) in cases {
        let clock = Instant::now();
        let made = guide(&vocabulary, grammar);
        let told = made
            .as_ref()
            .err()
            .map(|e| e.to_string().chars().take(150).collect::<String>());
        println!("{name}: {:?} {told:?}", clock.elapsed());
        if let Ok(guide) = &made {
            let mut rng = rand::SeedableRng::seed_from_u64(3);
            let mut mask = guide.mask();
            let mut text = Vec::new();
            for _ in 0..30 {
                let mut logits = vec![0.0; vocabulary.tokenizer().len()];
                if let Err(error) = mask.apply(&text, None, &mut logits) {
                    println!("{name}: {} tokens, then {error}", text.len());
                    break;
                }
                let next = (0u32..)
                    .zip(logits)
                    .filter(|(_, x)| *x == 0.0)
                    .map(|(id, _)| id);
                let next: Vec<u32> = next.collect();
                text.push(*next.choose::<StdRng>(&mut rng).unwrap());
            }
        }
        assert!(
            clock.elapsed() < Duration::from_secs(10),
            "{name} took {:?}",
            clock.elapsed()
        );
    }
}

#[test]
fn a_vocabulary_without_an_end_is_refused() {
    let file = support::fixtures().join("models/micro-dense-f32.gguf");
    let bytes = Model::open(file).unwrap().tokenizer().unwrap();
    let tokens = (0..256).map(|id| bytes.token_text(id).unwrap().to_owned());
    let tokenizer = Tokenizer::new(Vocabulary {
        model: "gpt2".into(),
        pre: "qwen35".into(),
        tokens: tokens.collect(),
        ..Vocabulary::default()
    });
    let error = GuideVocabulary::new(Arc::new(tokenizer.unwrap())).unwrap_err();
    assert_eq!(error, GuideError::NoEnd);
}
