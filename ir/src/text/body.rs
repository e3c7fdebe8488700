//! Reads one graph: its signature, its ops and what it returns.

use std::collections::HashMap;

use smallvec::SmallVec;

use crate::builder::Builder;
use crate::graph::{Graph, Operand, ResultInfo, Value};
use crate::module::Symbols;
use crate::op::Op;
use crate::signature::Signature;
use crate::text::attrs::attrs;
use crate::text::error::{ParseError, nearest};
use crate::text::lexer::{Cursor, Result, clipped};
use crate::text::parser::{letter, symbol, tensor_type};
use crate::types::TensorType;

/// How the text calls a value.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Key {
    Number(u64),
    Name(String),
}

/// An output as the signature declares it.
struct Output {
    name: String,
    ty: TensorType,
}

/// The graph being read.
pub(crate) struct Body<'c, 'a, 'm> {
    c: &'c mut Cursor<'a>,
    builder: Builder<'m>,
    values: HashMap<Key, Value>,
}

impl<'c, 'a, 'm> Body<'c, 'a, 'm> {
    /// Reads a graph from behind its name.
    pub(crate) fn parse(c: &'c mut Cursor<'a>, symbols: &'m mut Symbols) -> Result<Graph> {
        let mut body = Body {
            c,
            builder: Builder::new(symbols),
            values: HashMap::new(),
        };
        body.inputs()?;
        let outputs = body.declared_outputs()?;
        body.bounds()?;
        body.c.expect("{")?;
        while !body.c.eat_word("return") {
            body.op()?;
        }
        body.returned(&outputs)?;
        body.c.expect("}")?;
        Ok(body.builder.finish())
    }

    fn inputs(&mut self) -> Result<()> {
        self.c.expect("(")?;
        if self.c.eat(")") {
            return Ok(());
        }
        loop {
            let at = self.c.here();
            let name = self.declared_name("an input, `%name`")?;
            self.c.expect(":")?;
            let info = self.result()?;
            let value = self.builder.input(&name, info.ty);
            if let Some(reference) = info.name {
                self.builder.name(value, reference);
            }
            self.define(Key::Name(name), value, at)?;
            if !self.c.eat(",") {
                return self.c.expect(")");
            }
        }
    }

    fn declared_outputs(&mut self) -> Result<Vec<Output>> {
        let mut outputs: Vec<Output> = Vec::new();
        self.c.expect("->")?;
        self.c.expect("(")?;
        if self.c.eat(")") {
            return Ok(outputs);
        }
        loop {
            let at = self.c.here();
            let name = self.declared_name("an output, `%name`")?;
            self.c.expect(":")?;
            let ty = tensor_type(self.c)?;
            if outputs.iter().any(|o| o.name == name) {
                let message = format!("output %{} is declared twice", clipped(&name));
                return Err(self.c.error(at, message, "a name of its own"));
            }
            outputs.push(Output { name, ty });
            if !self.c.eat(",") {
                self.c.expect(")")?;
                return Ok(outputs);
            }
        }
    }

    fn bounds(&mut self) -> Result<()> {
        if !self.c.eat_word("where") {
            return Ok(());
        }
        let mut seen = Vec::new();
        loop {
            let at = self.c.here();
            let symbol = letter(self.c, "a letter A-Z")?;
            if seen.contains(&symbol) {
                let message = format!("{symbol} has two ranges");
                return Err(self.c.error(at, message, "one range for each letter"));
            }
            seen.push(symbol);
            self.c.expect_word("in")?;
            let low = self.c.int("the lower bound")?;
            self.c.expect("..=")?;
            let high = self.c.int("the upper bound")?;
            self.builder.bound(symbol, low..=high);
            if !self.c.eat(",") {
                return Ok(());
            }
        }
    }

    fn op(&mut self) -> Result<()> {
        let mut results = Vec::new();
        if self.c.peek() == Some('%') {
            loop {
                results.push((self.c.here(), self.key("a value, `%0`")?));
                if !self.c.eat(",") {
                    break;
                }
            }
            self.c.expect("=")?;
        }
        let at = self.c.here();
        let signature = self.mnemonic()?;
        let written = self.operands()?;
        let op = attrs(self.c, signature, at)?;
        let operands = self.checked(&op, written)?;
        let infos = self.result_types(at, results.len())?;
        let node = self.builder.declared(op, &operands, infos);
        for (result, (at, key)) in results.into_iter().enumerate() {
            let result = result as u16;
            self.define(key, Value { node, result }, at)?;
        }
        Ok(())
    }

