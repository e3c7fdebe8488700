//! Writes rules in Lark's notation.
//!
//! Lark tells words from rules: a word is found by a regular expression, the longest that fits, and
//! rules are made of words. This notation knows characters only. So what does not refer to itself
//! becomes a word as a whole, in as long pieces as can be, for within a word nothing is decided too
//! early.

use std::collections::{HashMap, HashSet};
use std::fmt::Write;

use super::{Item, Kind, Rule};

/// The grammar, beginning at `root`.
pub(super) fn write(rules: &[Rule]) -> Result<String, String> {
    let mut writer = Writer {
        by_name: rules
            .iter()
            .map(|rule| (rule.name.as_str(), rule))
            .collect(),
        ..Writer::default()
    };
    if !writer.by_name.contains_key("root") {
        return Err("the grammar has no rule `root`".into());
    }
    writer.check(rules)?;
    writer.find_words(rules);
    let start = writer.reference("root");
    let mut text = format!("start: {start}\n");
    while let Some(name) = writer.waiting.pop() {
        let rule = writer.by_name[name];
        let body = match writer.words.contains(name) {
            true => writer.word(&rule.choices),
            false => writer.rule(&rule.choices),
        };
        // Writing into a string cannot fail.
        let _ = writeln!(text, "{}: {body}", writer.names[name]);
    }
    for (body, name) in &writer.pieces {
        let _ = writeln!(text, "{name}: {body}");
    }
    Ok(text)
}

#[derive(Default)]
struct Writer<'r> {
    by_name: HashMap<&'r str, &'r Rule>,
    /// Rules that can be words.
    words: HashSet<&'r str>,
    /// Names in Lark's notation.
    names: HashMap<&'r str, String>,
    /// Rules that are referred to and not written.
    waiting: Vec<&'r str>,
    /// Words that are parts of rules.
    pieces: Vec<(String, String)>,
    numbers: HashMap<String, usize>,
}

impl<'r> Writer<'r> {
    /// Every rule that is referred to has to be there.
    fn check(&self, rules: &[Rule]) -> Result<(), String> {
        for rule in rules {
            for name in references(&rule.choices) {
                if !self.by_name.contains_key(name) {
                    return Err(format!(
                        "line {}: rule `{}` refers to `{name}`, which is not defined",
                        rule.line, rule.name
                    ));
                }
            }
        }
        Ok(())
    }

    /// A rule is a word if it names no token, and all rules that it refers to are words: those that
    /// refer to themselves never become one.
    fn find_words(&mut self, rules: &'r [Rule]) {
        let parts = rules.iter().filter(|rule| !has_token(&rule.choices));
        let mut left: HashMap<&str, HashSet<&str>> = parts
            .map(|rule| {
                (
                    rule.name.as_str(),
                    references(&rule.choices).into_iter().collect(),
                )
            })
            .collect();
        let mut users: HashMap<&str, Vec<&str>> = HashMap::new();
        for (name, needs) in &left {
            needs
                .iter()
                .for_each(|need| users.entry(need).or_default().push(name));
        }
        let ready = left.iter().filter(|(_, needs)| needs.is_empty());
        let mut ready: Vec<&str> = ready.map(|(name, _)| *name).collect();
        while let Some(word) = ready.pop() {
            self.words.insert(self.by_name[word].name.as_str());
            for user in users.get(word).into_iter().flatten() {
                if let Some(needs) = left.get_mut(user)
                    && needs.remove(word)
                    && needs.is_empty()
                {
                    ready.push(user);
                }
            }
        }
    }

    fn reference(&mut self, name: &str) -> String {
        let rule = self.by_name[name];
        if let Some(known) = self.names.get(name) {
            return known.clone();
        }
        let number = self.names.len();
        let new = match self.words.contains(name) {
            true => format!("W{number}"),
            false => format!("r{number}"),
        };
        self.names.insert(&rule.name, new.clone());
        self.waiting.push(&rule.name);
        new
    }

    fn is_word(&self, item: &Item) -> bool {
        match &item.kind {
            Kind::Literal(_) | Kind::Class(..) | Kind::Any => true,
            Kind::Token(_) => false,
            Kind::Rule(name) => self.words.contains(name.as_str()),
            Kind::Group(choices) => choices.iter().flatten().all(|item| self.is_word(item)),
        }
    }

