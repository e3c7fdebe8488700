//! What templates make of conversations.

use sharpi_chat::template::{Content, Conversation, FunctionCall, Message, ToolCall, named};
use sharpi_chat::{Json, Template, TemplateError};

fn conversation(messages: &[(&str, &str)]) -> Conversation {
    Conversation {
        messages: messages
            .iter()
            .map(|(role, text)| Message::text(role, text))
            .collect(),
        add_generation_prompt: true,
        bos_token: Some("<s>".into()),
        eos_token: Some("</s>".into()),
        ..Conversation::default()
    }
}

fn json(text: &str) -> Json {
    text.parse().unwrap()
}

#[track_caller]
fn render(template: &str, conversation: &Conversation) -> String {
    let template = Template::named(template).unwrap_or_else(|| Template::parse(template).unwrap());
    template.render(conversation).unwrap().text()
}

#[track_caller]
fn check(template: &str, expected: &str) {
    assert_eq!(
        render(template, &conversation(&[("user", "Hi <b>")])),
        expected
    );
}

#[track_caller]
fn error(template: &str, conversation: &Conversation) -> String {
    let rendered = Template::parse(template).and_then(|t| t.render(conversation));
    rendered.unwrap_err().to_string()
}

#[test]
fn every_named_template_is_well_formed() {
    for name in named::names() {
        Template::parse(named::source(name).unwrap()).unwrap();
    }
    assert!(named::names().is_sorted());
    assert!(Template::named("chatml2").is_none());
}

#[test]
fn chatml_is_one_block_a_message() {
    let talk = conversation(&[
        ("system", "Be brief."),
        ("user", "Hi"),
        ("assistant", "Hello"),
    ]);
    let expected = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n\
                    <|im_start|>assistant\nHello<|im_end|>\n<|im_start|>assistant\n";
    assert_eq!(render("chatml", &talk), expected);
}

#[test]
fn other_named_templates_have_their_own_forms() {
    let talk = conversation(&[
        ("system", "S"),
        ("user", "U"),
        ("assistant", "A"),
        ("user", "V"),
    ]);
    let cases = [
        (
            "llama3",
            "<s><|start_header_id|>system<|end_header_id|>\n\nS<|eot_id|>\
             <|start_header_id|>user<|end_header_id|>\n\nU<|eot_id|>\
             <|start_header_id|>assistant<|end_header_id|>\n\nA<|eot_id|>\
             <|start_header_id|>user<|end_header_id|>\n\nV<|eot_id|>\
             <|start_header_id|>assistant<|end_header_id|>\n\n",
        ),
        (
            "llama2",
            "<s>[INST] <<SYS>>\nS\n<</SYS>>\n\nU [/INST] A </s><s>[INST] V [/INST]",
        ),
        ("mistral", "<s>[INST] S\n\nU[/INST] A</s>[INST] V[/INST]"),
        (
            "gemma",
            "<s><start_of_turn>user\nS\n\nU<end_of_turn>\n<start_of_turn>model\nA<end_of_turn>\n\
             <start_of_turn>user\nV<end_of_turn>\n<start_of_turn>model\n",
        ),
        (
            "phi3",
            "<|system|>\nS<|end|>\n<|user|>\nU<|end|>\n<|assistant|>\nA<|end|>\n\
             <|user|>\nV<|end|>\n<|assistant|>\n",
        ),
        (
            "deepseek",
            "<s>S<｜User｜>U<｜Assistant｜>A<｜end▁of▁sentence｜><｜User｜>V<｜Assistant｜>",
        ),
    ];
    for (name, expected) in cases {
        assert_eq!(render(name, &talk), expected, "{name}");
    }
}

/// A question, a call of a tool, its answer.
fn with_tools() -> Conversation {
    let tool = json(
        r#"{"type": "function", "function": {"name": "weather", "description": "It's <b>",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}"#,
    );
    let call = Message {
        role: "assistant".into(),
        reasoning_content: Some("\nLook it up.\n".into()),
        tool_calls: vec![ToolCall {
            id: Some("1".into()),
            function: FunctionCall {
                name: "weather".into(),
                arguments: r#"{"city": "Ωmega", "days": [1, 2.0], "x": true}"#.into(),
            },
        }],
        ..Message::default()
    };
    let mut talk = conversation(&[("user", "Weather?")]);
    talk.messages.push(call);
    talk.messages.push(Message::text("tool", "Rain"));
    talk.messages.push(Message::text("tool", "Wind"));
    talk.tools = vec![tool];
    talk
}

