use proptest::prelude::*;

use super::{AnswerFormat, AnswerParser, Piece, ToolForm};
use crate::Json;
use crate::template::named;

fn format(tools: ToolForm) -> AnswerFormat {
    let schemas = r#"[{"type": "function", "function": {"name": "f", "parameters": {"properties": {
        "s": {"type": "string"}, "n": {"type": ["string", "null"]}, "i": {"type": "integer"},
        "o": {"type": "object"}}}}}]"#;
    let Ok(Json::Array(schemas)) = schemas.parse() else {
        panic!("no list");
    };
    let format = AnswerFormat::default()
        .with_reasoning(true)
        .with_tools(tools);
    format.with_schemas(&schemas)
}

/// An answer in a line a piece, from text that comes in these chunks.
fn parse<'c>(format: AnswerFormat, chunks: impl IntoIterator<Item = &'c str>) -> Vec<String> {
    let mut parser = AnswerParser::new(format);
    let mut pieces = Vec::new();
    for chunk in chunks {
        pieces.extend(parser.push(chunk));
    }
    pieces.extend(parser.finish());
    assert_eq!(parser.finish(), []);
    let mut lines: Vec<(String, String)> = Vec::new();
    for piece in pieces {
        let (kind, text) = match piece {
            Piece::Reasoning(text) => ("reasoning".to_owned(), text),
            Piece::Content(text) => ("content".to_owned(), text),
            Piece::ToolCallBegin { index, name } => (format!("begin {index}"), name),
            Piece::ToolCallArguments { index, delta } => (format!("arguments {index}"), delta),
            Piece::ToolCallEnd { index } => (format!("end {index}"), String::new()),
        };
        assert!(
            !text.is_empty() || kind.starts_with("end"),
            "an empty piece of {kind}"
        );
        match lines.last_mut() {
            Some((last, more)) if *last == kind => more.push_str(&text),
            _ => lines.push((kind, text)),
        }
    }
    let lines = lines.into_iter();
    lines
        .map(|(kind, text)| format!("{kind}: {text}").trim_end_matches(' ').to_owned())
        .collect()
}

#[track_caller]
fn check(format: AnswerFormat, answer: &str, expected: &[&str]) {
    assert_eq!(parse(format.clone(), [answer]), expected);
    let letters = answer
        .char_indices()
        .map(|(at, c)| &answer[at..at + c.len_utf8()]);
    assert_eq!(parse(format, letters), expected, "letter by letter");
}

#[test]
fn reasoning_ends_at_its_mark() {
    let format = format(ToolForm::None);
    check(
        format.clone(),
        "<think>\nIs <b> 1 < 2?\n</think>\n\nYes.",
        &["reasoning: Is <b> 1 < 2?", "content: Yes."],
    );
    check(format.clone(), "Yes.</think>", &["content: Yes.</think>"]);
    check(format.clone(), "<think>\nIs", &["reasoning: Is"]);
    check(
        format.clone(),
        "<think>\n\n</think>\n\n\nYes",
        &["content: \nYes"],
    );
    check(format.clone(), "  <thin", &["content:   <thin"]);
    let within = format.after("<|im_start|>assistant\n<think>\n");
    check(
        within.clone(),
        "So.\n</think>\n\nYes.",
        &["reasoning: So.", "content: Yes."],
    );
    check(
        within.clone(),
        "<think>So.</think>Yes.",
        &["reasoning: So.", "content: Yes."],
    );
    let none = within.with_reasoning(false);
    check(
        none,
        "So.\n</think>\n\nYes.",
        &["content: So.\n</think>\n\nYes."],
    );
}

#[test]
fn calls_are_read_parameter_by_parameter() {
    check(
        format(ToolForm::Qwen35),
        "Wait.\n\n<tool_call>\n<function=f>\n<parameter=s>\n<a href=\"x\">\n</parameter> \\é\n\n\
         </parameter>\n<parameter=i>\n7\n</parameter>\n<parameter=o>\n{\"a\": [1.0, \"<\"]}\n\
         </parameter>\n<parameter=n>\nnull\n</parameter>\n<parameter=else>\nTrue\n</parameter>\n\
         </function>\n</tool_call>\n<tool_call>\n<function=g>\n</function>\n</tool_call>\n",
        &[
            "content: Wait.",
            "begin 0: f",
            r#"arguments 0: {"s": "<a href=\"x\">\n</parameter> \\é\n", "i": 7, "o": {"a": [1.0, "<"]}, "n": null, "else": "True"}"#,
            "end 0:",
            "begin 1: g",
            "arguments 1: {}",
            "end 1:",
        ],
    );
}

