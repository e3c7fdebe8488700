//! Templates for files that bring none, by the name of the format.

/// The names and sources.
const TEMPLATES: &[(&str, &str)] = &[
    ("chatml", include_str!("named/chatml.jinja")),
    ("deepseek", include_str!("named/deepseek.jinja")),
    ("gemma", include_str!("named/gemma.jinja")),
    ("llama2", include_str!("named/llama2.jinja")),
    ("llama3", include_str!("named/llama3.jinja")),
    ("mistral", include_str!("named/mistral.jinja")),
    ("phi3", include_str!("named/phi3.jinja")),
    ("qwen3", include_str!("named/qwen3.jinja")),
    ("qwen3.5", include_str!("named/qwen3.5.jinja")),
];

/// The names of the templates that are part of the program, in alphabetical order.
pub fn names() -> impl Iterator<Item = &'static str> {
    TEMPLATES.iter().map(|(name, _)| *name)
}

/// The source of a named template.
pub fn source(name: &str) -> Option<&'static str> {
    let found = TEMPLATES.iter().find(|(known, _)| *known == name);
    found.map(|(_, source)| *source)
}
