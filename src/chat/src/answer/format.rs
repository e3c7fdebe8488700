//! In which form a model answers.

use serde::{Deserialize, Serialize};

use super::schema::{Kind, Parameters};
use crate::Json;

/// How a model writes calls of tools.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ToolForm {
    /// It calls none: whatever looks like a call is text.
    #[default]
    None,
    /// `<tool_call>\n{"name": …, "arguments": {…}}\n</tool_call>`.
    Qwen3,
    /// `<tool_call>\n<function=NAME>\n<parameter=P>\nVALUE\n</parameter>\n</function>\n</tool_call>`.
    Qwen35,
}

/// The form of an answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct AnswerFormat {
    /// Whether what stands between `<think>` and `</think>` is reasoning. Otherwise it
    /// stays in the content, marks and all.
    pub reasoning: bool,
    /// Whether the prompt ends within `<think>`.
    pub starts_in_reasoning: bool,
    /// How tools are called.
    pub tools: ToolForm,
    pub(super) parameters: Parameters,
}

impl AnswerFormat {
    /// The form that a template shows to its model: whether it has marks of reasoning,
    /// and how it writes calls.
    pub fn detect(template_source: &str) -> AnswerFormat {
        let has = |text| template_source.contains(text);
        let tools = match (has("<tool_call>"), has("<function=")) {
            (true, true) => ToolForm::Qwen35,
            (true, false) => ToolForm::Qwen3,
            (false, _) => ToolForm::None,
        };
        AnswerFormat {
            reasoning: has("</think>"),
            tools,
            ..AnswerFormat::default()
        }
    }

    /// With or without reasoning.
    pub fn with_reasoning(self, reasoning: bool) -> AnswerFormat {
        AnswerFormat { reasoning, ..self }
    }

    /// With calls in this form.
    pub fn with_tools(self, tools: ToolForm) -> AnswerFormat {
        AnswerFormat { tools, ..self }
    }

    /// The form of the answer to this prompt, which may end within `<think>`.
    pub fn after(self, prompt: &str) -> AnswerFormat {
        AnswerFormat {
            starts_in_reasoning: prompt.trim_end().ends_with("<think>"),
            ..self
        }
    }

    /// Whether a value of this parameter is text as it stands, and not JSON.
    pub fn takes_text(&self, tool: &str, parameter: &str) -> bool {
        self.parameters.kind(tool, parameter) != Kind::Json
    }

    /// With the tools of a request, whose schemas say which values are text. Of a
    /// parameter that they do not know, a value is JSON if it reads as JSON.
    pub fn with_schemas(self, tools: &[Json]) -> AnswerFormat {
        AnswerFormat {
            parameters: Parameters::of(tools),
            ..self
        }
    }
}
