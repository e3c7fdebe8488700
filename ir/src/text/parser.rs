//! Reads the textual form: the module, its declarations, and the types in them.

use crate::module::{Module, Weight};
use crate::rows::RowSet;
use crate::text::body::Body;
use crate::text::error::{ParseError, nearest};
use crate::text::lexer::{Cursor, Result, clipped};
use crate::types::{DType, Dim, Index, Shape, StateType, Symbol, TensorType};

/// Reads a module. Types are taken as declared; [`verify`](crate::verify) judges them.
pub fn parse(text: &str) -> std::result::Result<Module, ParseError> {
    let mut c = Cursor::new(text);
    c.expect_word("module")?;
    let mut module = Module::new(symbol(&mut c, "the module's name, `@name`")?.0);
    c.expect("{")?;
    while !c.eat("}") {
        match c.peek_word() {
            "weight" => weight(&mut c, &mut module)?,
            "state" => state(&mut c, &mut module)?,
            "graph" => {
                c.expect_word("graph")?;
                let (name, at) = symbol(&mut c, "the graph's name, `@name`")?;
                let graph = Body::parse(&mut c, &mut module.symbols)?;
                if module.graphs.insert(name.clone(), graph).is_some() {
                    return Err(twice(&c, at, "graph", &name));
                }
            }
            _ => return Err(c.unexpected_here("`weight`, `state`, `graph` or `}`")),
        }
    }
    match c.peek() {
        None => Ok(module),
        Some(_) => Err(c.unexpected_here("the end of the text")),
    }
}

/// `@name` and its offset.
pub(crate) fn symbol(c: &mut Cursor, expected: &str) -> Result<(String, usize)> {
    let at = c.here();
    let (name, _) = c.name_after("@", expected)?;
    Ok((name, at))
}

fn twice(c: &Cursor, at: usize, kind: &str, name: &str) -> ParseError {
    let message = format!("{kind} @{} is declared twice", clipped(name));
    c.error(at, message, "a name of its own")
}

fn weight(c: &mut Cursor, module: &mut Module) -> Result<()> {
    c.expect_word("weight")?;
    let (name, at) = symbol(c, "the weight's name, `@name`")?;
    c.expect(":")?;
    let ty = tensor_type(c)?;
    c.expect("=")?;
    let source = c.string()?;
    let rows = c.eat_word("rows").then(|| rows(c)).transpose()?;
    if module.symbols.find_weight(&name).is_some() {
        return Err(twice(c, at, "weight", &name));
    }
    let declared = module.symbols.weight(&name, Weight { ty, source, rows });
    declared.map_err(|_| twice(c, at, "weight", &name))?;
    Ok(())
}

/// `0..300, 512..513`.
pub(crate) fn rows(c: &mut Cursor) -> Result<RowSet> {
    let start = c.int("a row")?;
    c.expect("..")?;
    rows_from(c, start)
}

/// [`rows`] behind the first dots.
pub(crate) fn rows_from(c: &mut Cursor, mut start: usize) -> Result<RowSet> {
    let mut ranges = Vec::new();
    loop {
        let at = c.here();
        let end = c.int("the row after the last")?;
        if end <= start {
            return Err(c.error(
                at,
                format!("no row lies in {start}..{end}"),
                "a larger number",
            ));
        }
        ranges.push(start..end);
        if !c.eat(",") {
            return Ok(RowSet::of_ranges(ranges));
        }
        start = c.int("a row")?;
        c.expect("..")?;
    }
}

fn state(c: &mut Cursor, module: &mut Module) -> Result<()> {
    c.expect_word("state")?;
    let (name, at) = symbol(c, "the state's name, `@name`")?;
    c.expect(":")?;
    let ty = if c.eat_word("kv") {
        kv(c)?
    } else {
        StateType::Recurrent(tensor_type(c)?)
    };
    if module.symbols.find_state(&name).is_some() {
        return Err(twice(c, at, "state", &name));
    }
    let declared = module.symbols.state(&name, ty);
    declared.map_err(|_| twice(c, at, "state", &name))?;
    Ok(())
}

/// `<f16>[heads, dim]`, behind `kv`.
fn kv(c: &mut Cursor) -> Result<StateType> {
    c.expect("<")?;
    let k = dtype(c)?;
    let v = if c.eat(",") { dtype(c)? } else { k };
    c.expect(">")?;
    c.expect("[")?;
    let heads = c.int("the number of heads")?;
    c.expect(",")?;
    let dim = c.int("the size of a head")?;
    c.expect("]")?;
    Ok(StateType::Kv { k, v, heads, dim })
}

/// `f32[T, 128]`, `index<2048>[T]`, `position[T]`.
pub(crate) fn tensor_type(c: &mut Cursor) -> Result<TensorType> {
    let index = index(c)?;
    let dtype = match index {
        None => dtype(c)?,
        Some(_) => DType::I32,
    };
    c.expect("[")?;
    let mut shape = Shape::new();
    if !c.eat("]") {
        loop {
            shape.push(dim(c)?);
            if !c.eat(",") {
                break;
            }
        }
        c.expect("]")?;
    }
    Ok(TensorType {
        dtype,
        index,
        shape,
    })
}

/// What whole numbers count, if that is what stands here.
fn index(c: &mut Cursor) -> Result<Option<Index>> {
    if c.eat_word("position") {
        return Ok(Some(Index::Position));
    }
    if !c.eat_word("index") {
        return Ok(None);
    }
    c.expect("<")?;
    let below = dim(c)?;
    c.expect(">")?;
    Ok(Some(Index::Below(below)))
}

fn dim(c: &mut Cursor) -> Result<Dim> {
    let expected = "a dimension: a whole number or a letter A-Z";
    match c.peek() {
        Some('A'..='Z') => Ok(Dim::Sym(letter(c, expected)?)),
        _ => Ok(Dim::Fixed(c.int(expected)?)),
    }
}

/// The letter of a symbolic dimension.
pub(crate) fn letter(c: &mut Cursor, expected: &str) -> Result<Symbol> {
    let at = c.here();
    let word = c.word(expected)?;
    let mut chars = word.chars();
    let symbol = chars.next().and_then(Symbol::new);
    match (symbol, chars.next()) {
        (Some(symbol), None) => Ok(symbol),
        _ => Err(c.error(at, format!("found `{}`", clipped(word)), expected)),
    }
}

fn dtype(c: &mut Cursor) -> Result<DType> {
    let at = c.here();
    let names = DType::ALL.map(DType::name);
    let all = || format!("one of {}, index, position", names.join(", "));
    let word = c.word("an element type")?;
    DType::from_name(word).ok_or_else(|| {
        let near = nearest(word, names.into_iter());
        let expected = near.map_or_else(all, |n| format!("`{n}`"));
        c.error(
            at,
            format!("there is no element type `{}`", clipped(word)),
            expected,
        )
    })
}
