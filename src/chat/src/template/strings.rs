//! What methods and filters do with marked text.

use minijinja::{Error, ErrorKind, State, Value};

use super::limits::{marks_used_up, pay};
use super::marks::{Marks, Sides};

/// `str.strip`, `lstrip`, `rstrip`, of white space or of `chars`.
pub(super) fn strip(marks: &Marks, text: &str, sides: Sides, chars: Option<&str>) -> Value {
    let stripped = match chars.map(|chars| marks.plain(chars)) {
        Some(chars) => marks.trim(text, sides, |letter| chars.contains(letter)),
        None => marks.trim(text, sides, char::is_whitespace),
    };
    Value::from(stripped)
}

/// `str.split` and `str.rsplit`: at `separator` or at runs of white space, at `limit`
/// places at most, which count from the left or the right.
///
/// # Errors
/// An empty separator.
pub(super) fn split(
    state: &State,
    marks: &Marks,
    text: &str,
    separator: Option<&str>,
    limit: Option<usize>,
    from_right: bool,
) -> Result<Value, Error> {
    if separator == Some("") {
        return Err(Error::new(ErrorKind::InvalidOperation, "empty separator"));
    }
    let sides = [Sides::Start, Sides::End];
    let (mut rest, cuts) = match separator {
        Some(separator) => (text, marks.find(text, separator)),
        None => {
            let [start, end] = sides;
            let text = marks.trim(text, start, char::is_whitespace);
            // The end is cut off only where it is not kept as the last piece.
            let trimmed = marks.trim(text, end, char::is_whitespace);
            let kept = if limit.is_some() && !from_right {
                text
            } else {
                trimmed
            };
            (kept, spaces(marks, trimmed))
        }
    };
    if separator.is_none() && rest.is_empty() {
        return Ok(Value::from(Vec::<Value>::new()));
    }
    let limit = limit.unwrap_or(usize::MAX);
    let skipped = if from_right {
        cuts.len().saturating_sub(limit)
    } else {
        0
    };
    pay(state, 64 * cuts.len())?;
    let mut pieces = Vec::new();
    let mut at = 0;
    for cut in cuts.into_iter().skip(skipped).take(limit) {
        pieces.push(Value::from(&rest[..cut.start - at]));
        rest = &rest[cut.end - at..];
        at = cut.end;
    }
    pieces.push(Value::from(rest));
    Ok(pieces.into())
}

/// The runs of white space in a text.
fn spaces(marks: &Marks, text: &str) -> Vec<std::ops::Range<usize>> {
    let mut runs: Vec<std::ops::Range<usize>> = Vec::new();
    let plain = marks.plain(text);
    for ((at, marked), letter) in text.char_indices().zip(plain.chars()) {
        if !letter.is_whitespace() {
            continue;
        }
        let end = at + marked.len_utf8();
        match runs.last_mut() {
            Some(run) if run.end == at => run.end = end,
            _ => runs.push(at..end),
        }
    }
    runs
}

/// `str.replace`.
pub(super) fn replace(
    state: &State,
    marks: &Marks,
    text: &str,
    [from, to]: [&str; 2],
    limit: Option<usize>,
) -> Result<Value, Error> {
    let found = marks.find(text, from);
    let count = found.len().min(limit.unwrap_or(usize::MAX));
    pay(state, count.saturating_mul(to.len() + 16))?;
    let mut replaced = String::with_capacity(text.len());
    let mut at = 0;
    for place in found.into_iter().take(count) {
        replaced.push_str(&text[at..place.start]);
        replaced.push_str(to);
        at = place.end;
    }
    replaced.push_str(&text[at..]);
    Ok(replaced.into())
}

/// `str.splitlines`.
pub(super) fn lines(state: &State, marks: &Marks, text: &str, keep: bool) -> Result<Value, Error> {
    let breaks = marks.find(text, "\n");
    pay(state, 64 * breaks.len())?;
    let mut lines = Vec::new();
    let mut at = 0;
    for end in breaks {
        let line = &text[at..if keep { end.end } else { end.start }];
        let line = match keep {
            true => line,
            false => marks.trim(line, Sides::End, |letter| letter == '\r'),
        };
        lines.push(Value::from(line));
        at = end.end;
    }
    if at < text.len() {
        lines.push(Value::from(&text[at..]));
    }
    Ok(lines.into())
}

/// `str.removeprefix` and `str.removesuffix`.
pub(super) fn remove(marks: &Marks, text: &str, affix: &str, side: Sides) -> Value {
    let (plain, affix) = (marks.plain(text), marks.plain(affix));
    let chars = affix.chars().count();
    Value::from(match side {
        Sides::End if plain.ends_with(&*affix) => {
            let end = text.char_indices().rev().take(chars).last();
            &text[..end.map_or(text.len(), |(at, _)| at)]
        }
        Sides::Start if plain.starts_with(&*affix) => {
            let start = text.char_indices().nth(chars);
            &text[start.map_or(text.len(), |(at, _)| at)..]
        }
        _ => text,
    })
}

/// How the letters of a text are changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Case {
    Upper,
    Lower,
    /// Every word begins with a capital.
    Title,
    /// Only the first letter is one.
    Capital,
}

/// `str.upper`, `lower`, `title` and `capitalize`.
pub(super) fn case(marks: &Marks, text: &str, case: Case) -> Result<Value, Error> {
    let mut begins = true;
    let changed = marks.map(text, |letter| {
        let upper = case == Case::Upper || case != Case::Lower && begins;
        begins = case == Case::Title && !letter.is_alphabetic();
        match upper {
            true => letter.to_uppercase().collect::<Vec<_>>(),
            false => letter.to_lowercase().collect(),
        }
    });
    Ok(changed.map_err(marks_used_up)?.into())
}
