//! Reads the attributes of an op.

use smallvec::SmallVec;

use crate::attr::Attr;
use crate::op::{Op, OpError};
use crate::parts::Parts;
use crate::signature::Signature;
use crate::text::error::ParseError;
use crate::text::lexer::{Cursor, Result, clipped};
use crate::text::parser::{rows, rows_from};
use crate::types::DType;

/// An attribute as written, with its offset.
struct Written {
    name: String,
    value: Attr,
    at: usize,
}

/// Reads `{eps = 1e-6}` where it stands, and makes the op whose mnemonic is at `op_at`.
pub(crate) fn attrs(c: &mut Cursor, signature: &Signature, op_at: usize) -> Result<Op> {
    let written = match c.eat("{") {
        true => list(c, attr)?,
        false => Vec::new(),
    };
    let parts = written.iter().map(|w| (w.name.clone(), w.value.clone()));
    let parts: Vec<(String, Attr)> = parts.collect();
    Op::from_parts(signature.mnemonic, &parts)
        .map_err(|e| refused(c, &e, &written, signature, op_at))
}

/// The error at the attribute that it speaks of, or at the op where one is missing.
fn refused(
    c: &Cursor,
    error: &OpError,
    written: &[Written],
    signature: &Signature,
    op_at: usize,
) -> ParseError {
    let find = |name: &str| written.iter().find(|w| w.name == name).map(|w| w.at);
    match error {
        OpError::Unknown(_) => c.error(op_at, error.to_string(), "an op"),
        OpError::Attr { op, attr, expected } => match find(attr) {
            Some(at) => c.error(at, format!("`{attr}` does not fit `{op}`"), *expected),
            None => {
                let message = format!("`{op}` needs the attribute `{attr}`");
                c.error(op_at, message, format!("`{attr}` = {expected}"))
            }
        },
        OpError::Stray { op, attr } => {
            let known = signature.attrs.iter().map(|a| format!("`{}`", a.name));
            let known = known.collect::<Vec<_>>().join(", ");
            let expected = if known.is_empty() {
                "no attributes".into()
            } else {
                known
            };
            let message = format!("`{op}` has no attribute `{}`", clipped(attr));
            c.error(find(attr).unwrap_or(op_at), message, expected)
        }
    }
}

/// Attributes up to the closing brace, each of which `one` reads.
fn list(c: &mut Cursor, one: fn(&mut Cursor) -> Result<Written>) -> Result<Vec<Written>> {
    let mut written: Vec<Written> = Vec::new();
    loop {
        let attr = one(c)?;
        if written.iter().any(|w| w.name == attr.name) {
            let message = format!("attribute `{}` is given twice", clipped(&attr.name));
            return Err(c.error(attr.at, message, "each attribute once"));
        }
        written.push(attr);
        if !c.eat(",") {
            break;
        }
    }
    c.expect("}")?;
    Ok(written)
}

/// An attribute, which may be a case with constants of its own.
fn attr(c: &mut Cursor) -> Result<Written> {
    named(c, |c| {
        let word = c.peek_word();
        if !names_case(word) {
            return constant(c);
        }
        c.expect_word(word)?;
        let fields = match c.eat("{") {
            true => list(c, |c| named(c, case_constant))?,
            false => Vec::new(),
        };
        Ok(Attr::Case(word.to_string(), pairs(fields)))
    })
}

/// A constant of a case, which may be a case without constants.
fn case_constant(c: &mut Cursor) -> Result<Attr> {
    let word = c.peek_word();
    if !names_case(word) {
        return constant(c);
    }
    c.expect_word(word)?;
    Ok(Attr::Case(word.to_string(), Vec::new()))
}

/// Whether a word is neither a number nor an element type; `inf` and `nan` are misplaced numbers.
fn names_case(word: &str) -> bool {
    let is_name = word.starts_with(|c: char| c.is_ascii_alphabetic());
    is_name && DType::from_name(word).is_none() && word.parse::<f32>().is_err()
}

/// A constant, which may be a group.
fn constant(c: &mut Cursor) -> Result<Attr> {
    match c.eat("{") {
        true => Ok(Attr::Group(pairs(list(c, |c| named(c, simple))?))),
        false => simple(c),
    }
}

fn pairs(written: Vec<Written>) -> Vec<(String, Attr)> {
    written.into_iter().map(|w| (w.name, w.value)).collect()
}

fn named(c: &mut Cursor, value: impl Fn(&mut Cursor) -> Result<Attr>) -> Result<Written> {
    let at = c.here();
    let name = c.word("an attribute's name")?.to_string();
    c.expect("=")?;
    let value = value(c)?;
    Ok(Written { name, value, at })
}

fn simple(c: &mut Cursor) -> Result<Attr> {
    match c.eat("[") {
        true => numbers(c),
        false => scalar(c),
    }
}

/// A list of numbers, behind its bracket: whole ones, unless the first has a point or an exponent.
fn numbers(c: &mut Cursor) -> Result<Attr> {
    if c.eat("]") {
        return Ok(Attr::Ints(SmallVec::new()));
    }
    match float(c.peek_word()) {
        Some(_) => floats(c).map(Attr::Floats),
        None => ints(c),
    }
}

fn floats(c: &mut Cursor) -> Result<Vec<f32>> {
    let expected = "a finite number with a point or an exponent";
    let mut list = Vec::new();
    loop {
        let at = c.here();
        let word = c.number_word(expected)?;
        let x = float(word);
        list.push(x.ok_or_else(|| c.error(at, format!("found `{}`", clipped(word)), expected))?);
        if !c.eat(",") {
            c.expect("]")?;
            return Ok(list);
        }
    }
}

/// Whole numbers, or the indices of each rank.
fn ints(c: &mut Cursor) -> Result<Attr> {
    let mut list = SmallVec::new();
    loop {
        let at = c.here();
        let n = c.int("a whole number")?;
        if list.is_empty() && c.eat("..") {
            return Ok(Attr::Parts(parts(c, n)?));
        }
        let n = u32::try_from(n);
        list.push(n.map_err(|_| c.error(at, "the number is too large", "at most 4294967295"))?);
        if !c.eat(",") {
            c.expect("]")?;
            return Ok(Attr::Ints(list));
        }
    }
}

/// Rows of one rank after another, behind the first of all and its dots.
fn parts(c: &mut Cursor, first: usize) -> Result<Parts> {
    let mut all = vec![rows_from(c, first)?];
    while c.eat("|") {
        all.push(rows(c)?);
    }
    c.expect("]")?;
    Ok(Parts::new(all))
}

fn scalar(c: &mut Cursor) -> Result<Attr> {
    let expected = "a whole number, a finite float, a list `[1, 2]` or an element type";
    let at = c.here();
    let word = c.number_word(expected)?;
    if let Some(dtype) = DType::from_name(word) {
        return Ok(Attr::DType(dtype));
    }
    let number = if word.chars().all(|c| c.is_ascii_digit()) {
        word.parse().ok().map(Attr::Int)
    } else {
        float(word).map(Attr::Float)
    };
    number.ok_or_else(|| c.error(at, format!("found `{}`", clipped(word)), expected))
}

/// A finite number with a point or an exponent; `inf` and `nan` are none.
fn float(word: &str) -> Option<f32> {
    let digits = word.strip_prefix('-').unwrap_or(word);
    if !digits.starts_with(|c: char| c.is_ascii_digit()) || !word.contains(['.', 'e', 'E']) {
        return None;
    }
    word.parse().ok().filter(|x: &f32| x.is_finite())
}
