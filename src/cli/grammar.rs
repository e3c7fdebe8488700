//! What a text is held to.

use std::path::PathBuf;
use std::sync::Arc;

use sharpi_compile::engine::Mask;
use sharpi_compile::guide::{Form, Grammar, Plan};
use sharpi_compile::tokenizer::Tokenizer;

use super::failure::Failure;
use super::text_file;

/// What to do about a grammar that is wrong.
const WRONG: &str = "write it as llama.cpp's grammars, or begin it with %llguidance and write it as llguidance's; schemas are JSON Schema 2020-12 and older";

#[derive(clap::Args)]
#[group(multiple = false)]
pub(super) struct GrammarArgs {
    /// Grammar that the text follows from its first token to its end, as llama.cpp's
    #[arg(long, value_name = "TEXT")]
    grammar: Option<String>,
    /// File with such a grammar
    #[arg(long, value_name = "FILE")]
    grammar_file: Option<PathBuf>,
    /// JSON schema of the text, {} for any JSON
    #[arg(short, long, value_name = "SCHEMA")]
    json_schema: Option<String>,
    /// File with such a schema; also -jf
    #[arg(long, value_name = "FILE")]
    json_schema_file: Option<PathBuf>,
}

impl GrammarArgs {
    /// What a text is held to, and the mask of one text.
    pub(super) fn form(
        &self,
        tokenizer: &Arc<Tokenizer>,
    ) -> Result<(Form, Option<Box<dyn Mask + Send>>), Failure> {
        let plan = |grammar| Plan::default().start(Some(grammar));
        let form = Form::default().plan(self.grammar()?.map(plan));
        let mask = form.compile(tokenizer);
        let mask = mask.map_err(|error| Failure::plain(error, WRONG))?;
        Ok((form, mask))
    }

    fn grammar(&self) -> Result<Option<Grammar>, Failure> {
        let read = |text: &Option<String>, path: &Option<PathBuf>| match (text, path) {
            (Some(text), _) => Ok(Some(text.clone())),
            (None, Some(path)) => text_file::read(path).map(Some),
            (None, None) => Ok(None),
        };
        if let Some(text) = read(&self.grammar, &self.grammar_file)? {
            return Ok(Some(Grammar::from_text(text)));
        }
        let Some(text) = read(&self.json_schema, &self.json_schema_file)? else {
            return Ok(None);
        };
        let schema = serde_json::from_str(&text);
        let schema = schema.map_err(|error| {
            Failure::plain(format!("the JSON schema is no JSON: {error}"), WRONG)
        })?;
        Ok(Some(Grammar::json_schema(schema)))
    }
}