    /// The body of a word.
    fn word(&mut self, choices: &[Vec<Item>]) -> String {
        let choices: Vec<String> = choices.iter().map(|items| self.word_items(items)).collect();
        choices.join(" | ")
    }

    fn word_items(&mut self, items: &[Item]) -> String {
        let items: Vec<String> = items.iter().map(|item| self.word_item(item)).collect();
        match items.is_empty() {
            true => "\"\"".into(),
            false => items.join(" "),
        }
    }

    fn word_item(&mut self, item: &Item) -> String {
        let one = match &item.kind {
            Kind::Literal(text) => literal(text),
            Kind::Class(negated, ranges) => class(*negated, ranges),
            Kind::Any => "/(?s:.)/".into(),
            Kind::Rule(name) => self.reference(name),
            Kind::Group(choices) => format!("({})", self.word(choices)),
            Kind::Token(token) => token.clone(),
        };
        repeated(&one, item)
    }

    /// The body of a rule.
    fn rule(&mut self, choices: &[Vec<Item>]) -> String {
        let choices: Vec<String> = choices.iter().map(|items| self.rule_items(items)).collect();
        choices.join(" | ")
    }

    fn rule_items(&mut self, items: &[Item]) -> String {
        let mut parts = Vec::new();
        let mut rest = items;
        while let Some(first) = rest.first() {
            let words = rest.iter().take_while(|item| self.is_word(item)).count();
            if words > 0 {
                let body = self.word_items(&rest[..words]);
                parts.push(self.piece(body));
                rest = &rest[words..];
                continue;
            }
            let one = match &first.kind {
                Kind::Group(choices) => format!("({})", self.rule(choices)),
                Kind::Rule(name) => self.reference(name),
                _ => self.word_item(first),
            };
            parts.push(match first.kind {
                Kind::Token(_) => one,
                _ => repeated(&one, first),
            });
            rest = &rest[1..];
        }
        match parts.is_empty() {
            true => "\"\"".into(),
            false => parts.join(" "),
        }
    }

    /// The name of a word with this body.
    fn piece(&mut self, body: String) -> String {
        let number = self.numbers.len();
        let number = *self.numbers.entry(body.clone()).or_insert(number);
        let name = format!("P{number}");
        if number == self.pieces.len() {
            self.pieces.push((body, name.clone()));
        }
        name
    }
}

fn repeated(one: &str, item: &Item) -> String {
    match (item.least, item.most) {
        (1, Some(1)) => one.into(),
        (0, None) => format!("{one}*"),
        (1, None) => format!("{one}+"),
        (0, Some(1)) => format!("{one}?"),
        (0, Some(0)) => "\"\"".into(),
        (least, None) => format!("{one}{{{least},}}"),
        (least, Some(most)) => format!("{one}{{{least},{most}}}"),
    }
}

fn literal(text: &str) -> String {
    // JSON lets DEL stand for itself, Lark does not.
    serde_json::Value::from(text)
        .to_string()
        .replace('\x7f', "\\u007f")
}

fn class(negated: bool, ranges: &[(char, char)]) -> String {
    let one = |c: char| match c.is_ascii_alphanumeric() {
        true => c.to_string(),
        false => format!("\\x{{{:x}}}", u32::from(c)),
    };
    let ranges = ranges.iter().map(|(first, last)| match first == last {
        true => one(*first),
        false => format!("{}-{}", one(*first), one(*last)),
    });
    let not = if negated { "^" } else { "" };
    format!("/[{not}{}]/", ranges.collect::<String>())
}

fn has_token(choices: &[Vec<Item>]) -> bool {
    choices.iter().flatten().any(|item| match &item.kind {
        Kind::Token(_) => true,
        Kind::Group(choices) => has_token(choices),
        _ => false,
    })
}

/// The rules that are referred to.
fn references(choices: &[Vec<Item>]) -> Vec<&str> {
    let mut found = Vec::new();
    for item in choices.iter().flatten() {
        match &item.kind {
            Kind::Rule(name) => found.push(name.as_str()),
            Kind::Group(choices) => found.extend(references(choices)),
            _ => {}
        }
    }
    found
}
