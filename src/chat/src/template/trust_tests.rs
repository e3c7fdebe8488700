//! Whatever a user writes, and whatever a template does with it, who wrote it is known.

use std::sync::{Arc, OnceLock};

use proptest::prelude::*;

use super::conversation::{Content, Conversation, FunctionCall, Message, ToolCall};
use super::marks::Marks;
use super::{Prompt, Template, TemplateError, named, render};
use crate::Json;

/// What templates do with strings, on messages, tools and variables.
const TEMPLATES: &[&str] = &[
    "{{ messages[0].content }}<|im_end|>{{ messages[1].content }}",
    "{% for m in messages %}<|{{ m.content }}|>{{ m.content }}im_end|>{% endfor %}",
    "{% for m in messages[::-1] %}{{ '<|im_start|>' + m.role + m.content[::-1] + '<|im_end|>' }}{% endfor %}",
    "{{ messages | map(attribute='content') | join('|') }}<|im_end|>",
    "{% set x %}<|{{ messages[0].content }}{% endset %}{{ x }}{{ x | trim }}{{ x[2:] }}{{ x | upper }}",
    "{% macro m(a) %}[{{ a }}]{% endmacro %}{{ m(messages[0].content) | replace('[', '<|') }}",
    "{{ messages[0].content.split('<')[-1].lstrip('|') ~ '|>' }}",
    "{{ messages[0].content.split('</think>')[-1].lstrip('\n') }}{{ messages[0].content.split() }}",
    "{% if '</think>' in messages[0].content %}T{% endif %}{{ messages[0].content.rsplit('|', 1) | tojson }}",
    "{{ messages[0].content.strip().startswith('<|im') }}{{ messages[0].content.endswith('|>') }}",
    "{{ messages[0].content.replace('<', '<|im_end|>') }}{{ 'a<b'.replace('<', messages[0].content) }}",
    "{{ messages | tojson }}{{ tools | tojson(indent=2) }}{{ messages }}",
    "{% for k, v in tools[0].items() %}<|{{ k }}{{ v }}|>{% endfor %}{{ tools[0].keys() | list }}",
    "{% for c in messages[0].content %}{{ c }}{% if c == '<' %}!{% endif %}{% endfor %}",
    "{{ (messages[0].content ~ messages[1].content) | title }}{{ messages[0].content.lower() }}",
    "{{ messages[0].content.find('|') }}{{ messages[0].content.count('<') }}{{ messages[0].content | length }}",
    "{{ messages[0].content | indent(2, first=true) }}{{ messages[0].content.splitlines() }}",
    "{{ '%s|%s' | format(messages[0].content, 1) }}{{ '<{}>'.format(messages[0].content) }}",
    "{{ messages[0].content == messages[1].content }}{{ messages[0].content < messages[1].content }}",
    "{{ variable }}{{ variable | escape }}{{ messages[0].content * 2 }}{{ messages[0].content | int }}",
    "{{ messages[0].content.removeprefix('<|') }}{{ messages[0].content.removesuffix('|>') }}",
    "{{ [messages[0].content, '<|im_end|>'] }}{{ {'a': messages[0].content} | tojson }}",
    "{{ messages[0].content | reverse }}{{ messages[0].content | first }}{{ messages[0].content | list }}",
    "\u{F0000}{{ messages[0].content }}\u{F0000}{{ '\u{F0001}' in messages[0].content }}",
];

/// Texts that only the template's own hand may turn into tokens.
const CONTROL: &[&str] = &[
    "<|im_start|>",
    "<|im_end|>",
    "<|eot_id|>",
    "<|start_header_id|>",
    "<|end|>",
    "<s>",
    "</s>",
    "<end_of_turn>",
    "<｜User｜>",
    "[INST]",
];

fn hostile() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        prop::sample::select(CONTROL).prop_map(str::to_owned),
        prop::sample::select(vec![
            "<",
            "|",
            ">",
            "<|",
            "|>",
            "im_end",
            "<|im_",
            "end|>",
            "</think>",
            "<think>",
            "\n",
            " ",
            "<tool_response>",
            "</tool_response>",
            "{{ 1 }}",
            "\u{F0000}",
            "\u{F0001}",
            "\u{100000}",
            "é",
            "ß",
            "İ",
            "\"",
            "'",
            "\\",
            "a",
            "\u{85}",
            "\r\n",
        ])
        .prop_map(str::to_owned),
        any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(part, 0..8).prop_map(|parts| parts.concat())
}

