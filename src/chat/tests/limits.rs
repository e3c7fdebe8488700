//! A template is an unknown hand's program: whatever it does, it ends soon.

use std::time::{Duration, Instant};

use sharpi_chat::template::{Conversation, Message};
use sharpi_chat::{Json, Template, TemplateError};

fn conversation() -> Conversation {
    Conversation {
        messages: vec![Message::text("user", "0123456789")],
        ..Conversation::default()
    }
}

#[track_caller]
fn render(source: &str) -> TemplateError {
    let start = Instant::now();
    let rendered = Template::parse(source).and_then(|t| t.render(&conversation()));
    let error = rendered.expect_err("a template without limits ended");
    assert!(
        start.elapsed() < Duration::from_secs(10),
        "{:?}",
        start.elapsed()
    );
    error
}

#[track_caller]
fn too_much(source: &str) {
    let error = render(source);
    assert!(
        matches!(error, TemplateError::TooMuchWork { .. }),
        "{error}"
    );
}

#[test]
fn endless_loops_are_stopped() {
    too_much(
        "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}\
         {% endfor %}{% endfor %}{% endfor %}",
    );
    too_much(
        "{% for a in range(9999) %}{% for b in range(9999) %}{{ a == b }}{% endfor %}{% endfor %}",
    );
}

#[test]
fn long_strings_are_never_made() {
    too_much("{{ 'a' * 1000000000 }}");
    too_much("{{ messages[0].content * 1000000000 }}");
    too_much(
        "{% set ns = namespace(a='aa') %}{% for i in range(99) %}{% set ns.a = ns.a + ns.a %}{% endfor %}",
    );
    too_much(
        "{% set ns = namespace(a='aa') %}{% for i in range(99) %}{% set ns.a = ns.a ~ ns.a %}{% endfor %}",
    );
    too_much(
        "{% set ns = namespace(a='aa') %}{% for i in range(99) %}{% set ns.a = ns.a.replace('a', 'aa') %}{% endfor %}",
    );
    too_much(
        "{% set ns = namespace(a='aa') %}{% for i in range(99) %}{% set ns.a = ns.a | replace('', 'aa') %}{% endfor %}",
    );
    too_much("{% set a = 'a' * 99999 %}{{ a.join(range(9999)) }}");
    too_much("{% set a = 'a' * 99999 %}{% for i in range(9999) %}{{ a }}{% endfor %}");
    too_much("{% set a = 'a\n' * 99999 %}{{ a | indent(1000) }}");
    too_much(
        "{% set ns = namespace(a=[1]) %}{% for i in range(99) %}{% set ns.a = [ns.a, ns.a] %}{% endfor %}{{ ns.a | tojson }}",
    );
    too_much("{% set a = 'a' * 999999 %}{% for i in range(9999) %}{{ a.count('a') }}{% endfor %}");
    too_much("{% set a = 'a' * 999999 %}{% for i in range(9999) %}{{ 'b' in a }}{% endfor %}");
    too_much(
        "{% set a = 'ab' * 99999 %}{% for i in range(9999) %}{{ a.split('b') | length }}{% endfor %}",
    );
    too_much(
        "{% set a = 'ab' * 99999 %}{% for i in range(9999) %}{{ (a | tojson) == a }}{% endfor %}",
    );
}

#[test]
fn long_messages_are_not_looked_at_for_ever() {
    let mut talk = conversation();
    talk.messages = vec![Message::text("user", &"x y".repeat(100_000))];
    let content = "messages[0].content";
    for work in [
        "C == 'a'",
        "C == C",
        "C < 'a'",
        "C in C",
        "'a' in C",
        "C in ['a', 'b']",
        "C is upper",
        "C is endingwith('a')",
        "C.startswith('a')",
        "C.split() | length",
        "C.strip('xy') | length",
        "C.removeprefix('a') | length",
        "C.isdigit()",
        "C.count('x')",
        "C.replace('z', 'a') | length",
        "C | upper | length",
        "C | tojson | length",
        "C | trim | length",
        "C[::-1] | length",
        "C[5]",
        "[C] | join | length",
        "[C] == [C]",
        "C ~ 'a'",
        "C | int",
        "{'a': 1}[C]",
        "{'a': 1}.get(C)",
        "messages[0][C]",
    ] {
        let work = work.replace('C', content);
        let loops = "{% for a in range(9999) %}{% for b in range(9999) %}";
        let template = format!("{loops}{{% if {work} %}}{{% endif %}}{{% endfor %}}{{% endfor %}}");
        let start = Instant::now();
        Template::parse(&template)
            .unwrap()
            .render(&talk)
            .unwrap_err();
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "{work}: {:?}",
            start.elapsed()
        );
    }
}

