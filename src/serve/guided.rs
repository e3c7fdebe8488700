//! Answers held to a form: schemas, grammars, and calls of tools.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use serde_json::Value;
use sharpi_chat::Json as ChatJson;
use sharpi_chat::answer::{AnswerFormat, ToolForm};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::app::App;
use super::error::ApiError;
use super::params::Params;
use super::reasoning;
use super::tokens::Turns;
use crate::conversation::ChatPrompt;
use crate::engine::Mask;
use crate::guide::{Form, Grammar, Guide, GuideError, GuideVocabulary, Plan, ToolCalls};
use crate::tokenizer::Tokenizer;

/// Grammars that are compiled at a time.
const COMPILING: usize = 2;
/// How long compiling may take, and waiting for it.
const COMPILE_TIME: Duration = Duration::from_secs(10);
/// Compiled grammars that are kept: a client asks for the same again and again.
const KEPT: usize = 16;

/// Compiles what answers are held to.
#[derive(Clone)]
pub(super) struct Guides(Arc<Inner>);

struct Inner {
    tokenizer: Arc<Tokenizer>,
    /// Made when it is first needed.
    vocabulary: OnceLock<Result<Arc<GuideVocabulary>, GuideError>>,
    compiling: Arc<Semaphore>,
    known: Mutex<VecDeque<(Plan, Arc<Guide>)>>,
}

impl Guides {
    pub(super) fn new(tokenizer: Arc<Tokenizer>) -> Guides {
        Guides(Arc::new(Inner {
            tokenizer,
            vocabulary: OnceLock::new(),
            compiling: Arc::new(Semaphore::new(COMPILING)),
            known: Mutex::default(),
        }))
    }

    /// Compiles a form, of which each text gets a mask.
    pub(super) async fn hold(&self, form: Form) -> Result<Held, ApiError> {
        let guide = match &form.plan {
            Some(plan) => Some(self.compile(plan.clone()).await?),
            None => None,
        };
        let tokenizer = self.0.tokenizer.clone();
        Ok(Held {
            form,
            guide,
            tokenizer,
        })
    }

    /// Compiles a plan, away from the threads that answer. What takes too long is refused, and goes on
    /// in the place of another until it is done.
    async fn compile(&self, plan: Plan) -> Result<Arc<Guide>, ApiError> {
        if let Some(guide) = self.known(&plan) {
            return Ok(guide);
        }
        let busy = || ApiError::unavailable("other grammars are being compiled; try again later");
        let permit = timeout(COMPILE_TIME, self.0.compiling.clone().acquire_owned()).await;
        let permit = permit.map_err(|_| busy())?.map_err(|_| busy())?;
        let inner = self.0.clone();
        let work = tokio::task::spawn_blocking(move || {
            let guide = inner.compile(plan);
            drop(permit);
            guide
        });
        match timeout(COMPILE_TIME, work).await {
            Ok(Ok(guide)) => Ok(guide?),
            Ok(Err(_)) => Err(ApiError::invalid("the grammar cannot be compiled")),
            Err(_) => Err(ApiError::invalid(format!(
                "the grammar takes more than {} s to compile; say less, or split it",
                COMPILE_TIME.as_secs()
            ))),
        }
    }

    fn known(&self, plan: &Plan) -> Option<Arc<Guide>> {
        let mut known = self.0.known.lock().unwrap_or_else(PoisonError::into_inner);
        let at = known.iter().position(|(other, _)| other == plan)?;
        let entry = known.remove(at)?;
        let guide = entry.1.clone();
        known.push_front(entry);
        Some(guide)
    }
}

impl Inner {
    fn compile(&self, plan: Plan) -> Result<Arc<Guide>, GuideError> {
        let make = || GuideVocabulary::new(self.tokenizer.clone()).map(Arc::new);
        let vocabulary = self.vocabulary.get_or_init(make).clone()?;
        let guide = Arc::new(Guide::new(&vocabulary, &plan)?);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.push_front((plan, guide.clone()));
        known.truncate(KEPT);
        Ok(guide)
    }
}

/// What answers are held to.
pub(super) struct Held {
    pub(super) form: Form,
    guide: Option<Arc<Guide>>,
    tokenizer: Arc<Tokenizer>,
}

impl Held {
    /// A mask for one answer.
    pub(super) fn mask(&self) -> Option<Box<dyn Mask + Send>> {
        self.form.mask(self.guide.as_ref(), &self.tokenizer)
    }
}

impl From<GuideError> for ApiError {
    fn from(error: GuideError) -> ApiError {
        ApiError::invalid(error)
    }
}

impl Params {
    /// What a text is held to from its beginning.
    pub(super) fn form(&self) -> Result<Form, ApiError> {
        let plan = |grammar| Plan::default().start(Some(grammar));
        Ok(Form::default().plan(self.grammar()?.map(plan)))
    }

    /// The grammar that the fields of all APIs ask for.
    fn grammar(&self) -> Result<Option<Grammar>, ApiError> {
        let field = |name: &str| self.rest.get(name).filter(|value| !value.is_null());
        let schema = field("json_schema").map(|schema| Ok(Grammar::json_schema(schema.clone())));
        let grammar = field("grammar").filter(|text| *text != "").map(|text| {
            let text = text.as_str().map(Grammar::from_text);
            text.ok_or_else(|| ApiError::invalid("`grammar` is no text"))
        });
        let format = field("response_format").map(response_format);
        let format = format.map(Result::transpose).unwrap_or_default();
        let mut asked = [schema, grammar, format].into_iter().flatten();
        let first = asked.next().transpose()?;
        if asked.next().is_some() {
            return Err(ApiError::invalid(
                "only one of `response_format`, `json_schema` and `grammar` can be asked for",
            ));
        }
        if self.ignore_eos && first.is_some() {
            return Err(ApiError::invalid(
                "`ignore_eos` cannot be asked for with a grammar: where one ends, the text ends",
            ));
        }
        Ok(first)
    }
}

