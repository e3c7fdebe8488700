//! How a conversation is shown to the model, and how its answers are read.

use std::path::PathBuf;

use sharpi_chat::answer::ToolForm;
use sharpi_chat::template::Message;
use sharpi_chat::{AnswerFormat, Json, TemplateError};
use sharpi_compile::Model;
use sharpi_compile::conversation::{ChatPrompt, ChatTemplate, ReasoningFormat, Turns, thinking};
use sharpi_compile::tokenizer::Tokenizer;

use super::escapes::unescaped;
use super::failure::Failure;
use super::template_arg::TemplateArg;
use super::{notice, text_file};

#[derive(clap::Args)]
pub(super) struct ConversationArgs {
    /// What the model is told before the conversation; also -sys
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    system: Option<String>,
    /// File with that; also -sysf
    #[arg(long, value_name = "FILE", conflicts_with = "system")]
    system_file: Option<PathBuf>,
    #[command(flatten)]
    template: TemplateArg,
    /// Variables of the template, as in '{"enable_thinking": false}'
    #[arg(long, value_name = "JSON", value_parser = variables)]
    chat_template_kwargs: Option<Variables>,
    /// Have the model think before it answers, if its template knows how
    #[arg(long, overrides_with = "no_think")]
    think: bool,
    /// Have it answer at once; also --reasoning off
    #[arg(long, overrides_with = "think")]
    no_think: bool,
    /// What becomes of the model's thoughts: `none` leaves them in the answer, marks and all
    #[arg(long, value_name = "FORMAT", default_value = "auto", value_parser = reasoning_format)]
    reasoning_format: ReasoningFormat,
}

pub(super) fn reasoning_format(name: &str) -> Result<ReasoningFormat, String> {
    ReasoningFormat::named(name).ok_or_else(|| "expected none, auto or deepseek".into())
}

/// Names and values for a template.
#[derive(Clone, Default)]
pub(super) struct Variables(pub(super) Vec<(String, Json)>);

pub(super) fn variables(text: &str) -> Result<Variables, String> {
    match text.parse() {
        Ok(Json::Object(fields)) => Ok(Variables(fields)),
        Ok(_) => Err("expected a JSON object".into()),
        Err(error) => Err(format!("expected a JSON object: {error}")),
    }
}

impl ConversationArgs {
    /// Refuses what would have no effect on a text that is no conversation.
    pub(super) fn check_unused(&self) -> Result<(), Failure> {
        let given = [
            ("--system", self.system.is_some()),
            ("--system-file", self.system_file.is_some()),
            (
                "--chat-template-kwargs",
                self.chat_template_kwargs.is_some(),
            ),
        ];
        let given = given
            .into_iter()
            .filter_map(|(name, given)| given.then_some(name));
        if let Some(name) = given.chain(self.template.given()).next() {
            return Err(Failure::usage(
                format!("{name} cannot be carried out: a prompt is continued as it stands"),
                "--chat takes the prompt for a message and answers it",
            ));
        }
        if self.think || self.no_think || self.reasoning_format != ReasoningFormat::Deepseek {
            notice::detail("options of reasoning do nothing without --chat");
        }
        Ok(())
    }

    /// What the model is told before the conversation.
    pub(super) fn system(&self, escapes: bool) -> Result<Option<String>, Failure> {
        match (&self.system_file, &self.system) {
            (Some(path), _) => text_file::read(path).map(Some),
            (_, Some(text)) if escapes => unescaped(text).map(Some),
            (_, text) => Ok(text.clone()),
        }
    }

    /// Whether the model is to think, if that was said.
    pub(super) fn think(&self) -> Option<bool> {
        (self.think || self.no_think).then_some(self.think)
    }

    /// How to talk to a model.
    pub(super) fn manner(&self, model: &Model) -> Result<Manner, Failure> {
        let variables = self.chat_template_kwargs.clone();
        Ok(Manner {
            template: self.template.read(model)?,
            variables: variables.map_or(Vec::new(), |Variables(fields)| fields),
            keeps_reasoning_apart: self.reasoning_format != ReasoningFormat::None,
        })
    }
}

/// How messages become a prompt, and an answer what is said and thought.
pub(super) struct Manner {
    template: ChatTemplate,
    variables: Vec<(String, Json)>,
    keeps_reasoning_apart: bool,
}

impl Manner {
    /// The prompt for an answer to these messages, and the form of the answer.
    pub(super) fn prompt(
        &self,
        tokenizer: &Tokenizer,
        messages: Vec<Message>,
        think: Option<bool>,
    ) -> Result<(ChatPrompt, AnswerFormat), TemplateError> {
        let mut variables = self.variables.clone();
        variables.extend(think.map(thinking));
        let turns = Turns {
            messages,
            add_generation_prompt: true,
            variables,
            ..Turns::default()
        };
        let prompt = self.template.prompt(tokenizer, turns)?;
        let format = self.template.format_after(&prompt);
        let format = match self.keeps_reasoning_apart {
            true => format,
            false => format.with_reasoning(false),
        };
        Ok((prompt, format.with_tools(ToolForm::None)))
    }
}
