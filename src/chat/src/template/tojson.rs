//! `tojson` as chat templates know it: Python's `json.dumps`, without HTML's escapes.

use std::fmt::Write;
use std::sync::Arc;

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State, Value};

use super::limits::{marks_used_up, pay, too_deep};
use super::marks::Marks;
use super::python::{self, MAX_DEPTH};

/// Adds the filter. What it makes is marked as a whole: JSON is data, and where a
/// bracket comes from cannot be told.
pub(super) fn add(env: &mut Environment<'_>, marks: &Arc<Marks>) {
    let marks = marks.clone();
    let filter = move |state: &State, value: &Value, indent: Option<Value>, options: Kwargs| {
        let style = Style::new(indent, &options)?;
        let mut json = String::new();
        let writer = Writer {
            state,
            marks: &marks,
            style: &style,
        };
        writer.value(value, 0, &mut json)?;
        marks.mark(&json).map_err(marks_used_up)
    };
    env.add_filter("tojson", filter);
}

/// The options of `json.dumps`.
struct Style {
    ensure_ascii: bool,
    sort_keys: bool,
    /// What a level is indented by; without it all is one line.
    indent: Option<String>,
    between_items: String,
    after_key: String,
}

impl Style {
    fn new(indent: Option<Value>, options: &Kwargs) -> Result<Style, Error> {
        let indent = match indent {
            Some(indent) => Some(indent),
            None => options.get("indent")?,
        };
        let indent = match indent {
            None => None,
            Some(indent) if indent.is_none() => None,
            Some(indent) => Some(match indent.as_str() {
                Some(text) => text.to_owned(),
                None => " ".repeat(usize::try_from(indent)?.min(100)),
            }),
        };
        let between_items = if indent.is_some() { "," } else { ", " };
        let separators: Option<Vec<String>> = options.get("separators")?;
        let style = Style {
            ensure_ascii: options
                .get::<Option<bool>>("ensure_ascii")?
                .unwrap_or(false),
            sort_keys: options.get::<Option<bool>>("sort_keys")?.unwrap_or(false),
            indent,
            between_items: between_items.to_owned(),
            after_key: ": ".to_owned(),
        };
        options.assert_all_used()?;
        match separators.as_deref() {
            None => Ok(style),
            Some([between_items, after_key]) => Ok(Style {
                between_items: between_items.clone(),
                after_key: after_key.clone(),
                ..style
            }),
            Some(_) => {
                let reason = "`separators` needs two strings";
                Err(Error::new(ErrorKind::InvalidOperation, reason))
            }
        }
    }
}

struct Writer<'w> {
    state: &'w State<'w, 'w>,
    marks: &'w Marks,
    style: &'w Style,
}

impl Writer<'_> {
    fn value(&self, value: &Value, depth: usize, json: &mut String) -> Result<(), Error> {
        let before = json.len();
        match value.kind() {
            ValueKind::None | ValueKind::Undefined => json.push_str("null"),
            ValueKind::Bool => json.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number if value.is_integer() => self.write(format_args!("{value}"), json)?,
            ValueKind::Number => json.push_str(&number(f64::try_from(value.clone())?)),
            ValueKind::String => self.string(value.as_str().unwrap_or_default(), json)?,
            ValueKind::Map => self.map(value, depth, json)?,
            ValueKind::Seq | ValueKind::Iterable => {
                let elements = value
                    .try_iter()?
                    .checked()
                    .map(|element| Ok((None, element?)));
                self.list(
                    elements.collect::<Result<_, Error>>()?,
                    depth,
                    ['[', ']'],
                    json,
                )?;
            }
            kind => {
                let reason = format!("a {kind} is no JSON");
                return Err(Error::new(ErrorKind::BadSerialization, reason));
            }
        }
        // A mark has four bytes.
        pay(self.state, 4 * (json.len() - before))
    }

    fn map(&self, map: &Value, depth: usize, json: &mut String) -> Result<(), Error> {
        let mut fields = Vec::new();
        for key in map.try_iter()?.checked() {
            let key = key?;
            let value = map.get_item(&key)?;
            fields.push((Some(python::display(self.state, self.marks, &key)?), value));
        }
        if self.style.sort_keys {
            fields.sort_by_cached_key(|(key, _)| {
                self.marks
                    .plain(key.as_deref().unwrap_or_default())
                    .into_owned()
            });
        }
        self.list(fields, depth, ['{', '}'], json)
    }

    fn list(
        &self,
        items: Vec<(Option<String>, Value)>,
        depth: usize,
        [open, close]: [char; 2],
        json: &mut String,
    ) -> Result<(), Error> {
        if depth == MAX_DEPTH {
            return Err(too_deep());
        }
        json.push(open);
        let empty = items.is_empty();
        for (i, (key, value)) in items.into_iter().enumerate() {
            json.push_str(if i == 0 {
                ""
            } else {
                &self.style.between_items
            });
            self.line(depth + 1, json)?;
            if let Some(key) = key {
                self.string(&key, json)?;
                json.push_str(&self.style.after_key);
            }
            self.value(&value, depth + 1, json)?;
        }
        if !empty {
            self.line(depth, json)?;
        }
        json.push(close);
        Ok(())
    }

    /// A new line, if there are lines.
    fn line(&self, depth: usize, json: &mut String) -> Result<(), Error> {
        let Some(indent) = &self.style.indent else {
            return Ok(());
        };
        pay(self.state, depth * indent.len())?;
        json.push('\n');
        json.push_str(&indent.repeat(depth));
        Ok(())
    }

    fn string(&self, text: &str, json: &mut String) -> Result<(), Error> {
        let ascii = self.style.ensure_ascii;
        let escaped = self.marks.map(text, |letter| {
            escaped(letter, ascii).chars().collect::<Vec<_>>()
        });
        self.write(
            format_args!("\"{}\"", escaped.map_err(marks_used_up)?),
            json,
        )
    }

    fn write(&self, text: std::fmt::Arguments<'_>, json: &mut String) -> Result<(), Error> {
        json.write_fmt(text)
            .map_err(|_| Error::from(ErrorKind::WriteFailure))
    }
}

fn escaped(letter: char, ascii: bool) -> String {
    match letter {
        '"' => "\\\"".into(),
        '\\' => "\\\\".into(),
        '\n' => "\\n".into(),
        '\r' => "\\r".into(),
        '\t' => "\\t".into(),
        '\u{8}' => "\\b".into(),
        '\u{c}' => "\\f".into(),
        '\0'..='\u{1f}' => format!("\\u{:04x}", letter as u32),
        '\u{7f}'.. if ascii && letter != '\u{7f}' => {
            let units = letter.encode_utf16(&mut [0; 2]).to_vec();
            units.iter().map(|unit| format!("\\u{unit:04x}")).collect()
        }
        _ => letter.into(),
    }
}

fn number(value: f64) -> String {
    match python::float(value).as_str() {
        "nan" => "NaN".into(),
        "inf" => "Infinity".into(),
        "-inf" => "-Infinity".into(),
        finite => finite.into(),
    }
}
