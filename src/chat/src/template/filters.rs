//! Filters and tests on text with marks, which replace the engine's.

use std::sync::Arc;

use minijinja::value::{Kwargs, Rest, from_args};
use minijinja::{Environment, Error, State, Value};

use super::limits::{marks_used_up, pay};
use super::marks::{Marks, Sides};
use super::strings::{self, Case};
use super::{operators, python, tojson};

/// Adds the filters and tests.
pub(super) fn add(env: &mut Environment<'_>, marks: &Arc<Marks>) {
    add_case(env, marks);
    add_edits(env, marks);
    add_indent(env, marks);
    add_conversions(env, marks);
    add_tests(env, marks);
    tojson::add(env, marks);
    // It shows memory addresses and the inside of the engine.
    env.remove_filter("pprint");
    // They are not Jinja's, and their views of views take uncounted stack and time.
    env.remove_filter("chain");
    env.remove_filter("zip");
    env.remove_global("debug");
}

fn add_case(env: &mut Environment<'_>, marks: &Arc<Marks>) {
    let cases = [
        ("upper", Case::Upper),
        ("lower", Case::Lower),
        ("title", Case::Title),
        ("capitalize", Case::Capital),
    ];
    for (name, case) in cases {
        let m = marks.clone();
        env.add_filter(name, move |state: &State, value: &Value| {
            strings::case(&m, &python::display(state, &m, value)?, case)
        });
    }
}

fn add_edits(env: &mut Environment<'_>, marks: &Arc<Marks>) {
    let m = marks.clone();
    env.add_filter(
        "trim",
        move |state: &State, value: &Value, chars: Option<&str>| {
            let text = python::display(state, &m, value)?;
            Ok::<_, Error>(strings::strip(&m, &text, Sides::Both, chars))
        },
    );
    let m = marks.clone();
    let replace =
        move |state: &State, value: &Value, from: &str, to: &str, limit: Option<usize>| {
            let text = python::display(state, &m, value)?;
            strings::replace(state, &m, &text, [from, to], limit)
        };
    env.add_filter("replace", replace);
    let m = marks.clone();
    let split = move |state: &State, value: &Value, at: Option<&str>, limit: Option<usize>| {
        let text = python::display(state, &m, value)?;
        strings::split(state, &m, &text, at, limit, false)
    };
    env.add_filter("split", split);
    let m = marks.clone();
    env.add_filter("lines", move |state: &State, value: &Value| {
        strings::lines(state, &m, &python::display(state, &m, value)?, false)
    });
    for name in ["escape", "e"] {
        let m = marks.clone();
        env.add_filter(name, move |state: &State, value: &Value| {
            escape(&m, &python::display(state, &m, value)?)
        });
    }
}

/// `indent(width=4, first=False, blank=False)`; `width` may be a string.
fn indent(
    state: &State,
    marks: &Marks,
    text: &str,
    by: &str,
    [first, blank]: [bool; 2],
) -> Result<Value, Error> {
    let mut indented = String::new();
    for (i, line) in strings::lines(state, marks, text, true)?
        .try_iter()?
        .enumerate()
    {
        let line = line.as_str().unwrap_or_default();
        let empty = matches!(&*marks.plain(line), "\n" | "\r\n");
        if (i > 0 || first) && (blank || !empty) {
            pay(state, by.len())?;
            indented.push_str(by);
        }
        indented.push_str(line);
    }
    Ok(indented.into())
}

fn add_indent(env: &mut Environment<'_>, marks: &Arc<Marks>) {
    let m = marks.clone();
    type Flag = Option<bool>;
    let filter = move |state: &State, text: &Value, args: Rest<Value>| {
        let text = python::display(state, &m, text)?;
        let (by, first, blank, named): (Option<Value>, Flag, Flag, Kwargs) = from_args(&args)?;
        let by = by.or(named.get("width")?).unwrap_or_else(|| Value::from(4));
        let first = first.or(named.get("first")?).unwrap_or(false);
        let blank = blank.or(named.get("blank")?).unwrap_or(false);
        named.assert_all_used()?;
        let by = match by.as_str() {
            Some(text) => text.to_owned(),
            None => " ".repeat(usize::try_from(by)?.min(1000)),
        };
        indent(state, &m, &text, &by, [first, blank])
    };
    env.add_filter("indent", filter);
}

/// For HTML.
fn escape(marks: &Marks, text: &str) -> Result<String, Error> {
    let escaped = marks.map(text, |letter| {
        let entity = match letter {
            '&' => "&amp;",
            '<' => "&lt;",
            '>' => "&gt;",
            '"' => "&#34;",
            '\'' => "&#39;",
            _ => return vec![letter],
        };
        entity.chars().collect()
    });
    escaped.map_err(marks_used_up)
}

fn add_conversions(env: &mut Environment<'_>, marks: &Arc<Marks>) {
    let m = marks.clone();
    env.add_filter("string", move |state: &State, value: &Value| {
        python::display(state, &m, value)
    });
    // The engine's own, on the plain text.
    let m = marks.clone();
    let int = move |state: &State, value: &Value, default: Option<Value>| {
        let value = operators::plain(state, &m, value, 0)?;
        let value = value
            .as_str()
            .map_or(value.clone(), |text| text.trim().into());
        minijinja::filters::int(state, &value, default, None, no_options())
    };
    env.add_filter("int", int);
    let m = marks.clone();
    let float = move |state: &State, value: &Value, default: Option<Value>| {
        let value = operators::plain(state, &m, value, 0)?;
        let value = value
            .as_str()
            .map_or(value.clone(), |text| text.trim().into());
        minijinja::filters::float(state, &value, default, no_options())
    };
    env.add_filter("float", float);
}

fn no_options() -> Kwargs {
    Kwargs::from_iter([] as [(&str, Value); 0])
}

/// A test of a text.
type Test = fn(&str) -> bool;

/// A test of a text and its beginning or end.
type AffixTest = fn(&str, &str) -> bool;

fn add_tests(env: &mut Environment<'_>, marks: &Arc<Marks>) {
    let tests: [(&'static str, Test); 2] = [
        ("lower", |text| !text.chars().any(char::is_uppercase)),
        ("upper", |text| !text.chars().any(char::is_lowercase)),
    ];
    for (name, test) in tests {
        let m = marks.clone();
        env.add_test(name, move |state: &State, text: &str| {
            pay(state, text.len())?;
            Ok::<_, Error>(test(&m.plain(text)))
        });
    }
    let tests: [(&'static str, AffixTest); 2] = [
        ("startingwith", |text, start| text.starts_with(start)),
        ("endingwith", |text, end| text.ends_with(end)),
    ];
    for (name, test) in tests {
        let m = marks.clone();
        env.add_test(name, move |state: &State, text: &str, affix: &str| {
            pay(state, text.len() + affix.len())?;
            Ok::<_, Error>(test(&m.plain(text), &m.plain(affix)))
        });
    }
}
