//! Reads rules.

use super::{Item, Kind, Rule};

/// Most repetitions that can be asked for.
const MOST_REPEATED: u32 = 100_000;

/// Most brackets within one another.
const MOST_DEPTH: usize = 64;

/// All rules of a grammar.
pub(super) fn rules(text: &str) -> Result<Vec<Rule>, String> {
    let mut reader = Reader {
        text,
        at: 0,
        depth: 0,
    };
    let mut rules: Vec<Rule> = Vec::new();
    reader.space(true);
    while reader.peek().is_some() {
        let line = reader.line();
        let name = reader.name()?;
        reader.space(false);
        if !reader.eat("::=") {
            return Err(reader.expected("`::=`"));
        }
        reader.space(true);
        let choices = reader.choices()?;
        match reader.peek() {
            None | Some('\n' | '\r') => reader.space(true),
            Some(_) => return Err(reader.expected("the end of the rule")),
        }
        if let Some(first) = rules.iter().find(|rule| rule.name == name) {
            let first = first.line;
            return Err(format!(
                "line {line}: rule `{name}` is defined in line {first} already"
            ));
        }
        rules.push(Rule {
            name,
            line,
            choices,
        });
    }
    Ok(rules)
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    /// Brackets that are open.
    depth: usize,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn eat(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    fn line(&self) -> usize {
        1 + self.text[..self.at].matches('\n').count()
    }

    fn fault(&self, message: impl std::fmt::Display) -> String {
        let before = &self.text[..self.at];
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        format!("line {}, column {column}: {message}", self.line())
    }

    fn expected(&self, what: &str) -> String {
        let found = match self.peek() {
            None => "the end".into(),
            Some(found) => format!("{found:?}"),
        };
        self.fault(format_args!("expected {what}, found {found}"))
    }

    /// Skips space and comments, and line breaks where they are allowed.
    fn space(&mut self, breaks: bool) {
        while let Some(next) = self.peek() {
            match next {
                ' ' | '\t' => self.at += 1,
                '\n' | '\r' if breaks => self.at += 1,
                '#' => self.at += self.rest().find(['\n', '\r']).unwrap_or(self.rest().len()),
                _ => return,
            }
        }
    }

    fn name(&mut self) -> Result<String, String> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let rest = self.rest();
        let name = rest[..rest.find(|c| !is_name(c)).unwrap_or(rest.len())].to_owned();
        if name.is_empty() {
            return Err(self.expected("the name of a rule"));
        }
        self.at += name.len();
        Ok(name)
    }

    fn choices(&mut self) -> Result<Vec<Vec<Item>>, String> {
        let mut choices = vec![self.sequence()?];
        while self.eat("|") {
            self.space(true);
            choices.push(self.sequence()?);
        }
        Ok(choices)
    }

    fn sequence(&mut self) -> Result<Vec<Item>, String> {
        let mut items = Vec::new();
        while let Some(kind) = self.kind()? {
            let (least, most) = self.repetition()?;
            items.push(Item { kind, least, most });
            self.space(self.depth > 0);
        }
        Ok(items)
    }

    fn kind(&mut self) -> Result<Option<Kind>, String> {
        Ok(Some(match self.peek() {
            Some('"') => Kind::Literal(self.literal()?),
            Some('[') => self.class()?,
            Some('.') => {
                self.at += 1;
                Kind::Any
            }
            Some('(') => {
                self.at += 1;
                self.depth += 1;
                if self.depth > MOST_DEPTH {
                    return Err(
                        self.fault(format_args!("more than {MOST_DEPTH} brackets are open"))
                    );
                }
                self.space(true);
                let choices = self.choices()?;
                if !self.eat(")") {
                    return Err(self.expected("`)`"));
                }
                self.depth -= 1;
                Kind::Group(choices)
            }
            Some('<' | '!') => self.token()?,
            Some(c) if c.is_ascii_alphanumeric() || c == '_' => {
                let start = self.at;
                let name = self.name()?;
                // The next rule, within a group that is not closed.
                self.space(false);
                if self.depth > 0 && self.rest().starts_with("::=") {
                    self.at = start;
                    return Err(self.expected("`)`"));
                }
                Kind::Rule(name)
            }
            _ => return Ok(None),
        }))
    }

    fn literal(&mut self) -> Result<String, String> {
        self.at += 1;
        let mut text = String::new();
        loop {
            match self.peek() {
                None | Some('\n' | '\r') => return Err(self.expected("`\"`")),
                Some('"') => {
                    self.at += 1;
                    return Ok(text);
                }
                Some(_) => text.push(self.character()?),
            }
        }
    }

    fn class(&mut self) -> Result<Kind, String> {
        self.at += 1;
        let negated = self.eat("^");
        let mut ranges = Vec::new();
        while !self.eat("]") {
            if self.peek().is_none_or(|c| c == '\n' || c == '\r') {
                return Err(self.expected("`]`"));
            }
            let first = self.character()?;
            let is_range = self.rest().starts_with('-') && !self.rest().starts_with("-]");
            let last = match is_range {
                true => {
                    self.at += 1;
                    self.character()?
                }
                false => first,
            };
            if first > last {
                return Err(self.fault(format_args!("{first:?} stands behind {last:?}")));
            }
            ranges.push((first, last));
        }
        match ranges.is_empty() {
            true => Err(self.fault("a class of no characters")),
            false => Ok(Kind::Class(negated, ranges)),
        }
    }

    /// A character of a literal or a class, which may be escaped.
    fn character(&mut self) -> Result<char, String> {
        let Some(next) = self.next() else {
            return Err(self.expected("a character"));
        };
        if next != '\\' {
            return Ok(next);
        }
        let digits = match self.next() {
            Some('x') => 2,
            Some('u') => 4,
            Some('U') => 8,
            Some('t') => return Ok('\t'),
            Some('r') => return Ok('\r'),
            Some('n') => return Ok('\n'),
            Some(same @ ('\\' | '"' | '[' | ']' | '-' | '^')) => return Ok(same),
            _ => return Err(self.fault("an escape that is not known")),
        };
        let code = self.rest().get(..digits);
        let code = code.filter(|code| code.bytes().all(|b| b.is_ascii_hexdigit()));
        let code = code.and_then(|code| u32::from_str_radix(code, 16).ok());
        let Some(found) = code.and_then(char::from_u32) else {
            return Err(self.fault(format_args!("expected {digits} digits of a character")));
        };
        self.at += digits;
        Ok(found)
    }

    /// `<[ID]>` and `<TEXT>`; `!<[ID]>` is any other token.
    fn token(&mut self) -> Result<Kind, String> {
        let other = self.eat("!");
        let end = self.rest().find('>');
        let token = end.map(|end| self.rest()[..=end].to_owned());
        let token = token.filter(|t| t.starts_with('<') && !t.contains(char::is_whitespace));
        let Some(token) = token else {
            return Err(self.expected("a token such as `<think>` or `<[1234]>`"));
        };
        let id = token.strip_prefix("<[").and_then(|t| t.strip_suffix("]>"));
        let token = match (id, other) {
            (Some(id), _) if id.parse::<u32>().is_err() => {
                return Err(self.expected("a token's id"));
            }
            (Some(id), true) => format!("<[^{id}]>"),
            (None, true) => {
                return Err(
                    self.fault("any token but one is supported by id alone, as `!<[1234]>`")
                );
            }
            (_, false) => token.clone(),
        };
        self.at += end.map_or(0, |end| end + 1);
        Ok(Kind::Token(token))
    }

    fn repetition(&mut self) -> Result<(u32, Option<u32>), String> {
        let start = self.at;
        self.space(false);
        let found = match self.peek() {
            Some('*') => (0, None),
            Some('+') => (1, None),
            Some('?') => (0, Some(1)),
            Some('{') => return self.counted(),
            _ => {
                self.at = start;
                return Ok((1, Some(1)));
            }
        };
        self.at += 1;
        if matches!(self.peek(), Some('*' | '+' | '?' | '{')) {
            return Err(self.fault("one repetition behind another; put the first into brackets"));
        }
        Ok(found)
    }

    fn counted(&mut self) -> Result<(u32, Option<u32>), String> {
        let within = self
            .rest()
            .find('}')
            .map(|end| self.rest()[1..end].to_owned());
        let Some(within) = within else {
            return Err(self.expected("`{N}`, `{N,}` or `{N,M}`"));
        };
        let number = |text: &str| text.trim().parse().ok().filter(|n| *n <= MOST_REPEATED);
        let counts = match within.split_once(',') {
            None => number(&within).map(|n| (n, Some(n))),
            Some((least, "")) => number(least).map(|n| (n, None)),
            Some((least, most)) => number(least).zip(number(most)).map(|(a, b)| (a, Some(b))),
        };
        match counts {
            Some((least, most)) if most.is_none_or(|most| least <= most) => {
                self.at += within.len() + 2;
                Ok((least, most))
            }
            _ => Err(self.fault(format_args!(
                "expected `{{N}}`, `{{N,}}` or `{{N,M}}` up to {MOST_REPEATED}, found `{{{within}}}`"
            ))),
        }
    }
}
