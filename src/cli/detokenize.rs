//! `detokenize`: the text of ids.

use std::io::Write;

use super::failure::Failure;
use super::ids::{self, Ids};
use super::model_arg::{self, ModelArg};

#[derive(clap::Args)]
pub(super) struct Detokenize {
    #[command(flatten)]
    model: ModelArg,
    /// Token ids, such as "870,25"
    #[arg(long, value_parser = ids::parse, allow_hyphen_values = true)]
    ids: Ids,
}

impl Detokenize {
    pub(super) fn run(&self, out: &mut impl Write) -> Result<(), Failure> {
        let model = self.model.open()?;
        let tokenizer = model_arg::tokenizer(&model)?;
        let Ids(ids) = &self.ids;
        // A model may know more ids than its vocabulary has texts; those print nothing.
        let rows = model.hparams().map_or(0, |hparams| hparams.vocabulary);
        let len = tokenizer.len().max(rows);
        if let Some(id) = ids.iter().find(|id| **id as usize >= len) {
            return Err(Failure::plain(
                format!("token id {id} is outside the vocabulary"),
                format!("ids of this model go from 0 to {}", len - 1),
            ));
        }
        Ok(writeln!(out, "{}", tokenizer.decode(ids, true))?)
    }
}
