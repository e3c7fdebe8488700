//! Whether and how tokens are drafted.

use std::io::{self, Write};

use clap::ValueEnum;
use sharpi_compile::generate::DraftOptions;
use sharpi_compile::lower::Hparams;

use super::draft_vocab::DraftVocabArgs;
use super::failure::Failure;
use super::trace::is_set;

#[derive(clap::Args)]
pub(super) struct SpecArgs {
    /// Way of drafting tokens; `auto` drafts when the model has a head for it
    #[arg(long, value_name = "TYPE", default_value = "none")]
    spec_type: SpecType,
    /// Most tokens in a draft; `auto` chooses the length of each by measured times and acceptance,
    /// which makes samples with --temp depend on time
    #[arg(long, value_name = "N", default_value = "2", value_parser = most)]
    spec_draft_n_max: Most,
    /// Drop drafts of fewer tokens
    #[arg(long, value_name = "N", default_value_t = 0)]
    spec_draft_n_min: u16,
    /// End a draft before a token less likely than this
    #[arg(long, value_name = "P", default_value_t = 0.0)]
    spec_draft_p_min: f32,
    #[command(flatten)]
    pub(super) vocabulary: DraftVocabArgs,
    /// Tell each round of drafting on stderr; also SHARPI_TRACE_MTP=1
    #[arg(long)]
    trace_mtp: bool,
}

/// Longest draft.
#[derive(Clone, Copy)]
enum Most {
    Fixed(u16),
    Auto,
}

/// Longest draft that is chosen of itself: longer ones hardly ever hold as a whole.
pub(super) const AUTO: u16 = 7;

impl Most {
    fn tokens(self) -> u16 {
        match self {
            Most::Fixed(n) => n,
            Most::Auto => AUTO,
        }
    }
}

fn most(text: &str) -> Result<Most, String> {
    match text.parse() {
        _ if text == "auto" => Ok(Most::Auto),
        Ok(n @ 1..=64) => Ok(Most::Fixed(n)),
        _ => Err("expected a number in 1..=64, or auto".into()),
    }
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum SpecType {
    None,
    DraftMtp,
    Auto,
}

/// Turns drafting off, whatever the command line says.
pub(super) const DISABLE: &str = "SHARPI_DISABLE_MTP";

impl SpecArgs {
    pub(super) fn traced(&self) -> bool {
        self.trace_mtp || is_set("SHARPI_TRACE_MTP")
    }

    /// How to draft from this model, if at all.
    pub(super) fn options(&self, hparams: &Hparams) -> Result<Option<DraftOptions>, Failure> {
        let most = self.spec_draft_n_max.tokens();
        if self.spec_draft_n_min > most {
            return Err(Failure::usage(
                format!(
                    "--spec-draft-n-min {} is more than --spec-draft-n-max {most}: every draft would be dropped",
                    self.spec_draft_n_min
                ),
                "choose a smaller --spec-draft-n-min",
            ));
        }
        let has_head = hparams.mtp_blocks > 0;
        let key = format!("{}.nextn_predict_layers", hparams.arch.name());
        if self.spec_type != SpecType::None && is_set(DISABLE) {
            say(&format!("drafting: off, {DISABLE} is set"));
            return Ok(None);
        }
        match self.spec_type {
            SpecType::None => return Ok(None),
            SpecType::DraftMtp if !has_head => return Err(no_head(hparams, "--spec-type")),
            SpecType::Auto if !has_head => {
                let why = match hparams.mtp_absent {
                    true => ": declared, and its tensors are absent",
                    false => "",
                };
                say(&format!(
                    "drafting: none, the model has no MTP head (`{key}`{why})"
                ));
                return Ok(None);
            }
            SpecType::Auto => say(&format!(
                "drafting: draft-mtp with up to {most} tokens, the model has an MTP head"
            )),
            SpecType::DraftMtp => {}
        }
        Ok(Some(DraftOptions {
            n_max: most.into(),
            adaptive: matches!(self.spec_draft_n_max, Most::Auto),
            n_min: self.spec_draft_n_min.into(),
            p_min: self.spec_draft_p_min,
        }))
    }
}

/// The complaint about a model without an MTP head; `option` asked for it.
pub(super) fn no_head(hparams: &Hparams, option: &str) -> Failure {
    let key = format!("{}.nextn_predict_layers", hparams.arch.name());
    let why = match hparams.mtp_absent {
        true => format!("`{key}` declares one, and its tensors are absent from the file"),
        false => format!("`{key}` is missing from its metadata or 0"),
    };
    Failure::unsupported(
        format!("the model has no MTP head to draft with: {why}"),
        format!(
            "take a file converted with its MTP layers (llama.cpp's convert_hf_to_gguf.py keeps \
             them where the original model has them), or leave {option} away"
        ),
    )
}

fn say(line: &str) {
    // What was chosen does not matter enough to fail for want of a stderr.
    let _ = writeln!(io::stderr(), "{line}");
}
