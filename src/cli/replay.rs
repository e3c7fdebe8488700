//! `replay`: makes an answer again, and says whether every bit is the same.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;
use sharpi_compile::generate::GenerateOptions;
use sharpi_compile::lower::LowerOptions;
use sharpi_compile::receipt::{Receipt, Replay, ReplayError, Verdict};
use sharpi_compile::{Model, Session, regular_file};
use sharpi_ir::plain::PlainPath;

use super::exec_args::ExecArgs;
use super::failure::Failure;
use super::model_arg::ModelArg;
use super::pass_args::PassArgs;
use super::progress::Progress;
use super::shape::Shape;
use super::spec::SpecArgs;
use super::{interrupt, write_json_line};

/// Most tokens of the prompt that are read at once.
const BATCH: usize = 512;

#[derive(clap::Args)]
pub(super) struct ReplayArgs {
    /// The receipt, or an answer of the server that has one
    #[arg(value_name = "RECEIPT")]
    receipt: PathBuf,
    #[command(flatten)]
    model: ModelArg,
    /// Print one JSON object instead of a sentence
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    exec: ExecArgs,
    #[command(flatten)]
    spec: SpecArgs,
    #[command(flatten)]
    passes: PassArgs,
}

/// What came of it, for programs.
#[derive(Serialize)]
struct Record {
    same: bool,
    /// Tokens of the answer.
    tokens: usize,
    /// Rows of logits that are the same.
    rows: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    difference: Option<String>,
}

impl ReplayArgs {
    pub(super) fn run(&self, out: &mut impl Write) -> Result<(), Failure> {
        let receipt = self.read()?;
        let model = self.model.open()?;
        let draft = self.spec.options(&model.hparams()?)?;
        self.exec.check()?;
        let tokenizer = Arc::new(model.tokenizer()?);
        let session = self.session(&model, &receipt, draft.map_or(0, |d| d.n_max))?;
        let cancel = interrupt::flag()?;
        let options = GenerateOptions::default().batch(BATCH).cancel(cancel);
        let replay = {
            let _progress = Progress::spinner("hashing the weights");
            Replay::new(&receipt, session, &tokenizer, draft, options).map_err(failure)?
        };
        let tokens = receipt.ids.len();
        let bar = Progress::tokens("replay", receipt.prompt.len() + tokens);
        let verdict = replay.run(|done| bar.at(done as u64)).map_err(failure)?;
        drop(bar);
        self.tell(verdict, tokens, out)
    }

    /// The receipt in the file: alone, or in the answer that came with it.
    fn read(&self) -> Result<Receipt, Failure> {
        let shown = PlainPath(&self.receipt).to_string();
        let fail = |error: &dyn std::fmt::Display| {
            Failure::plain(
                format!("{shown}: {error}"),
                "`run --receipt FILE` writes receipts, and `serve` gives one to who asks for it \
                 with \"receipt\": true",
            )
        };
        let bytes = regular_file::read(&self.receipt).map_err(|e| fail(&e))?;
        let mut value: serde_json::Value = serde_json::from_slice(&bytes).map_err(|e| fail(&e))?;
        let places = ["/receipt", "/choices/0/receipt"];
        let place = places
            .iter()
            .find(|place| value.pointer(place).is_some_and(|v| v.is_object()));
        let inner = place.and_then(|place| value.pointer_mut(place));
        let value = inner.map(serde_json::Value::take).unwrap_or(value);
        serde_path_to_error::deserialize(value)
            .map_err(|error| fail(&format!("at {}: {}", error.path(), error.inner())))
    }

    fn session(&self, model: &Model, receipt: &Receipt, drafts: usize) -> Result<Session, Failure> {
        let shape = Shape {
            context: receipt.context() + drafts,
            drafts,
        };
        let rows = 1 + drafts;
        let lower = LowerOptions::default()
            .cache_k(receipt.cache_type_k)
            .cache_v(receipt.cache_type_v)
            .max_tokens(BATCH.min(shape.context).max(rows))
            .max_rows(rows)
            .draft(drafts > 0);
        let executable = self.exec.compile(model, lower, self.passes.options())?;
        let options = self.exec.session(shape.context, shape.rollback());
        Ok(Session::new(Arc::new(executable), &options)?)
    }

    fn tell(&self, verdict: Verdict, tokens: usize, out: &mut impl Write) -> Result<(), Failure> {
        let record = match verdict {
            Verdict::Cancelled => return Err(Failure::Interrupted),
            Verdict::Same { rows } => Record {
                same: true,
                tokens,
                rows,
                token: None,
                position: None,
                difference: None,
            },
            Verdict::Differs(difference) => Record {
                same: false,
                tokens,
                rows: difference.token,
                token: Some(difference.token),
                position: Some(difference.position),
                difference: Some(difference.to_string()),
            },
        };
        if self.json {
            write_json_line(out, &record)?;
        } else if record.same {
            writeln!(
                out,
                "every bit is the same: {tokens} tokens, {} rows of logits",
                record.rows
            )?;
        }
        match record.difference {
            None => Ok(()),
            Some(difference) => Err(Failure::mismatch(
                format!("the answer is not what the receipt says: {difference}"),
                "either the receipt was changed, or the program that gave it was another one",
            )),
        }
    }
}

fn failure(error: ReplayError) -> Failure {
    let help = match &error {
        ReplayError::Form(_) => "use the version of the program that the receipt names",
        ReplayError::Model { .. } => "name the file that gave the answer with -m",
        ReplayError::Held(_) => {
            "use the version of the program that the receipt names, and its model"
        }
        ReplayError::Incomplete { .. } => {
            "the receipt was changed or cut; there is nothing to prove"
        }
        _ => "see whether the receipt was changed",
    };
    Failure::plain(error, help)
}