/// What OpenAI's `response_format` asks for.
fn response_format(format: &Value) -> Result<Option<Grammar>, ApiError> {
    let kind = format.get("type").and_then(Value::as_str);
    match kind {
        Some("text") => Ok(None),
        Some("json_object") => Ok(Some(match format.get("schema") {
            Some(schema) => Grammar::json_schema(schema.clone()),
            None => Grammar::json_object(),
        })),
        Some("json_schema") => {
            // `/v1/responses` has the fields without the object around.
            let asked = format.get("json_schema").unwrap_or(format);
            let schema = asked.get("schema").cloned();
            let schema = schema.ok_or_else(|| {
                ApiError::invalid("`response_format.json_schema.schema` is missing")
            })?;
            let strict = asked.get("strict") == Some(&Value::Bool(true));
            Ok(Some(Grammar::JsonSchema {
                schema,
                lenient: !strict,
            }))
        }
        _ => Err(ApiError::invalid(
            "`response_format.type` is neither \"text\" nor \"json_object\" nor \"json_schema\"",
        )),
    }
}

/// What the answer to a conversation is held to, whose prompt has been written.
pub(super) fn chat_form(
    app: &App,
    turns: &Turns,
    params: &Params,
    (format, prompt): (&AnswerFormat, &ChatPrompt),
) -> Result<Form, ApiError> {
    let plan = chat_plan(app, turns, params, (format, &prompt.text))?;
    let reasoning = reasoning::bound(app, turns, prompt);
    Ok(Form::default().plan(plan).reasoning(reasoning))
}

fn chat_plan(
    app: &App,
    turns: &Turns,
    params: &Params,
    (format, prompt): (&AnswerFormat, &str),
) -> Result<Option<Plan>, ApiError> {
    let forced = forced(turns)?;
    let grammar = params.grammar()?;
    let calls = |opened: bool| ToolCalls {
        format: format.clone(),
        tools: forced.as_ref().unwrap_or(&turns.tools).clone(),
        parallel: turns.parallel_tool_calls.unwrap_or(true),
        opened,
        loose: false,
    };
    let offered = turns.offers_tools() && format.tools != ToolForm::None;
    let call = (offered).then(|| ("<tool_call>".to_string(), Grammar::Tools(calls(true))));
    let grammar = match (&forced, grammar) {
        (Some(_), Some(_)) => {
            return Err(ApiError::invalid(
                "an answer cannot be both a call of a tool and of a form of its own",
            ));
        }
        (Some(_), None) => Grammar::Tools(calls(false)),
        (None, Some(grammar)) if offered => {
            Grammar::AnyOf(vec![grammar, Grammar::Tools(calls(false))])
        }
        (None, Some(grammar)) => grammar,
        (None, None) => return Ok(call.map(|call| Plan::default().marks(vec![call]))),
    };
    let behind = Grammar::BehindBreaks(Box::new(grammar.clone()));
    let mut marks = vec![("</think>".to_string(), behind)];
    marks.extend(call);
    let free = Plan::default().required(true);
    if format.starts_in_reasoning {
        return Ok(Some(free.marks(marks)));
    }
    let may_reason = app.template.has_reasoning() && !prompt.trim_end().ends_with("</think>");
    let opens = app.tokenizer.added_token("<think>").filter(|_| may_reason);
    let marks = if opens.is_some() { marks } else { Vec::new() };
    Ok(Some(free.start(Some(grammar)).opens(opens).marks(marks)))
}

/// The tools of which `tool_choice` asks for a call, if it does.
fn forced(turns: &Turns) -> Result<Option<Vec<ChatJson>>, ApiError> {
    let choice = match &turns.tool_choice {
        None | Some(Value::Null) => return Ok(None),
        Some(choice) if choice == "auto" || choice == "none" => return Ok(None),
        Some(choice) => choice,
    };
    if turns.tools.is_empty() {
        return Err(ApiError::invalid(
            "`tool_choice` asks for a call, and `tools` is empty",
        ));
    }
    if choice == "required" {
        return Ok(Some(turns.tools.clone()));
    }
    let function = choice.get("function").unwrap_or(choice);
    let Some(name) = function.get("name").and_then(Value::as_str) else {
        return Err(ApiError::invalid(
            "`tool_choice` is neither \"auto\" nor \"none\" nor \"required\" nor {\"type\": \
             \"function\", \"function\": {\"name\": …}}",
        ));
    };
    let is_it = |tool: &&ChatJson| {
        let tool = tool.get("function").unwrap_or(tool);
        tool.get("name").and_then(ChatJson::as_str) == Some(name)
    };
    let tools: Vec<ChatJson> = turns.tools.iter().filter(is_it).cloned().collect();
    match tools.is_empty() {
        true => Err(ApiError::invalid(format!(
            "`tool_choice` names the tool {name:?}, which is not among `tools`"
        ))),
        false => Ok(Some(tools)),
    }
}
