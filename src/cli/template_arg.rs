//! Which chat template.

use std::path::{Path, PathBuf};

use sharpi_chat::template::named;
use sharpi_compile::Model;
use sharpi_compile::conversation::ChatTemplate;
use sharpi_ir::plain::Plain;

use super::failure::Failure;
use super::{notice, text_file};

/// The template of a model whose file has none.
const FALLBACK: &str = "chatml";

#[derive(clap::Args)]
pub(super) struct TemplateArg {
    /// Template of conversations: a name (chatml, qwen3, …), its text, or a file with it [default:
    /// the model's own]
    #[arg(long, value_name = "TEMPLATE", conflicts_with = "chat_template_file")]
    chat_template: Option<String>,
    /// File with the template of conversations
    #[arg(long, value_name = "FILE")]
    chat_template_file: Option<PathBuf>,
}

impl TemplateArg {
    /// The options that were given.
    pub(super) fn given(&self) -> impl Iterator<Item = &'static str> {
        let given = [
            ("--chat-template", self.chat_template.is_some()),
            ("--chat-template-file", self.chat_template_file.is_some()),
        ];
        given
            .into_iter()
            .filter_map(|(name, given)| given.then_some(name))
    }

    /// The template to talk to a model with.
    pub(super) fn read(&self, model: &Model) -> Result<ChatTemplate, Failure> {
        let source = match (&self.chat_template_file, &self.chat_template) {
            (Some(path), _) => text_file::read(path)?,
            (None, Some(given)) => meant(given)?,
            (None, None) => own(model),
        };
        Ok(ChatTemplate::parse(&source)?)
    }
}

/// The source that a name, a text or a file stands for.
fn meant(given: &str) -> Result<String, Failure> {
    if let Some(source) = named::source(given) {
        return Ok(source.into());
    }
    if ["{{", "{%"].iter().any(|open| given.contains(open)) {
        return Ok(given.into());
    }
    if Path::new(given).is_file() {
        return text_file::read(Path::new(given));
    }
    let names: Vec<&str> = named::names().collect();
    Err(Failure::usage(
        format!(
            "`{}` is no template: not a name, not a file, and no text with {{{{ or {{% in it",
            Plain(given)
        ),
        format!("the names are {}", names.join(", ")),
    ))
}

/// The template of the model's file.
fn own(model: &Model) -> String {
    let own = model.gguf().get("tokenizer.chat_template");
    match own.and_then(|value| value.as_str()) {
        Some(source) => source.into(),
        None => {
            notice::warn(format_args!(
                "the file has no chat template; {FALLBACK} is used, --chat-template names another"
            ));
            named::source(FALLBACK).unwrap_or_default().into()
        }
    }
}
