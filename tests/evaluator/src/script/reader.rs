//! Reads one line of a script.

use super::{Content, Run, ScriptError};

/// The characters of a line and of those that continue it.
pub(super) struct Reader {
    chars: Vec<(char, [usize; 2])>,
    at: usize,
    line: usize,
}

type Result<T> = std::result::Result<T, ScriptError>;

impl Reader {
    /// Lines with their numbers; each begins with `;`.
    pub(super) fn new(lines: &[(usize, &str)]) -> Reader {
        let mut chars = Vec::new();
        for (number, line) in lines {
            let columns = line.chars().zip(1..).skip(1);
            chars.extend(columns.map(|(c, column)| (c, [*number, column])));
            chars.push((' ', [*number, line.chars().count() + 1]));
        }
        Reader {
            chars,
            at: 0,
            line: lines.first().map_or(0, |(number, _)| *number),
        }
    }

    /// `weight @name = content`
    pub(super) fn weight(&mut self) -> Result<(String, Content)> {
        self.expect("weight")?;
        self.expect("@")?;
        let name = self.name()?;
        self.expect("=")?;
        let content = self.content()?;
        self.end()?;
        Ok((name, content))
    }

    /// `run: @graph(%name = content, …) == %name = content, …`
    pub(super) fn run(&mut self) -> Result<Run> {
        self.expect("run:")?;
        self.expect("@")?;
        let graph = self.name()?;
        self.expect("(")?;
        let mut inputs = Vec::new();
        while !self.take(")") {
            if !inputs.is_empty() {
                self.expect(",")?;
            }
            inputs.push(self.named()?);
        }
        let mut expected = Vec::new();
        if self.take("==") {
            expected.push(self.named()?);
            while self.take(",") {
                expected.push(self.named()?);
            }
        }
        self.end()?;
        let line = self.line;
        Ok(Run {
            line,
            graph,
            inputs,
            expected,
        })
    }

    /// `%name = content`
    fn named(&mut self) -> Result<(String, Content)> {
        self.expect("%")?;
        let name = self.name()?;
        self.expect("=")?;
        Ok((name, self.content()?))
    }

    fn content(&mut self) -> Result<Content> {
        if self.take("fill") {
            let seed = self.whole()?;
            let dims = match self.take("[") {
                true => Some(self.dims()?),
                false => None,
            };
            return Ok(Content::Fill { seed, dims });
        }
        self.expect("[")?;
        let mut data = Vec::new();
        let dims = self.list(&mut data)?;
        Ok(Content::List { dims, data })
    }

    /// What stands behind `[`; its dimensions, with its numbers added to `data`.
    fn list(&mut self, data: &mut Vec<f64>) -> Result<Vec<usize>> {
        let mut parts: Vec<Vec<usize>> = Vec::new();
        while !self.take("]") {
            if !parts.is_empty() {
                self.expect(",")?;
            }
            let part = match self.take("[") {
                true => self.list(data)?,
                false => {
                    data.push(self.number()?);
                    Vec::new()
                }
            };
            if parts.first().is_some_and(|first| *first != part) {
                return self.fail("it has another length than what stands before it");
            }
            parts.push(part);
        }
        let first = parts.first().cloned().unwrap_or_default();
        Ok([vec![parts.len()], first].concat())
    }

    fn dims(&mut self) -> Result<Vec<usize>> {
        let mut dims = Vec::new();
        while !self.take("]") {
            if !dims.is_empty() {
                self.expect(",")?;
            }
            dims.push(self.whole()? as usize);
        }
        Ok(dims)
    }

    fn whole(&mut self) -> Result<u64> {
        let word = self.word(|c| c.is_ascii_digit());
        word.parse()
            .or_else(|_| self.fail("expected a whole number"))
    }

    fn number(&mut self) -> Result<f64> {
        let start = self.at;
        let word = self.word(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
        word.parse().or_else(|_| {
            self.at = start;
            self.fail("expected a number")
        })
    }

    fn name(&mut self) -> Result<String> {
        let name = self.word(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
        match name.is_empty() {
            true => self.fail("expected a name"),
            false => Ok(name),
        }
    }

    fn word(&mut self, of: impl Fn(char) -> bool) -> String {
        self.space();
        let rest = self.chars[self.at..].iter().map(|(c, _)| *c);
        let word: String = rest.take_while(|c| of(*c)).collect();
        self.at += word.chars().count();
        word
    }

    fn space(&mut self) {
        let rest = self.chars[self.at..].iter();
        self.at += rest.take_while(|(c, _)| c.is_whitespace()).count();
    }

    fn take(&mut self, text: &str) -> bool {
        self.space();
        let rest = self.chars[self.at..].iter().map(|(c, _)| *c);
        let found = rest.take(text.len()).eq(text.chars());
        if found {
            self.at += text.len();
        }
        found
    }

    fn expect(&mut self, text: &str) -> Result<()> {
        match self.take(text) {
            true => Ok(()),
            false => self.fail(format!("expected `{text}`")),
        }
    }

    fn end(&mut self) -> Result<()> {
        self.space();
        match self.at == self.chars.len() {
            true => Ok(()),
            false => self.fail("expected the end of the line"),
        }
    }

    fn fail<T>(&self, message: impl Into<String>) -> Result<T> {
        let at = self.chars.get(self.at).or(self.chars.last());
        let [line, column] = at.map_or([self.line, 1], |(_, place)| *place);
        let message = message.into();
        Err(ScriptError {
            line,
            column,
            message,
        })
    }
}
