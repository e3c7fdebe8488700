//! Conversations as prompts: a model's chat template with its tokenizer.

use std::time::{SystemTime, UNIX_EPOCH};

use sharpi_chat::template::{Conversation, Message};
use sharpi_chat::{AnswerFormat, Json, Template, TemplateError};

use crate::tokenizer::Tokenizer;

/// Where reasoning goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ReasoningFormat {
    /// It stays in the text, marks and all.
    None,
    /// To a field of its own: `reasoning_content`, or what an API has for it.
    Deepseek,
}

impl ReasoningFormat {
    /// The format of this name.
    pub fn named(name: &str) -> Option<ReasoningFormat> {
        match name {
            "none" => Some(ReasoningFormat::None),
            "auto" | "deepseek" => Some(ReasoningFormat::Deepseek),
            _ => None,
        }
    }
}

/// A template with what it says of answers.
#[derive(Debug)]
pub struct ChatTemplate {
    template: Template,
    source: String,
    format: AnswerFormat,
}

/// What a template is to show.
#[derive(Clone, Default, Debug)]
pub struct Turns {
    /// The messages, the oldest first.
    pub messages: Vec<Message>,
    /// The tools that the model may call.
    pub tools: Vec<Json>,
    /// Whether the prompt ends where the answer begins.
    pub add_generation_prompt: bool,
    /// Further variables of the template (`chat_template_kwargs`).
    pub variables: Vec<(String, Json)>,
}

/// A prompt as text and as ids.
#[derive(Clone, Debug)]
pub struct ChatPrompt {
    /// The text, special tokens spelt out.
    pub text: String,
    /// Its tokens. Special ones are those that the template wrote, nobody else's.
    pub ids: Vec<u32>,
}

impl ChatTemplate {
    /// Reads a template.
    ///
    /// # Errors
    /// A source that is no template, with the place in it.
    pub fn parse(source: &str) -> Result<ChatTemplate, TemplateError> {
        Ok(ChatTemplate {
            template: Template::parse(source)?,
            format: AnswerFormat::detect(source),
            source: source.into(),
        })
    }

    /// As it was read.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether answers may begin with reasoning.
    pub fn has_reasoning(&self) -> bool {
        self.format.reasoning
    }

    /// The form of answers to a prompt of this template.
    pub fn format_after(&self, prompt: &ChatPrompt) -> AnswerFormat {
        self.format.clone().after(&prompt.text)
    }

    /// The conversation as the template writes it.
    ///
    /// # Errors
    /// What the template refuses, where it fails, and when it takes too much.
    pub fn prompt(&self, tokenizer: &Tokenizer, turns: Turns) -> Result<ChatPrompt, TemplateError> {
        let text_of =
            |id: Option<u32>| id.and_then(|id| tokenizer.token_text(id)).map(String::from);
        let prompt = self.template.render(&Conversation {
            messages: turns.messages,
            tools: turns.tools,
            add_generation_prompt: turns.add_generation_prompt,
            variables: turns.variables,
            bos_token: text_of(tokenizer.bos()),
            eos_token: text_of(tokenizer.eos()),
            unix_time: unix_time() as i64,
        })?;
        let parts = prompt.segments.iter().map(|s| (s.text.as_str(), s.trusted));
        let mut ids = tokenizer.encode_parts(&parts.collect::<Vec<_>>());
        if let Some(bos) = tokenizer.bos().filter(|_| tokenizer.adds_bos())
            && ids.first() != Some(&bos)
        {
            ids.insert(0, bos);
        }
        Ok(ChatPrompt {
            text: prompt.text(),
            ids,
        })
    }
}

/// The variable that turns reasoning on or off in the templates that know it.
pub fn thinking(on: bool) -> (String, Json) {
    ("enable_thinking".into(), Json::Bool(on))
}

/// Seconds since 1970.
pub(crate) fn unix_time() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
