//! Whether and how tokens are drafted.

use std::io::{self, Write};

use clap::ValueEnum;
use sharpi_compile::generate::DraftOptions;
use sharpi_compile::lower::Hparams;

use super::failure::Failure;
use super::trace::is_set;

#[derive(clap::Args)]
pub(super) struct SpecArgs {
    /// Way of drafting tokens; `auto` drafts when the model has a head for it
    #[arg(long, value_name = "TYPE", default_value = "none")]
    spec_type: SpecType,
    /// Most tokens in a draft
    #[arg(long, value_name = "N", default_value = "2", value_parser = clap::value_parser!(u16).range(1..=64))]
    spec_draft_n_max: u16,
    /// Drop drafts of fewer tokens
    #[arg(long, value_name = "N", default_value_t = 0)]
    spec_draft_n_min: u16,
    /// End a draft before a token less likely than this
    #[arg(long, value_name = "P", default_value_t = 0.0)]
    spec_draft_p_min: f32,
    /// Tell each round of drafting on stderr; also SHARPI_TRACE_MTP=1
    #[arg(long)]
    trace_mtp: bool,
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
        if self.spec_draft_n_min > self.spec_draft_n_max {
            return Err(Failure::usage(
                format!(
                    "--spec-draft-n-min {} is more than --spec-draft-n-max {}: every draft would be dropped",
                    self.spec_draft_n_min, self.spec_draft_n_max
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
                say(&format!(
                    "drafting: none, the model has no MTP head (`{key}`)"
                ));
                return Ok(None);
            }
            SpecType::Auto => say(&format!(
                "drafting: draft-mtp with up to {} tokens, the model has an MTP head",
                self.spec_draft_n_max
            )),
            SpecType::DraftMtp => {}
        }
        Ok(Some(DraftOptions {
            n_max: self.spec_draft_n_max.into(),
            n_min: self.spec_draft_n_min.into(),
            p_min: self.spec_draft_p_min,
        }))
    }
}

/// The complaint about a model without an MTP head; `option` asked for it.
pub(super) fn no_head(hparams: &Hparams, option: &str) -> Failure {
    let arch = hparams.arch.name();
    Failure::unsupported(
        format!(
            "the model has no MTP head to draft with: `{arch}.nextn_predict_layers` is missing from its metadata or 0"
        ),
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
