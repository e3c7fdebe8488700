//! The page: one file with its style, its script and its data, that asks nobody for anything.

use std::io::{self, Write};

use serde::Serialize;

use crate::cli::screen;

/// A module of the page's script.
struct Module {
    name: &'static str,
    text: &'static str,
}

macro_rules! module {
    ($folder:literal, $name:literal) => {
        Module {
            name: $name,
            text: include_str!(concat!($folder, $name, ".js")),
        }
    };
}

/// In an order in which each stands behind those that it imports.
const MODULES: &[Module] = &[
    module!("../../serve/page/", "dom"),
    module!("../../serve/page/", "bars"),
    module!("../../serve/page/", "kinds"),
    module!("../../serve/page/", "lanes"),
    module!("../../serve/page/", "themes"),
    module!("page/", "data"),
    module!("page/", "identity"),
    module!("page/", "times"),
    module!("page/", "stack"),
    module!("page/", "draw"),
    module!("page/", "pane"),
    module!("page/", "details"),
    module!("page/", "passes"),
    module!("page/", "plan"),
    module!("page/", "roofline"),
    module!("page/", "costs"),
    module!("page/", "search"),
    module!("page/", "main"),
];

const STYLES: &[&str] = &[
    include_str!("../../serve/page/colours.css"),
    include_str!("../../serve/page/steps.css"),
    include_str!("page/viewer.css"),
];

const THEME: &str = include_str!("../../serve/page/theme.js");

const PAGE: &str = include_str!("page/index.html");

pub(super) fn write(document: &impl Serialize, out: &mut impl Write) -> io::Result<()> {
    let parts = [
        ("<!-- style -->", STYLES.concat()),
        ("<!-- theme -->", THEME.to_string()),
        ("<!-- data -->", data(document)?),
        ("<!-- script -->", script()),
    ];
    let mut rest = PAGE;
    for (place, text) in &parts {
        let (before, after) = rest.split_once(place).unwrap_or((rest, ""));
        out.write_all(before.as_bytes())?;
        out.write_all(text.as_bytes())?;
        rest = after;
    }
    out.write_all(rest.as_bytes())
}

/// JSON in which nothing can end the element that it stands in or begin another, and nothing is
/// there that a terminal would obey.
fn data(document: &impl Serialize) -> io::Result<String> {
    let mut json = Vec::new();
    serde_json::to_writer(screen::json(&mut json), document)?;
    let json = String::from_utf8_lossy(&json);
    let mut safe = String::with_capacity(json.len() + json.len() / 16);
    for c in json.chars() {
        match c {
            '<' | '>' | '&' => safe.push_str(&format!("\\u{:04x}", c as u32)),
            _ => safe.push(c),
        }
    }
    Ok(safe)
}

/// The modules as one script, since a file of its own cannot import: each becomes a function that
/// gives its exports, an import takes them from the one that it names.
fn script() -> String {
    MODULES.iter().map(Module::as_function).collect()
}

impl Module {
    fn as_function(&self) -> String {
        let mut out = format!("const module_{} = (() => {{\n", self.name);
        let mut exports = Vec::new();
        for line in self.text.lines() {
            let line = match line.strip_prefix("export ") {
                Some(exported) => {
                    exports.extend(declared(exported));
                    exported
                }
                None => line,
            };
            match imported(line) {
                Some((names, module)) => out += &format!("const {names} = module_{module};\n"),
                None => out.extend([line, "\n"]),
            }
        }
        out + &format!("return {{ {} }};\n}})();\n", exports.join(", "))
    }
}

/// `function name(…` or `const name = …`.
fn declared(line: &str) -> Option<&str> {
    let name = line
        .split(' ')
        .find(|word| !["async", "function", "const", "class"].contains(word));
    name?.split('(').next()
}

/// The names, in braces, and the module of `import { a, b } from "./module.js";`.
fn imported(line: &str) -> Option<(&str, &str)> {
    let (names, from) = line.strip_prefix("import ")?.split_once(" from \"./")?;
    Some((names, from.strip_suffix(".js\";")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_the_data_ends_its_element() {
        let text = "</script><!--<script>&\u{2028}\u{2029}]]>";
        let json = data(&text).unwrap();
        assert!(
            !json.contains(['<', '>', '&', '\u{2028}', '\u{2029}']),
            "{json}"
        );
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
    }

    #[test]
    fn the_page_has_a_place_for_each_part_and_no_part_ends_its_element() {
        let mut page = Vec::new();
        write(&"the data", &mut page).unwrap();
        let page = String::from_utf8(page).unwrap();
        assert_eq!(page.matches("<!-- ").count(), 0);
        assert_eq!(page.matches("</script").count(), 3);
        assert_eq!(page.matches("</style").count(), 1);
        assert!(page.contains("\"the data\"") && !page.contains("\nimport "));
    }
}
