//! Python's methods of strings, lists and maps, on text with marks.

use std::sync::Arc;

use minijinja::value::{Kwargs, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State, Value};
use minijinja_contrib::pycompat;

use super::limits::pay;
use super::marks::{Marks, Sides};
use super::strings::{self, Case};
use super::{operators, python};

/// Calls `value.method(args)`.
pub(super) fn call(
    state: &mut State,
    marks: &Arc<Marks>,
    value: &Value,
    method: &str,
    args: &[Value],
) -> Result<Value, Error> {
    match (value.kind(), method) {
        (ValueKind::String, _) => {
            let text = value.as_str().unwrap_or_default();
            match string(state, marks, text, method, args)? {
                Some(made) => Ok(made),
                None => on_plain(state, marks, value, method, args),
            }
        }
        (ValueKind::Map, "get") => {
            let (key, default): (&Value, Option<Value>) = from_args(args)?;
            let found = operators::item(state, marks, value, key)?;
            Ok(match found.is_undefined() {
                true => default.unwrap_or_else(|| Value::from(())),
                false => found,
            })
        }
        (ValueKind::Seq, "count") => on_plain(state, marks, value, method, args),
        _ => pycompat::unknown_method_callback(state, value, method, args),
    }
}

/// What makes strings of a string; `None` for a method that does not.
fn string(
    state: &State,
    marks: &Marks,
    text: &str,
    method: &str,
    args: &[Value],
) -> Result<Option<Value>, Error> {
    let strip = |sides| {
        let (chars,): (Option<&str>,) = from_args(args)?;
        Ok::<_, Error>(strings::strip(marks, text, sides, chars))
    };
    let remove = |side| {
        let (affix,): (&str,) = from_args(args)?;
        Ok::<_, Error>(strings::remove(marks, text, affix, side))
    };
    let case = |to| {
        let () = from_args(args)?;
        strings::case(marks, text, to)
    };
    Ok(Some(match method {
        "strip" => strip(Sides::Both)?,
        "lstrip" => strip(Sides::Start)?,
        "rstrip" => strip(Sides::End)?,
        "removeprefix" => remove(Sides::Start)?,
        "removesuffix" => remove(Sides::End)?,
        "upper" => case(Case::Upper)?,
        "lower" => case(Case::Lower)?,
        "title" => case(Case::Title)?,
        "capitalize" => case(Case::Capital)?,
        "split" | "rsplit" => split(state, marks, text, args, method == "rsplit")?,
        "replace" => replace(state, marks, text, args)?,
        "splitlines" => {
            let (keep,): (Option<bool>,) = from_args(args)?;
            strings::lines(state, marks, text, keep.unwrap_or(false))?
        }
        "join" => join(state, marks, text, args)?,
        "format" => format(state, marks, text, args)?,
        _ => return Ok(None),
    }))
}

fn split(
    state: &State,
    marks: &Marks,
    text: &str,
    args: &[Value],
    from_right: bool,
) -> Result<Value, Error> {
    let (separator, limit, named): (Option<&str>, Option<i64>, Kwargs) = from_args(args)?;
    let named_separator: Option<String> = named.get("sep")?;
    let limit = limit.or(named.get("maxsplit")?);
    named.assert_all_used()?;
    let separator = separator.or(named_separator.as_deref());
    strings::split(state, marks, text, separator, at_most(limit), from_right)
}

fn replace(state: &State, marks: &Marks, text: &str, args: &[Value]) -> Result<Value, Error> {
    let (from, to, limit, named): (&str, &str, Option<i64>, Kwargs) = from_args(args)?;
    let limit = limit.or(named.get("count")?);
    named.assert_all_used()?;
    strings::replace(state, marks, text, [from, to], at_most(limit))
}

/// Python takes a negative limit for none.
fn at_most(limit: Option<i64>) -> Option<usize> {
    limit.and_then(|limit| usize::try_from(limit).ok())
}

fn join(state: &State, marks: &Marks, between: &str, args: &[Value]) -> Result<Value, Error> {
    let (values,): (&Value,) = from_args(args)?;
    let mut joined = String::new();
    for (i, value) in values.try_iter()?.checked().enumerate() {
        let before = joined.len();
        joined.push_str(if i == 0 { "" } else { between });
        joined.push_str(&python::display(state, marks, &value?)?);
        pay(state, joined.len() - before)?;
    }
    Ok(joined.into())
}

/// `str.format`. Strings go in as they are, and only the template's own braces count.
///
/// # Errors
/// Beside the engine's: a width of more than three digits or one that is an argument,
/// for nobody would pay for it.
fn format(state: &State, marks: &Marks, text: &str, args: &[Value]) -> Result<Value, Error> {
    if text
        .split(|c: char| !c.is_ascii_digit())
        .any(|digits| digits.len() > 3)
        || text
            .split('}')
            .any(|field| field.matches('{').count() > 1 && field.contains(':'))
    {
        let reason = "a format needs a width of three digits at most";
        return Err(Error::new(ErrorKind::InvalidOperation, reason));
    }
    let args = args.iter().map(|arg| match arg.kind() {
        ValueKind::Seq | ValueKind::Map if !arg.is_kwargs() => {
            python::display(state, marks, arg).map(Value::from)
        }
        _ => Ok(arg.clone()),
    });
    let args: Vec<_> = args.collect::<Result<_, _>>()?;
    let style = minijinja::formatting::FormatStyle::StrFormat;
    minijinja::formatting::format(style, text, &args).map(Value::from)
}

/// A method whose result is no string, on values without marks.
fn on_plain(
    state: &mut State,
    marks: &Marks,
    value: &Value,
    method: &str,
    args: &[Value],
) -> Result<Value, Error> {
    let value = operators::plain(state, marks, value, 0)?;
    let args = args
        .iter()
        .map(|arg| operators::plain(state, marks, arg, 0));
    let args: Vec<_> = args.collect::<Result<_, _>>()?;
    pycompat::unknown_method_callback(state, &value, method, &args)
}
