//! Values as Python prints them, for templates are tried in Python.

use std::fmt::Write;

use minijinja::value::{Tuple, ValueKind};
use minijinja::{Error, State, Value};

use super::marks::Marks;

/// Containers within containers beyond this are an error: each level takes stack.
pub(super) const MAX_DEPTH: usize = 100;

/// `str(value)`: strings are themselves, what is undefined is nothing.
pub(super) fn display(state: &State, marks: &Marks, value: &Value) -> Result<String, Error> {
    let mut text = String::new();
    match value.kind() {
        ValueKind::Undefined => {}
        ValueKind::String => text.push_str(value.as_str().unwrap_or_default()),
        _ => repr(state, marks, value, 0, &mut text)?,
    }
    Ok(text)
}

/// `repr(value)`, appended.
fn repr(
    state: &State,
    marks: &Marks,
    value: &Value,
    depth: usize,
    text: &mut String,
) -> Result<(), Error> {
    let before = text.len();
    match value.kind() {
        ValueKind::String => quote(marks, value.as_str().unwrap_or_default(), text)?,
        ValueKind::Number if !value.is_integer() => {
            text.push_str(&float(f64::try_from(value.clone())?));
        }
        ValueKind::Map => {
            let entry = |key: Value, text: &mut String| {
                repr(state, marks, &key, depth + 1, text)?;
                text.push_str(": ");
                repr(state, marks, &value.get_item(&key)?, depth + 1, text)
            };
            list(value, depth, ["{", "}"], text, entry)?;
        }
        ValueKind::Seq | ValueKind::Iterable => {
            let element =
                |element: Value, text: &mut String| repr(state, marks, &element, depth + 1, text);
            match value.downcast_object_ref::<Tuple>() {
                Some(tuple) if tuple.len() == 1 => list(value, depth, ["(", ",)"], text, element)?,
                Some(_) => list(value, depth, ["(", ")"], text, element)?,
                None => list(value, depth, ["[", "]"], text, element)?,
            }
        }
        _ => write!(text, "{value}").map_err(|_| super::limits::too_deep())?,
    }
    state.consume_fuel(((text.len() - before) / 16) as u64 + 1)
}

fn list(
    values: &Value,
    depth: usize,
    [open, close]: [&str; 2],
    text: &mut String,
    mut element: impl FnMut(Value, &mut String) -> Result<(), Error>,
) -> Result<(), Error> {
    if depth == MAX_DEPTH {
        return Err(super::limits::too_deep());
    }
    text.push_str(open);
    for (i, value) in values.try_iter()?.checked().enumerate() {
        text.push_str(if i == 0 { "" } else { ", " });
        element(value?, text)?;
    }
    text.push_str(close);
    Ok(())
}

/// A string in Python's quotes: single ones, unless it has some and no double ones.
fn quote(marks: &Marks, string: &str, text: &mut String) -> Result<(), Error> {
    let plain = marks.plain(string);
    let quote = match plain.contains('\'') && !plain.contains('"') {
        true => '"',
        false => '\'',
    };
    let escaped = marks.map(string, |letter| match letter {
        '\\' => vec!['\\', '\\'],
        '\n' => vec!['\\', 'n'],
        '\r' => vec!['\\', 'r'],
        '\t' => vec!['\\', 't'],
        _ if letter == quote => vec!['\\', quote],
        _ => vec![letter],
    });
    text.push(quote);
    text.push_str(&escaped.map_err(super::limits::marks_used_up)?);
    text.push(quote);
    Ok(())
}

/// `repr` of a float: the shortest digits that read back the same, and an exponent
/// for what is below 1e-4 or from 1e16 on.
pub(super) fn float(number: f64) -> String {
    if number.is_nan() {
        return "nan".into();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.into();
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    match exponent.parse::<i32>().unwrap_or(0) {
        exponent @ (..=-5 | 16..) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
        _ => format!("{number:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::float;

    #[test]
    fn floats_are_printed_as_in_python() {
        let cases = [
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (0.1, "0.1"),
            (1e-4, "0.0001"),
            (1.5e-5, "1.5e-05"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (-2.5e300, "-2.5e+300"),
            (f64::INFINITY, "inf"),
        ];
        for (number, text) in cases {
            assert_eq!(float(number), text);
        }
    }
}