#[test]
fn qwen3_shows_tools_and_calls_as_json() {
    let prompt = render("qwen3", &with_tools());
    let tool = r#"<tools>
{"type": "function", "function": {"name": "weather", "description": "It's <b>", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}
</tools>"#;
    assert!(prompt.contains(tool), "{prompt}");
    let expected = r#"<|im_start|>user
Weather?<|im_end|>
<|im_start|>assistant
<think>
Look it up.
</think>

<tool_call>
{"name": "weather", "arguments": {"city": "Ωmega", "days": [1, 2.0], "x": true}}
</tool_call><|im_end|>
<|im_start|>user
<tool_response>
Rain
</tool_response>
<tool_response>
Wind
</tool_response><|im_end|>
<|im_start|>assistant
"#;
    assert!(prompt.ends_with(expected), "{prompt}");
}

#[test]
fn qwen3_5_shows_calls_parameter_by_parameter_and_begins_to_think() {
    let prompt = render("qwen3.5", &with_tools());
    let expected = r#"<|im_start|>assistant
<think>
Look it up.
</think>

<tool_call>
<function=weather>
<parameter=city>
Ωmega
</parameter>
<parameter=days>
[1, 2.0]
</parameter>
<parameter=x>
true
</parameter>
</function>
</tool_call><|im_end|>
<|im_start|>user
<tool_response>
Rain
</tool_response>
<tool_response>
Wind
</tool_response><|im_end|>
<|im_start|>assistant
<think>
"#;
    assert!(prompt.ends_with(expected), "{prompt}");
}

#[test]
fn thinking_can_be_switched_off_and_old_thoughts_are_left_out() {
    let mut talk = conversation(&[
        ("user", "1"),
        ("assistant", "<think>\nhm\n</think>\n\nOne"),
        ("user", "2"),
    ]);
    talk.variables = vec![("enable_thinking".into(), Json::Bool(false))];
    let expected = "<|im_start|>user\n1<|im_end|>\n<|im_start|>assistant\nOne<|im_end|>\n\
                    <|im_start|>user\n2<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n";
    assert_eq!(render("qwen3", &talk), expected);
    assert_eq!(render("qwen3.5", &talk), expected);
}

#[test]
fn content_in_parts_is_read_or_joined() {
    let mut talk = conversation(&[]);
    let parts = |text| match json(text) {
        Json::Array(parts) => Some(Content::Parts(parts)),
        _ => None,
    };
    talk.messages = vec![Message {
        content: parts(r#"[{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]"#),
        ..Message::text("user", "")
    }];
    assert!(render("qwen3.5", &talk).starts_with("<|im_start|>user\nab<|im_end|>"));
    assert!(render("chatml", &talk).starts_with("<|im_start|>user\na\nb<|im_end|>"));
    talk.messages[0].content = parts(r#"[{"type": "image_url", "image_url": "x"}]"#);
    let error = Template::named("qwen3.5")
        .unwrap()
        .render(&talk)
        .unwrap_err();
    let TemplateError::Raised { message, place } = error else {
        panic!("{error}");
    };
    assert_eq!(message, "content of type image_url is not supported");
    assert_eq!(place.unwrap().line, 7);
}

#[test]
fn strings_have_pythons_methods() {
    check("{{ 'a-b-c'.split('-')[1:] | join('+') }}", "b+c");
    check("{{ 'a b  c '.split() }}", "['a', 'b', 'c']");
    check("{{ 'a b  c '.split(none, 1) }}", "['a', 'b  c ']");
    check("{{ 'a-b-c'.rsplit('-', 1) }}", "['a-b', 'c']");
    check("{{ messages[0].content.strip('>H') }}", "i <b");
    check("{{ messages[0].content.upper() }}", "HI <B>");
    check("{{ messages[0].content.lower().title() }}", "Hi <B>");
    check(
        "{{ messages[0].content.replace('<', '[').replace('i', '', 1) }}",
        "H [b>",
    );
    check("{{ messages[0].content.find('<') }}", "3");
    check("{{ messages[0].content.count('b') }}", "1");
    check(
        "{{ messages[0].content.removeprefix('Hi').removesuffix('>') }}",
        " <b",
    );
    check("{{ 'a\nb\n'.splitlines() | length }}", "2");
    check("{{ '{}={}'.format('k', messages[0].content) }}", "k=Hi <b>");
    check("{{ '%s!' | format(messages[0].content) }}", "Hi <b>!");
    check(
        "{{ {'a': 1}.get('b', 2) }}{{ {'a': 1}.items() | list }}",
        "2[('a', 1)]",
    );
    check("{{ messages[0].content[::-1] }}", ">b< iH");
    check("{{ messages[0].content[-1] }}", ">");
    check("{{ 'a\n\nb' | indent(2, true) }}", "  a\n\n  b");
    check("{{ ' 12 ' | int }}{{ (1,) }}", "12(1,)");
}

#[test]
fn untrusted_text_compares_as_it_is() {
    check("{{ messages[0].content == 'Hi <b>' }}", "True");
    check("{{ 'Hi <b>' != messages[0].content }}", "False");
    check(
        "{{ '<b' in messages[0].content }}{{ '<c' not in messages[0].content }}",
        "TrueTrue",
    );
    check("{{ messages[0].content in ['x', 'Hi <b>'] }}", "True");
    check("{{ ['Hi <b>'] == [messages[0].content] }}", "True");
    check("{{ messages[0].content < 'Hj' }}", "True");
    check("{{ messages[0].content.startswith('Hi') }}", "True");
    check("{{ messages[0].content.endswith(('x', 'b>')) }}", "True");
    check("{{ messages[0].content is startingwith('Hi') }}", "True");
    check(
        "{{ messages | selectattr('content', 'equalto', 'Hi <b>') | list | length }}",
        "1",
    );
    check("{{ {'Hi <b>': 1}[messages[0].content] }}", "1");
    check("{{ messages[0].content | length }}", "6");
    check("{{ 0 < messages | length < 2 }}", "True");
    check(
        "{{ 'content' in messages[0] }}{{ messages[0]['role'] }}",
        "Trueuser",
    );
}

#[test]
fn blocks_take_the_line_they_stand_on() {
    check("a\n  {% if true %}\nb\n  {% endif %}\nc\n", "a\nb\nc");
    check("{% generation %}x{% endgeneration %}", "x");
    check(
        "{% for i in range(3) %}{% if i == 1 %}{% continue %}{% endif %}{{ i }}{% endfor %}",
        "02",
    );
}

#[test]
fn json_is_pythons() {
    let mut talk = conversation(&[]);
    talk.tools = vec![json(
        r#"{"b": "<é>\"\u0007", "a": [1, 1.0, 1e20, null, {}], "c": []}"#,
    )];
    let check = |template, expected| assert_eq!(render(template, &talk), expected);
    check(
        "{{ tools[0] | tojson }}",
        r#"{"b": "<é>\"\u0007", "a": [1, 1.0, 1e+20, null, {}], "c": []}"#,
    );
    check(
        "{{ tools[0].a | tojson(indent=2) }}",
        "[\n  1,\n  1.0,\n  1e+20,\n  null,\n  {}\n]",
    );
    check(
        "{{ tools[0] | tojson(ensure_ascii=true, sort_keys=true, separators=(',', ':')) }}",
        r#"{"a":[1,1.0,1e+20,null,{}],"b":"<\u00e9>\"\u0007","c":[]}"#,
    );
    check("{{ tools[0].b }}", "<é>\"\u{7}");
    check(
        "{{ {'a': none, 'b': [true, 'x']} }}",
        "{'a': None, 'b': [True, 'x']}",
    );
}

#[test]
fn the_date_is_the_callers() {
    let mut talk = conversation(&[]);
    talk.unix_time = 951_782_400;
    assert_eq!(
        render("{{ strftime_now('%d %b %Y') }}", &talk),
        "29 Feb 2000"
    );
    assert!(error("{{ strftime_now('%!') }}", &talk).contains("line 1, column"));
}

#[test]
fn errors_name_the_place() {
    let talk = conversation(&[("user", "x\u{F0000}")]);
    let cases = [
        (
            "a\n{{ b c }}",
            "chat template, line 2, column 6: syntax error: unexpected identifier, expected end of variable block",
        ),
        (
            "\n {% include 'x' %}",
            "chat template, line 2, column 5: syntax error: unknown statement include",
        ),
        (
            "{{ 1 +\n nothing.a.b }}",
            "chat template, line 2, column 2: undefined value: `nothing` is undefined",
        ),
        (
            "{{ messages[0].content | nope }}",
            "chat template, line 1, column 26: unknown filter: filter nope is unknown",
        ),
        (
            "{{ raise_exception('no: ' ~ messages[0].content) }}",
            "the chat template refuses the conversation: no: x\\u{f0000}",
        ),
    ];
    for (template, expected) in cases {
        assert_eq!(error(template, &talk), expected);
    }
}
