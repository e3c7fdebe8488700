//! Calls of tools.

use rand::SeedableRng;
use serde_json::{Value, json};
use sharpi_chat::Json;
use sharpi_chat::answer::{AnswerFormat, AnswerParser, Piece, ToolForm};
use sharpi_compile::guide::ToolCalls;

use super::*;

fn tools() -> Vec<Json> {
    let tools = json!([
        {"type": "function", "function": {"name": "weather", "parameters": {
            "type": "object",
            "properties": {
                "place": {"type": "string", "minLength": 1, "maxLength": 4},
                "unit": {"enum": ["celsius", "kelvin"]},
                "days": {"type": "integer", "minimum": 1, "maximum": 9},
                "at": {"$ref": "#/$defs/at"},
            },
            "required": ["place", "days"],
            "additionalProperties": false,
            "$defs": {"at": {"type": "array", "items": {"type": "boolean"}, "maxItems": 2}},
        }}},
        {"type": "function", "function": {"name": "stop"}},
    ]);
    tools
        .as_array()
        .unwrap()
        .iter()
        .map(|t| t.to_string().parse().unwrap())
        .collect()
}

fn calls(form: ToolForm, parallel: bool) -> ToolCalls {
    let tools = tools();
    ToolCalls {
        format: AnswerFormat::default()
            .with_tools(form)
            .with_schemas(&tools),
        tools,
        parallel,
        opened: false,
        loose: false,
    }
}

/// The calls in a text, and what else there is.
fn parse(format: &AnswerFormat, text: &str) -> (Vec<(String, Value)>, String) {
    let mut parser = AnswerParser::new(format.clone());
    let pieces = parser.push(text).into_iter().chain(parser.finish());
    let (mut calls, mut content) = (Vec::new(), String::new());
    for piece in pieces {
        match piece {
            Piece::ToolCallBegin { name, .. } => calls.push((name, String::new())),
            Piece::ToolCallArguments { delta, .. } => calls.last_mut().unwrap().1.push_str(&delta),
            Piece::Content(text) => content.push_str(&text),
            _ => {}
        }
    }
    let calls = calls.into_iter().map(|(name, arguments)| {
        let read = serde_json::from_str(&arguments);
        (name, read.unwrap_or_else(|e| panic!("{e}: {text}")))
    });
    (calls.collect(), content)
}

fn check(name: &str, arguments: &Value) {
    let arguments = arguments.as_object().expect("an object");
    if name == "stop" {
        assert!(arguments.is_empty());
        return;
    }
    assert_eq!(name, "weather");
    let place = arguments["place"].as_str().expect("a place");
    assert!((1..=4).contains(&place.chars().count()), "{place:?}");
    assert!((1..=9).contains(&arguments["days"].as_i64().expect("days")));
    if let Some(unit) = arguments.get("unit") {
        assert!(unit == "celsius" || unit == "kelvin");
    }
    if let Some(at) = arguments.get("at") {
        let at = at.as_array().expect("a list");
        assert!(at.len() <= 2 && at.iter().all(Value::is_boolean));
    }
}

#[test]
fn every_text_of_the_grammar_is_read_as_calls_of_the_tools() {
    let with_marks = vocabulary();
    let without = vocabulary_with(&ADDED[..3]);
    for (vocabulary, form, parallel) in [
        (&with_marks, ToolForm::Qwen35, true),
        (&with_marks, ToolForm::Qwen3, true),
        (&without, ToolForm::Qwen35, false),
        (&without, ToolForm::Qwen3, false),
    ] {
        let calls = calls(form, parallel);
        let guide = guide(vocabulary, Grammar::Tools(calls.clone())).expect("a guide");
        let (mut ended, mut found) = (0, 0);
        for seed in 0..30 {
            let mut rng = StdRng::seed_from_u64(seed);
            let (text, end) = walk(vocabulary, &mut *guide.mask(), &mut rng, 1500);
            if !end {
                continue;
            }
            ended += 1;
            let text = decode(vocabulary, &text);
            let (calls, content) = parse(&calls.format, &text);
            assert_eq!(content.trim(), "", "{text}");
            assert!(
                !calls.is_empty() && (parallel || calls.len() == 1),
                "{text}"
            );
            calls
                .iter()
                .for_each(|(name, arguments)| check(name, arguments));
            found += calls.len();
        }
        assert!(ended > 20, "{form:?}: {ended}");
        assert_eq!(found > ended, parallel);
    }
}

#[test]
fn free_text_may_call_a_tool_and_then_the_form_holds() {
    let vocabulary = vocabulary();
    let after = ToolCalls {
        opened: true,
        ..calls(ToolForm::Qwen35, true)
    };
    let marks = vec![("<tool_call>".into(), Grammar::Tools(after))];
    let guide = Arc::new(Guide::new(&vocabulary, &Plan::default().marks(marks)).unwrap());
    let mut mask = guide.mask();
    let mut text = bytes(&vocabulary, "I shall look. ");
    assert!(allowed(&vocabulary, &mut *mask, &text).len() > 250);
    text.push(id(&vocabulary, "<tool_call>"));
    assert_eq!(
        allowed(&vocabulary, &mut *mask, &text),
        [id(&vocabulary, "\n")].into()
    );
}

#[test]
fn a_tool_that_is_not_strict_is_called_though_its_schema_cannot_be_enforced() {
    let vocabulary = vocabulary();
    let with = |strict: bool, form| {
        let tool = json!({"function": {"name": "f", "strict": strict, "parameters": {
            "type": "object", "properties": {"a": {"type": "array", "$ref": "http://elsewhere"}},
        }}});
        let tools: Vec<Json> = vec![tool.to_string().parse().unwrap()];
        let format = AnswerFormat::default()
            .with_tools(form)
            .with_schemas(&tools);
        guide(
            &vocabulary,
            Grammar::Tools(ToolCalls {
                tools,
                format,
                ..calls(form, false)
            }),
        )
    };
    for form in [ToolForm::Qwen3, ToolForm::Qwen35] {
        assert!(with(false, form).is_ok());
        let refused = with(true, form).unwrap_err().to_string();
        assert!(refused.contains("elsewhere"), "{refused}");
    }
}

#[test]
fn tools_that_cannot_be_written_are_refused() {
    let vocabulary = vocabulary();
    let refused = |tool: Value, form| {
        let tools: Vec<Json> = vec![tool.to_string().parse().unwrap()];
        let format = AnswerFormat::default()
            .with_tools(form)
            .with_schemas(&tools);
        let calls = ToolCalls {
            tools,
            format,
            ..calls(form, false)
        };
        guide(&vocabulary, Grammar::Tools(calls))
            .unwrap_err()
            .to_string()
    };
    let parameter = json!({"function": {"name": "f", "parameters": {"properties": {"a>": {}}}}});
    let value = json!({"function": {"name": "f", "parameters": {
        "properties": {"a": {"enum": ["</parameter>"]}},
    }}});
    let told = [
        refused(json!({"name": ""}), ToolForm::Qwen35),
        refused(json!({"name": "a<b"}), ToolForm::Qwen3),
        refused(parameter, ToolForm::Qwen35),
        refused(value, ToolForm::Qwen35),
        refused(json!({"name": "f"}), ToolForm::None),
    ];
    insta::assert_snapshot!(told.join("\n"));
}
