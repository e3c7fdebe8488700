//! Compiles and runs a template.

use std::fmt;
use std::sync::Arc;

use minijinja::machinery::{self, CompiledTemplate, Instructions, TemplateConfig, Token};
use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, Error, UndefinedBehavior, Value};

use super::conversation::Conversation;
use super::limits::{self, MAX_OUTPUT, MAX_TOKENS};
use super::marks::Marks;
use super::values::Values;
use super::{
    Place, Prompt, Segment, TemplateError, filters, functions, methods, operators, python,
};

self_cell::self_cell! {
    /// A compiled template beside its source, which it borrows: as the engine reads it.
    pub(super) struct Program {
        owner: String,
        #[covariant]
        dependent: Instructions,
    }
}

impl Program {
    /// Compiles a template once for all conversations.
    pub(super) fn compile(source: String) -> Result<Program, TemplateError> {
        Program::try_new(source, |source| compile(source))
    }

    pub(super) fn source(&self) -> &str {
        self.borrow_owner()
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Program").field(&self.source()).finish()
    }
}

/// Compiles a template, with operators that look through marks.
fn compile(source: &str) -> Result<Instructions<'_>, TemplateError> {
    bound_expressions(source)?;
    let config = TemplateConfig {
        syntax_config: syntax(),
        default_auto_escape: Arc::new(|_| AutoEscape::None),
    };
    let compiled = CompiledTemplate::new("chat template", source, &config);
    let compiled = compiled.map_err(|error| TemplateError::syntax(&error, source))?;
    let mut instructions = compiled.instructions;
    operators::replace(&mut instructions);
    Ok(instructions)
}

/// Refuses expressions that are so long that reading them overflows the stack.
fn bound_expressions(source: &str) -> Result<(), TemplateError> {
    let mut tokens = 0;
    // What is no token at all is found again when the template is compiled.
    for (token, span) in machinery::tokenize(source, false, syntax()).map_while(Result::ok) {
        tokens = match token {
            Token::VariableStart | Token::BlockStart => 0,
            _ => tokens + 1,
        };
        if tokens > MAX_TOKENS {
            let place = Place {
                line: span.start_line.into(),
                column: None,
            };
            return Err(TemplateError::ExpressionTooLong { place });
        }
    }
    Ok(())
}

/// The whitespace rules that Python's `apply_chat_template` sets.
fn syntax() -> SyntaxConfig {
    let mut syntax = SyntaxConfig::builder();
    syntax.trim_blocks(true).lstrip_blocks(true);
    syntax.build().unwrap_or_default()
}

/// Renders a template, on a thread with as much stack as the worst template needs.
pub(super) fn render(
    program: &Program,
    reads_parts: bool,
    conversation: &Conversation,
) -> Result<Prompt, TemplateError> {
    let marks = Arc::new(marks(program.source(), conversation));
    let stack = limits::stack(limits::steps(conversation));
    let work = || render_with(&marks, program, reads_parts, conversation);
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("template".into());
        let thread = thread.stack_size(stack).spawn_scoped(scope, work);
        let thread = thread.map_err(|error| TemplateError::NoThread {
            reason: error.to_string(),
        })?;
        thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Renders with these marks, whose meaning the template must not see.
pub(super) fn render_with(
    marks: &Arc<Marks>,
    program: &Program,
    reads_parts: bool,
    conversation: &Conversation,
) -> Result<Prompt, TemplateError> {
    let values = Values { marks, reads_parts };
    let root = values
        .root(conversation)
        .map_err(|_| TemplateError::TooManyCharacters)?;
    let env = environment(conversation, marks);
    let text = run(&env, program.borrow_dependent(), Value::from_pairs(root))
        .map_err(|error| TemplateError::render(&error, program.source(), marks))?;
    let segments = marks.stretches(&text).into_iter();
    let segments = segments.map(|(text, marked)| Segment {
        text,
        trusted: !marked,
    });
    let prompt = Prompt {
        segments: segments.collect(),
    };
    let bytes = prompt
        .segments
        .iter()
        .map(|segment| segment.text.len())
        .sum();
    match bytes > MAX_OUTPUT + 4 * conversation.bytes() {
        true => Err(TemplateError::OutputTooLong { bytes }),
        false => Ok(prompt),
    }
}

fn marks(source: &str, conversation: &Conversation) -> Marks {
    let tokens = [&conversation.bos_token, &conversation.eos_token];
    let tokens = tokens.into_iter().flatten().map(String::as_str);
    Marks::beside(tokens.chain([source]))
}

fn environment(conversation: &Conversation, marks: &Arc<Marks>) -> Environment<'static> {
    let mut env = Environment::new();
    env.set_fuel(Some(limits::steps(conversation)));
    env.set_recursion_limit(limits::MAX_RECURSION);
    env.set_undefined_behavior(UndefinedBehavior::Lenient);
    env.set_debug(true);
    let m = marks.clone();
    env.set_formatter(move |out, state, value| match value.as_str() {
        Some(text) => out.write_str(text).map_err(Error::from),
        None => out
            .write_str(&python::display(state, &m, value)?)
            .map_err(Error::from),
    });
    let m = marks.clone();
    env.set_unknown_method_callback(move |state, value, method, args| {
        methods::call(state, &m, value, method, args)
    });
    operators::add(&mut env, marks);
    filters::add(&mut env, marks);
    functions::add(&mut env, conversation.unix_time);
    env
}

fn run(env: &Environment<'_>, program: &Instructions<'_>, root: Value) -> Result<String, Error> {
    let mut text = String::new();
    let mut out = machinery::make_string_output(&mut text);
    let blocks = Default::default();
    machinery::eval(env, program, root, &blocks, &mut out, AutoEscape::None)?;
    drop(out);
    Ok(text)
}