    fn mnemonic(&mut self) -> Result<&'static Signature> {
        let at = self.c.here();
        let word = self.c.peek_word();
        if word.is_empty() {
            return Err(self.c.unexpected_here("an op or `return`"));
        }
        self.c.expect_word(word)?;
        let mut all = Op::SIGNATURES.iter();
        all.find(|s| s.mnemonic == word).ok_or_else(|| {
            let near = nearest(word, Op::SIGNATURES.iter().map(|s| s.mnemonic));
            let expected = near.map_or("an op or `return`".into(), |n| format!("`{n}`"));
            self.c
                .error(at, format!("there is no op `{}`", clipped(word)), expected)
        })
    }

    /// Operands with the places where they stand.
    fn operands(&mut self) -> Result<Vec<(Operand, usize)>> {
        let mut operands = Vec::new();
        // What stands on a line of its own is the next op's.
        let starts = |c: &mut Cursor| {
            !c.at_line_end() && (matches!(c.peek(), Some('%' | '@')) || c.peek_word() == "state")
        };
        if !starts(self.c) {
            return Ok(operands);
        }
        loop {
            let at = self.c.here();
            operands.push((self.operand()?, at));
            if !self.c.eat(",") {
                return Ok(operands);
            }
        }
    }

    fn operand(&mut self) -> Result<Operand> {
        if self.c.eat_word("state") {
            return self.state();
        }
        match self.c.peek() {
            Some('@') => self.weight(),
            Some('%') => Ok(Operand::Value(self.value()?)),
            _ => Err(self
                .c
                .unexpected("an operand: `%value`, `@weight` or `state @name`")),
        }
    }

    fn state(&mut self) -> Result<Operand> {
        let (name, at) = symbol(self.c, "a state, `@name`")?;
        let symbols = self.builder.symbols();
        let found = symbols.find_state(&name);
        found.map(Operand::State).ok_or_else(|| {
            let near = nearest(&name, symbols.states().map(|(_, n, _)| n));
            undeclared(self.c, at, "state", &name, near)
        })
    }

    fn weight(&mut self) -> Result<Operand> {
        let (name, at) = symbol(self.c, "a weight, `@name`")?;
        let symbols = self.builder.symbols();
        if let Some(weight) = symbols.find_weight(&name) {
            return Ok(Operand::Weight(weight));
        }
        if symbols.find_state(&name).is_some() {
            let message = format!("@{} is a state", clipped(&name));
            let expected = format!("`state @{}`", clipped(&name));
            return Err(self.c.error(at, message, expected));
        }
        let near = nearest(&name, symbols.weights().map(|(_, n, _)| n));
        Err(undeclared(self.c, at, "weight", &name, near))
    }

    fn value(&mut self) -> Result<Value> {
        let at = self.c.here();
        let key = self.key("a value, `%0`")?;
        let found = self.values.get(&key);
        found.copied().ok_or_else(|| {
            let message = format!("{} is not defined above", shown(&key));
            self.c
                .error(at, message, "an input or a result of an op above")
        })
    }

    /// No more operands than slots, and states in the slots of states alone: effects follow from
    /// them. All else is left to the verifier.
    fn checked(&self, op: &Op, written: Vec<(Operand, usize)>) -> Result<Vec<Operand>> {
        for (slot, (operand, at)) in written.iter().enumerate() {
            self.check_slot(op, slot, *operand, *at)?;
        }
        Ok(written.into_iter().map(|(operand, _)| operand).collect())
    }

    fn check_slot(&self, of: &Op, slot: usize, operand: Operand, at: usize) -> Result<()> {
        let op = of.mnemonic();
        let Some(spec) = of.operand(slot) else {
            let message = format!("`{op}` takes {}", operand_count(of.operands().count()));
            return Err(self.c.error(at, message, "no further operand"));
        };
        let is_state = matches!(operand, Operand::State(_));
        let (message, expected) = match (spec.kind.is_state(), is_state) {
            (true, true) | (false, false) => return Ok(()),
            (true, false) => ("is no state", "`state @name`"),
            (false, true) => ("is a state", "`%value` or `@weight`"),
        };
        let message = format!("operand {slot} ({}) of `{op}` {message}", spec.name);
        Err(self.c.error(at, message, expected))
    }

    fn result_types(&mut self, at: usize, named: usize) -> Result<SmallVec<[ResultInfo; 1]>> {
        let mut infos = SmallVec::new();
        if named > 0 {
            self.c.expect(":")?;
        } else if !self.c.eat(":") {
            return Ok(infos);
        }
        loop {
            infos.push(self.result()?);
            if !self.c.eat(",") {
                break;
            }
        }
        if infos.len() != named || named > usize::from(u16::MAX) {
            let message = format!("results named: {named}, types given: {}", infos.len());
            return Err(self.c.error(at, message, "a type for each result"));
        }
        Ok(infos)
    }

    /// `f32[T, 128] as q_conv-0`.
    fn result(&mut self) -> Result<ResultInfo> {
        let ty = tensor_type(self.c)?;
        let name = if self.c.eat_word("as") {
            let expected = "the name of the reference's tensor";
            // Else a forgotten name would be the next line's first word.
            if self.c.at_line_end() {
                return Err(self.c.unexpected(expected));
            }
            Some(self.c.name(expected)?.0)
        } else {
            None
        };
        Ok(ResultInfo { ty, name })
    }

    fn returned(&mut self, outputs: &[Output]) -> Result<()> {
        for (i, output) in outputs.iter().enumerate() {
            let expected = format!("`%{} = ` and its value", clipped(&output.name));
            if i > 0 && !self.c.eat(",") {
                return Err(self.c.unexpected(format!("`,` and {expected}")));
            }
            let at = self.c.here();
            let (name, _) = self.c.name_after("%", &expected)?;
            if name != output.name {
                let message = format!("found output %{}", clipped(&name));
                return Err(self.c.error(at, message, expected));
            }
            self.c.expect("=")?;
            let at = self.c.here();
            let value = self.value()?;
            let ty = self.builder.ty(value);
            if *ty != output.ty {
                let message = format!("output %{} gets {ty}", clipped(&output.name));
                let expected = format!("{} as declared", output.ty);
                return Err(self.c.error(at, message, expected));
            }
            self.builder.output(&output.name, value);
        }
        Ok(())
    }

    fn define(&mut self, key: Key, value: Value, at: usize) -> Result<()> {
        if self.values.contains_key(&key) {
            let message = format!("{} is defined twice", shown(&key));
            return Err(self.c.error(at, message, "a name or number of its own"));
        }
        self.values.insert(key, value);
        Ok(())
    }

    fn key(&mut self, expected: &str) -> Result<Key> {
        let at = self.c.here();
        let (name, quoted) = self.c.name_after("%", expected)?;
        if quoted || !name.chars().all(|c| c.is_ascii_digit()) {
            return Ok(Key::Name(name));
        }
        let number = name.parse().map(Key::Number);
        number.map_err(|_| {
            self.c
                .error(at, format!("%{} is too large", clipped(&name)), expected)
        })
    }

    /// The name of an input or an output, which is no number.
    fn declared_name(&mut self, expected: &str) -> Result<String> {
        let at = self.c.here();
        match self.key(expected)? {
            Key::Name(name) => Ok(name),
            Key::Number(n) => Err(self.c.error(at, format!("found number %{n}"), expected)),
        }
    }
}

fn operand_count(n: usize) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{n} operand{plural}")
}

fn shown(key: &Key) -> String {
    match key {
        Key::Number(n) => format!("%{n}"),
        Key::Name(name) => format!("%{}", clipped(name)),
    }
}

fn undeclared(c: &Cursor, at: usize, kind: &str, name: &str, near: Option<&str>) -> ParseError {
    let message = format!("{kind} @{} is not declared", clipped(name));
    let expected = near.map_or(format!("a declared {kind}"), |n| format!("@{}", clipped(n)));
    c.error(at, message, expected)
}
