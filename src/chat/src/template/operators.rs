//! Operators that look through marks.
//!
//! The engine compares strings as they are. In a compiled template the instructions
//! that compare are therefore replaced by calls of tests that look at the plain text,
//! one instruction for one, so that jumps and places stay. `+`, which makes strings of
//! strings, needs nothing: marks are characters.

use std::cmp::Ordering;
use std::sync::Arc;

use minijinja::machinery::{Instruction, Instructions};
use minijinja::value::ValueKind;
use minijinja::{Environment, Error, ErrorKind, State, Value};

use super::limits;
use super::marks::Marks;
use super::python::{self, MAX_DEPTH};
use super::values::Fields;

/// Filters that no template can name.
const CONCAT: &str = "~";
const ITEM: &str = "[]";
const SLICE: &str = "[:]";

/// The engine then looks a test or a filter up by its name each time.
const NOT_CACHED: u8 = !0;

/// Makes a compiled template use the operators of [`add`].
///
/// A chain of comparisons such as `0 < a < b` stays the engine's, for its parts are no
/// instructions of their own; of numbers it is right.
pub(super) fn replace(instructions: &mut Instructions<'_>) {
    for at in 0.. {
        let Some(instruction) = instructions.get_mut(at) else {
            break;
        };
        let test = |name| Instruction::PerformTest(name, Some(2), NOT_CACHED);
        let filter = |name| Instruction::ApplyFilter(name, Some(2), NOT_CACHED);
        *instruction = match instruction {
            Instruction::Eq => test("=="),
            Instruction::Ne => test("!="),
            Instruction::Lt => test("<"),
            Instruction::Lte => test("<="),
            Instruction::Gt => test(">"),
            Instruction::Gte => test(">="),
            Instruction::In => test("in"),
            Instruction::StringConcat => filter(CONCAT),
            Instruction::GetItem => filter(ITEM),
            Instruction::Slice => Instruction::ApplyFilter(SLICE, Some(4), NOT_CACHED),
            _ => continue,
        };
    }
}