#[test]
fn calls_are_read_as_json() {
    check(
        format(ToolForm::Qwen3),
        "<think>\nhm\n</think>\n\nOk\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": \
         {\"b\": \"</tool_call> \\\"}\"}, \"c\": [1, 2.50]}}\n</tool_call>\n\
         <tool_call>{\"arguments\": \"{\\\"x\\\":1}\", \"name\": \"g\"}</tool_call> bye",
        &[
            "reasoning: hm",
            "content: Ok",
            "begin 0: f",
            r#"arguments 0: {"a":{"b":"</tool_call> \"}"},"c":[1,2.5]}"#,
            "end 0:",
            "begin 1: g",
            r#"arguments 1: {"x":1}"#,
            "end 1:",
            "content:  bye",
        ],
    );
}

#[test]
fn a_call_ends_reasoning() {
    let within = format(ToolForm::Qwen35).after("<think>\n");
    let call = "<tool_call>\n<function=f>\n</function>\n</tool_call>";
    check(
        within.clone(),
        &format!("Look.\n{call}"),
        &[
            "reasoning: Look.",
            "begin 0: f",
            "arguments 0: {}",
            "end 0:",
        ],
    );
    check(
        within,
        "I could write <tool_call> here.\n</think>\n\nNo.",
        &["reasoning: I could write <tool_call> here.", "content: No."],
    );
}

#[test]
fn what_breaks_the_form_stays_content() {
    for text in [
        "<tool_call>\nf(1)\n</tool_call>",
        "<tool_call>\n<function=>\n</function>\n</tool_call>",
        "<tool_call>\n<function=a\nb>",
        "<tool_call>\n<function=f",
        "a\n\n<tool_call>",
        "<tool_call",
        "\n\n\n",
    ] {
        check(
            format(ToolForm::Qwen35),
            text,
            &[&format!("content: {text}")],
        );
    }
    for text in [
        "<tool_call>\nf(1)\n</tool_call>",
        "<tool_call>\n{\"name\": 1}\n</tool_call>",
        "<tool_call>\n{\"name\": \"f\", \"arguments\": []}\n</tool_call>",
        "<tool_call>\n{\"name\": \"f\"} {}\n</tool_call>",
        "<tool_call>\n{]\n</tool_call>",
        "<tool_call>\n{\"name\": \"f\", \"arg",
    ] {
        check(
            format(ToolForm::Qwen3),
            text,
            &[&format!("content: {text}")],
        );
        check(format(ToolForm::None), text, &[&format!("content: {text}")]);
    }
}

#[test]
fn a_broken_call_may_have_a_call_within() {
    check(
        format(ToolForm::Qwen3),
        "<tool_call><tool_call>\n{\"name\": \"f\"}\n</tool_call>",
        &[
            "content: <tool_call>",
            "begin 0: f",
            "arguments 0: {}",
            "end 0:",
        ],
    );
}

#[test]
fn a_call_that_breaks_behind_its_name_stays_open() {
    check(
        format(ToolForm::Qwen35),
        "<tool_call>\n<function=f>\n<parameter=s>\nx\n</parameter>\n</function> bye",
        &[
            "begin 0: f",
            r#"arguments 0: {"s": "x"}"#,
            "end 0:",
            "content:  bye",
        ],
    );
    check(
        format(ToolForm::Qwen35),
        "<tool_call>\n<function=f>\nwhat?",
        &["begin 0: f", "content: \nwhat?"],
    );
}

#[test]
fn a_call_may_be_unfinished() {
    let start = "<tool_call>\n<function=f>\n<parameter=";
    for (rest, arguments) in [
        ("s>\nab", r#"{"s": "ab"#),
        ("s>\nab\n</param", r#"{"s": "ab\n</param"#),
        ("s>\nab\n</parameter>", r#"{"s": "ab""#),
        ("i>\n12", r#"{"i": 12"#),
        ("o>\n{\"a\": ", r#"{"o": {"a": "#),
        ("n>\nnu", r#"{"n": "nu"#),
    ] {
        let arguments = format!("arguments 0: {arguments}");
        let expected = ["begin 0: f", arguments.trim_end()];
        check(
            format(ToolForm::Qwen35),
            &format!("{start}{rest}"),
            &expected,
        );
    }
}

#[test]
fn text_comes_as_soon_as_it_is_certain() {
    let mut parser = AnswerParser::new(format(ToolForm::Qwen35));
    let content = |text: &str| vec![Piece::Content(text.to_owned())];
    assert_eq!(parser.push("a"), content("a"));
    assert_eq!(parser.push(" <"), content(" "));
    assert_eq!(parser.push("b>\n"), content("<b>"));
    assert_eq!(parser.push("<tool_c"), []);
    assert_eq!(parser.push("an>"), content("\n<tool_can>"));
    parser.push("<tool_call>\n<function=f>\n<parameter=s>\n");
    let delta = |delta: &str| {
        let delta = delta.to_owned();
        vec![Piece::ToolCallArguments { index: 0, delta }]
    };
    assert_eq!(parser.push("long \"te"), delta("long \\\"te"));
    assert_eq!(parser.push("xt\n</p"), delta("xt"));
    assert_eq!(parser.push("re>"), delta("\\n</pre>"));
}

#[test]
fn the_form_is_found_in_the_template() {
    let detect = |name| AnswerFormat::detect(named::source(name).unwrap());
    assert_eq!(detect("qwen3.5").tools, ToolForm::Qwen35);
    assert_eq!(detect("qwen3").tools, ToolForm::Qwen3);
    assert!(detect("qwen3").reasoning && detect("deepseek").reasoning);
    assert_eq!(detect("llama3"), AnswerFormat::default());
}

/// Answers that are nearly in form.
fn answers() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        4 => prop::sample::select(vec![
            "<think>", "</think>", "<tool_call>", "</tool_call>", "<function=", "f>", "g>",
            "</function>", "<parameter=", "s>", "i>", "o>", "n>", "</parameter>", "\n", "\n\n", " ",
            "<", "</", ">", "{\"name\": \"f\", \"arguments\": {", "}}", "\"", "\\", "null", "7",
            "<tool_call>\n<function=f>\n<parameter=s>\n", "\n</parameter>\n", "é",
            "</function>\n</tool_call>\n", "<tool_call>\n{\"name\": \"f\"}\n</tool_call>",
        ]).prop_map(str::to_owned),
        1 => any::<String>(),
    ];
    prop::collection::vec(part, 0..16).prop_map(|parts| parts.concat())
}

fn formats() -> impl Strategy<Value = AnswerFormat> {
    let tools = prop::sample::select(vec![ToolForm::None, ToolForm::Qwen3, ToolForm::Qwen35]);
    (tools, any::<bool>(), any::<bool>()).prop_map(|(tools, reasoning, within)| {
        let format = format(tools).with_reasoning(reasoning);
        format.after(if within { "<think>\n" } else { "" })
    })
}

fn cut<'t>(text: &'t str, places: &[prop::sample::Index]) -> Vec<&'t str> {
    let ends: Vec<usize> = text
        .char_indices()
        .map(|(at, _)| at)
        .chain([text.len()])
        .collect();
    let mut cuts: Vec<usize> = places.iter().map(|place| *place.get(&ends)).collect();
    cuts.extend([0, text.len()]);
    cuts.sort_unstable();
    cuts.windows(2)
        .map(|pair| &text[pair[0]..pair[1]])
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn however_an_answer_is_cut_it_is_the_same(
        format in formats(),
        answer in answers(),
        places in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let whole = parse(format.clone(), [&*answer]);
        prop_assert_eq!(&parse(format.clone(), cut(&answer, &places)), &whole);
        let letters = answer.char_indices().map(|(at, c)| &answer[at..at + c.len_utf8()]);
        prop_assert_eq!(&parse(format, letters), &whole);
    }

    #[test]
    fn without_marks_an_answer_is_its_content(answer in answers()) {
        let format = AnswerFormat::default();
        let expected: Vec<_> = Some(format!("content: {answer}").trim_end_matches(' ').to_owned())
            .filter(|_| !answer.is_empty())
            .into_iter()
            .collect();
        prop_assert_eq!(parse(format, [&*answer]), expected);
    }

    #[test]
    fn of_text_only_marks_and_their_line_breaks_are_not_shown(format in formats(), answer in answers()) {
        let lines = parse(format, [&*answer]);
        if lines.iter().all(|line| !line.starts_with("begin")) {
            let shown = |line: &String| line.split_once(": ").map(|(_, text)| text.to_owned());
            let shown: String = lines.iter().filter_map(shown).collect();
            let bare = |text: &str| text.replace("<think>", "").replace("</think>", "").replace(['\n', ' '], "");
            prop_assert_eq!(bare(&bare(&shown)), bare(&bare(&answer)));
        }
    }

    #[test]
    fn complete_calls_have_json_for_arguments(format in formats(), answer in answers()) {
        let lines = parse(format, [&*answer]);
        for pair in lines.windows(2) {
            if pair[1].starts_with("end") {
                let (_, arguments) = pair[0].split_once(": ").unwrap();
                let json = arguments.parse::<Json>();
                prop_assert!(matches!(json, Ok(Json::Object(_))), "{arguments}");
            }
        }
    }
}