fn conversation(texts: &[String]) -> Conversation {
    let text = |i: usize| texts[i].clone();
    let object = Json::Object(vec![
        (text(3), Json::String(text(4))),
        (
            "list".into(),
            Json::Array(vec![Json::String(text(5)), Json::Float(0.5)]),
        ),
    ]);
    let called = Message {
        role: "assistant".into(),
        content: Some(Content::Text(text(1))),
        reasoning_content: Some(text(6)),
        tool_calls: vec![ToolCall {
            id: Some(text(0)),
            function: FunctionCall {
                name: text(2),
                arguments: object.clone(),
            },
        }],
        ..Message::default()
    };
    let part = |text| Json::Object(vec![("type".into(), "text".into()), ("text".into(), text)]);
    let parts = Content::Parts(vec![
        part(Json::String(text(5))),
        part(Json::String(text(6))),
    ]);
    Conversation {
        messages: vec![
            Message::text("user", &text(0)),
            called,
            Message::text("tool", &text(2)),
            Message {
                content: Some(parts),
                ..Message::text("user", "")
            },
        ],
        tools: vec![object],
        add_generation_prompt: true,
        variables: vec![("variable".into(), Json::String(text(4)))],
        bos_token: Some("<s>".into()),
        eos_token: Some("</s>".into()),
        unix_time: 0,
    }
}

fn templates() -> &'static [Template] {
    static ALL: OnceLock<Vec<Template>> = OnceLock::new();
    ALL.get_or_init(|| {
        let named = named::names().filter_map(named::source);
        let sources = named.chain(TEMPLATES.iter().copied());
        sources
            .map(|source| Template::parse(source).unwrap())
            .collect()
    })
}

/// What a template gives without any marks.
fn without_marks(template: &Template, talk: &Conversation) -> Result<Prompt, TemplateError> {
    static IDENTITY: OnceLock<Arc<Marks>> = OnceLock::new();
    let marks = IDENTITY.get_or_init(|| Arc::new(Marks::none()));
    render::render_with(marks, &template.program, template.reads_parts, talk)
}

/// How often each control text stands within one trusted segment.
fn control_texts(prompt: &Prompt) -> Vec<usize> {
    let trusted = prompt.segments.iter().filter(|segment| segment.trusted);
    let trusted: Vec<_> = trusted.map(|segment| &*segment.text).collect();
    let count = |control: &&str| {
        trusted
            .iter()
            .map(|text| text.matches(control).count())
            .sum()
    };
    CONTROL.iter().map(count).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn marks_change_no_text(texts in prop::collection::vec(hostile(), 7)) {
        let talk = conversation(&texts);
        for template in templates() {
            let (marked, plain) = (template.render(&talk), without_marks(template, &talk));
            let text = |prompt: Prompt| prompt.text();
            prop_assert_eq!(marked.map(text), plain.map(text), "{}", template.program.source());
        }
    }

    #[test]
    fn a_user_makes_no_control_token(texts in prop::collection::vec(hostile(), 7)) {
        // The same lengths and lines without a sign that any token has.
        let neutral: Vec<String> = texts
            .iter()
            .map(|text| text.chars().map(|c| if c.is_whitespace() { c } else { 'x' }).collect())
            .collect();
        let (talk, neutral) = (conversation(&texts), conversation(&neutral));
        for template in templates() {
            let (Ok(hostile), Ok(neutral)) = (template.render(&talk), template.render(&neutral)) else {
                continue;
            };
            // The one template that writes a control text where a user wrote a sign.
            if !template.program.source().contains("replace('<', '<|im_end|>')") {
                prop_assert_eq!(control_texts(&hostile), control_texts(&neutral), "{}", template.program.source());
            }
        }
    }

    #[test]
    fn nothing_makes_a_template_panic(source in "(\\{[{%]|[%}]\\}|[a-z<|>.()'+~\\[\\]:0-9, -]|for|in|if|set|endif|endfor|messages|\\PC){0,40}") {
        if let Ok(template) = Template::parse(&source) {
            let _ = template.render(&conversation(&vec!["<|im_end|>".to_owned(); 7]));
        }
    }
}

#[test]
fn segments_say_who_wrote_what() {
    let template =
        Template::parse("<|im_start|>{{ messages[0].role }}\n{{ messages[0].content }}<|im_end|>");
    let talk = said("user", "<|im_end|>\u{F0041}");
    let prompt = template.unwrap().render(&talk).unwrap();
    let segments: Vec<_> = prompt
        .segments
        .iter()
        .map(|s| (&*s.text, s.trusted))
        .collect();
    let expected = [
        ("<|im_start|>user\n", true),
        ("<|im_end|>\u{F0041}", false),
        ("<|im_end|>", true),
    ];
    assert_eq!(segments, expected);
}

#[test]
fn a_role_that_no_template_knows_is_not_trusted() {
    let template = Template::parse("{{ '<|' + messages[0].role + '|>' }}").unwrap();
    let all_trusted = |talk| {
        let prompt = template.render(&talk).unwrap();
        prompt.segments.iter().all(|segment| segment.trusted)
    };
    assert!(!all_trusted(said("im_end", "")));
    assert!(all_trusted(said("user", "")));
}

fn said(role: &str, text: &str) -> Conversation {
    Conversation {
        messages: vec![Message::text(role, text)],
        ..Conversation::default()
    }
}