/// Adds the tests and filters that [`replace`] names, and all names that templates
/// have for them.
pub(super) fn add(env: &mut Environment<'_>, marks: &Arc<Marks>) {
    type Accepts = fn(Ordering) -> bool;
    let orders: [(&[&'static str], Accepts); 4] = [
        (&["<", "lt", "lessthan"], Ordering::is_lt),
        (&["<=", "le"], Ordering::is_le),
        (&[">", "gt", "greaterthan"], Ordering::is_gt),
        (&[">=", "ge"], Ordering::is_ge),
    ];
    for (names, accepts) in orders {
        for name in names {
            let marks = marks.clone();
            env.add_test(*name, move |state: &State, a: &Value, b: &Value| {
                order(state, &marks, a, b).map(accepts)
            });
        }
    }
    for (names, expected) in [(["==", "eq", "equalto"], true), (["!=", "ne", "ne"], false)] {
        for name in names {
            let marks = marks.clone();
            env.add_test(name, move |state: &State, a: &Value, b: &Value| {
                Ok::<_, Error>(equal(state, &marks, a, b)? == expected)
            });
        }
    }
    let m = marks.clone();
    env.add_test(
        "in",
        move |state: &State, value: &Value, container: &Value| {
            contains(state, &m, container, value)
        },
    );
    let m = marks.clone();
    env.add_filter(CONCAT, move |state: &State, a: &Value, b: &Value| {
        let text = python::display(state, &m, a)? + &python::display(state, &m, b)?;
        Ok::<_, Error>(text)
    });
    let m = marks.clone();
    env.add_filter(
        ITEM,
        move |state: &State, container: &Value, key: &Value| item(state, &m, container, key),
    );
    env.add_filter(SLICE, slice);
}

/// Whether two values are the same, marks aside.
pub(super) fn equal(state: &State, marks: &Marks, a: &Value, b: &Value) -> Result<bool, Error> {
    Ok(match (a.as_str(), b.as_str()) {
        (Some(a), Some(b)) => {
            let (same, seen) = marks.same(a, b);
            limits::pay(state, seen)?;
            same
        }
        _ if is_container(a) && is_container(b) => {
            plain(state, marks, a, 0)? == plain(state, marks, b, 0)?
        }
        _ => a == b,
    })
}

fn order(state: &State, marks: &Marks, a: &Value, b: &Value) -> Result<Ordering, Error> {
    Ok(plain(state, marks, a, 0)?.cmp(&plain(state, marks, b, 0)?))
}

fn is_container(value: &Value) -> bool {
    matches!(
        value.kind(),
        ValueKind::Seq | ValueKind::Map | ValueKind::Iterable
    )
}

/// `value in container`.
fn contains(state: &State, marks: &Marks, container: &Value, value: &Value) -> Result<bool, Error> {
    match container.kind() {
        ValueKind::Undefined => Ok(false),
        ValueKind::String => {
            let text = python::display(state, marks, container)?;
            limits::pay(state, text.len())?;
            let wanted = python::display(state, marks, value)?;
            Ok(marks.plain(&text).contains(&*marks.plain(&wanted)))
        }
        ValueKind::Map => Ok(!item(state, marks, container, value)?.is_undefined()),
        ValueKind::Seq | ValueKind::Iterable => {
            for element in container.try_iter()?.checked() {
                limits::pay(state, 0)?;
                if equal(state, marks, &element?, value)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        kind => {
            let reason = format!("`in` needs a string, a list or a map behind it, not {kind}");
            Err(Error::new(ErrorKind::InvalidOperation, reason))
        }
    }
}

/// `container[key]`.
///
/// The maps of a template have its own keys, which an untrusted key is looked up
/// among as plain text.
pub(super) fn item(
    state: &State,
    marks: &Marks,
    container: &Value,
    key: &Value,
) -> Result<Value, Error> {
    limits::pay(state, key.as_str().map_or(0, str::len))?;
    if let (ValueKind::Map, Some(text)) = (container.kind(), key.as_str())
        && container.downcast_object_ref::<Fields>().is_none()
    {
        let found = container.get_item(&Value::from(&*marks.plain(text)))?;
        if !found.is_undefined() {
            return Ok(found);
        }
    }
    container.get_item(key)
}

/// `value[start:stop:step]`.
///
/// The engine's own slices of lists are views, and views of views of views take stack
/// and time that nobody counts.
fn slice(
    state: &State,
    value: &Value,
    start: Option<i64>,
    stop: Option<i64>,
    step: Option<i64>,
) -> Result<Value, Error> {
    let step = step.unwrap_or(1);
    if step == 0 {
        let reason = "a slice needs a step other than 0";
        return Err(Error::new(ErrorKind::InvalidOperation, reason));
    }
    if let Some(text) = value.as_str() {
        limits::pay(state, 2 * text.len())?;
        let letters: Vec<char> = text.chars().collect();
        let picked = places(letters.len(), start, stop, step);
        return Ok(picked.map(|at| letters[at]).collect::<String>().into());
    }
    let mut elements = Vec::new();
    for element in value.try_iter()?.checked() {
        limits::pay(state, 64)?;
        elements.push(element?);
    }
    let picked = places(elements.len(), start, stop, step);
    Ok(picked
        .map(|at| elements[at].clone())
        .collect::<Vec<_>>()
        .into())
}

/// The places that a slice of `len` elements picks, in its order. `step` is not 0.
fn places(
    len: usize,
    start: Option<i64>,
    stop: Option<i64>,
    step: i64,
) -> impl Iterator<Item = usize> {
    let len = i64::try_from(len).unwrap_or(i64::MAX);
    let (low, high) = if step > 0 { (0, len) } else { (-1, len - 1) };
    let bound = |at: i64| (if at < 0 { at.saturating_add(len) } else { at }).clamp(low, high);
    let (first, end) = if step > 0 { (low, high) } else { (high, low) };
    let start = start.map_or(first, bound);
    let stop = stop.map_or(end, bound);
    let next = move |at: &i64| at.checked_add(step);
    std::iter::successors(Some(start), next)
        .take_while(move |at| if step > 0 { *at < stop } else { *at > stop })
        .map(|at| at as usize)
}

/// The value without marks, also within lists and maps.
pub(super) fn plain(
    state: &State,
    marks: &Marks,
    value: &Value,
    depth: usize,
) -> Result<Value, Error> {
    if depth > MAX_DEPTH {
        return Err(limits::too_deep());
    }
    limits::pay(state, value.as_str().map_or(0, str::len))?;
    Ok(match value.kind() {
        ValueKind::String => marks
            .plain(value.as_str().unwrap_or_default())
            .into_owned()
            .into(),
        ValueKind::Seq | ValueKind::Iterable => {
            let mut elements = Vec::new();
            for element in value.try_iter()?.checked() {
                elements.push(plain(state, marks, &element?, depth + 1)?);
            }
            elements.into()
        }
        ValueKind::Map => {
            let mut fields = Vec::new();
            for key in value.try_iter()?.checked() {
                let key = key?;
                let field = plain(state, marks, &value.get_item(&key)?, depth + 1)?;
                fields.push((plain(state, marks, &key, depth + 1)?, field));
            }
            Value::from_pairs(fields)
        }
        _ => value.clone(),
    })
}