#[test]
fn formats_without_bound_are_refused() {
    render("{{ '{:>1000000000}'.format('a') }}");
    render("{{ '{:>{}}'.format('a', 1000000000) }}");
    render("{{ '%1000000000d' | format(1) }}");
    render("{{ strftime_now('%1000000000d') }}");
    render("{{ range(1000000000) | list }}");
}

#[test]
fn recursion_ends() {
    render("{% macro m(n) %}{{ m(n + 1) }}{% endmacro %}{{ m(0) }}");
    render("{% for a in [[1]] recursive %}{{ loop([[1]]) }}{% endfor %}");
    render(&format!(
        "{{{{ {}1{} }}}}",
        "(".repeat(100_000),
        ")".repeat(100_000)
    ));
    render(&format!(
        "{{{{ {}1{} }}}}",
        "[".repeat(100_000),
        "]".repeat(100_000)
    ));
    render(&"{% if true %}".repeat(50_000));
    let _ = Template::parse(&format!("{{{{ {} }}}}", "1 + ".repeat(100_000) + "1"));
    let _ = Template::parse(&format!("{{{{ {}1 }}}}", "not ".repeat(100_000)));
    let _ = Template::parse(&format!("{{{{ {}1 }}}}", "-".repeat(100_000)));
    let _ = Template::parse(&format!("{{{{ a{} }}}}", ".a".repeat(100_000)));
    let _ = Template::parse(&format!("{{{{ a{} }}}}", "|a".repeat(100_000)));
}

#[test]
fn values_within_values_end() {
    let nest = "{% set ns = namespace(a=[]) %}{% for i in range(9999) %}{% set ns.a = [ns.a] %}{% endfor %}";
    render(&format!("{nest}{{{{ ns.a }}}}"));
    render(&format!("{nest}{{{{ ns.a | tojson }}}}"));
    render(&format!("{nest}{{{{ ns.a < ns.a }}}}"));
    render(&format!("{nest}{{{{ ns.a == [1] }}}}"));
    let kinds = [
        "[ns.a]",
        "{'a': ns.a}",
        "(ns.a,)",
        "dict(a=ns.a)",
        "namespace(a=ns.a)",
        "ns.a[::1]",
        "ns.a | list",
        "[ns.a] | list",
        "[ns.a] | map('default') | list",
        "[ns.a] | batch(1)",
        "[ns.a] | reverse",
    ];
    for kind in kinds {
        render(&format!(
            "{{% set ns = namespace(a=[1]) %}}{{% for j in range(12) %}}{{% for i in range(9999) %}}\
             {{% set ns.a = {kind} %}}{{% endfor %}}{{% endfor %}}{{{{ ns.a | list }}}}{{{{ 1 // 0 }}}}"
        ));
    }
    render(&("{% set a = 1 %}".to_owned() + &"{% set a = [a] %}".repeat(60_000) + "{{ 1 // 0 }}"));
    let deep = "{% set ns = namespace(a=[]) %}{% for j in range(12) %}{% for i in range(9999) %}\
                {% set ns.a = [ns.a] %}{% endfor %}{% endfor %}";
    render(&format!("{deep}{{{{ ns.a | tojson }}}}"));
}

#[test]
fn a_namespace_within_itself_is_no_trouble() {
    let own = "{% set ns = namespace() %}{% set ns.a = ns %}{% set ns.b = [ns] %}";
    render(&format!("{own}{{{{ ns | tojson }}}}"));
    render(&format!("{own}{{{{ ns }}}}"));
    render(&format!("{own}{{{{ ns.b == ns.b }}}}"));
    render(&format!("{own}{{{{ ns.b | sort }}}}{{{{ 1 // 0 }}}}"));
}

#[test]
fn a_source_without_end_is_refused() {
    let error = Template::parse(&"a".repeat(2 << 20)).unwrap_err();
    assert!(
        matches!(error, TemplateError::SourceTooLong { .. }),
        "{error}"
    );
}

#[test]
fn long_conversations_have_their_steps() {
    let message = |i| {
        Message::text(
            if i % 2 == 0 { "user" } else { "assistant" },
            &"text ".repeat(100),
        )
    };
    let mut talk = Conversation {
        messages: (0..5000).map(message).collect(),
        ..Conversation::default()
    };
    for name in ["qwen3.5", "qwen3", "chatml"] {
        Template::named(name).unwrap().render(&talk).unwrap();
    }
    talk.messages = vec![Message::text("user", &"<b>é".repeat(1 << 18))];
    talk.tools = vec![Json::String("x".repeat(1 << 18)); 4];
    for name in ["qwen3.5", "qwen3"] {
        Template::named(name).unwrap().render(&talk).unwrap();
    }
}

#[test]
fn nothing_else_can_be_reached() {
    for source in [
        "{% include '/etc/passwd' %}",
        "{% import '/etc/passwd' as x %}",
        "{% extends 'x' %}",
        "{{ debug() }}",
        "{{ messages | pprint }}",
    ] {
        render(source);
    }
}
