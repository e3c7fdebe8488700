//! Whether and how tokens are drafted.

use clap::ValueEnum;
use sharpi_compile::generate::DraftOptions;
use sharpi_compile::lower::Hparams;

use super::draft_vocab::DraftVocabArgs;
use super::failure::Failure;
use super::notice;
use super::trace::is_set;

#[derive(clap::Args)]
pub(super) struct SpecArgs {
    /// Way of drafting tokens; `auto` drafts when the model has a head for it
    #[arg(long, value_name = "TYPE", default_value = "none")]
    spec_type: SpecType,
    /// Most tokens in a draft; `auto` chooses the length of each by measured times and acceptance
    /// [default: 2]
    #[arg(long, value_name = "N", value_parser = most)]
    spec_draft_n_max: Option<Most>,
    /// Drop drafts of fewer tokens [default: 0]
    #[arg(long, value_name = "N")]
    spec_draft_n_min: Option<u16>,
    /// End a draft before a token less likely than this [default: 0]
    #[arg(long, value_name = "P")]
    spec_draft_p_min: Option<f32>,
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

/// Longest draft unless another is asked for.
const DEFAULT: Most = Most::Fixed(2);

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
        let longest = self.spec_draft_n_max.unwrap_or(DEFAULT);
        let (most, least) = (longest.tokens(), self.spec_draft_n_min.unwrap_or(0));
        if least > most {
            return Err(Failure::usage(
                format!(
                    "--spec-draft-n-min {least} is more than --spec-draft-n-max {most}: every draft would be dropped",
                ),
                "choose a smaller --spec-draft-n-min",
            ));
        }
        let has_head = hparams.mtp_blocks > 0;
        let key = format!("{}.nextn_predict_layers", hparams.arch.name());
        if self.spec_type != SpecType::None && is_set(DISABLE) {
            notice::tell(format_args!("drafting: off, {DISABLE} is set"));
            return Ok(None);
        }
        match self.spec_type {
            SpecType::None => {
                self.warn_of_idle();
                return Ok(None);
            }
            SpecType::DraftMtp if !has_head => return Err(no_head(hparams, "--spec-type")),
            SpecType::Auto if !has_head => {
                let why = match hparams.mtp_absent {
                    true => ": declared, and its tensors are absent",
                    false => "",
                };
                notice::tell(format_args!(
                    "drafting: none, the model has no MTP head (`{key}`{why})"
                ));
                return Ok(None);
            }
            SpecType::Auto => notice::tell(format_args!(
                "drafting: draft-mtp with up to {most} tokens, the model has an MTP head"
            )),
            SpecType::DraftMtp => {}
        }
        Ok(Some(
            DraftOptions::default()
                .n_max(most.into())
                .adaptive(matches!(longest, Most::Auto))
                .n_min(least.into())
                .p_min(self.spec_draft_p_min.unwrap_or(0.0)),
        ))
    }

    fn warn_of_idle(&self) {
        let options = [
            ("--spec-draft-n-max", self.spec_draft_n_max.is_some()),
            ("--spec-draft-n-min", self.spec_draft_n_min.is_some()),
            ("--spec-draft-p-min", self.spec_draft_p_min.is_some()),
            ("--draft-vocab", self.vocabulary.is_given()),
            ("--trace-mtp", self.trace_mtp),
        ];
        notice::idle_without(&options, "without drafting: see --spec-type");
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
