//! `memory`: what a session takes, and which context fits. Of the model only the header is read.

mod picture;

use std::io::Write;
use std::ops::RangeInclusive;

use bytesize::ByteSize;
use serde::Serialize;
use sharpi_compile::exec::{Footprint, LoadOptions};
use sharpi_compile::lower::{MTP, TRUNK};
use sharpi_compile::{CompileOptions, Executable, Model, SessionOptions};

use super::context_arg::ContextArg;
use super::draft_vocab::DraftVocabArgs;
use super::failure::Failure;
use super::lower_args::LowerArgs;
use super::machines::ShareArgs;
use super::model_arg::ModelArg;
use super::pass_args::PassArgs;
use super::range::range;
use super::shape::Shape;
use super::spec::no_head;
use super::table::Table;
use super::units::si;
use super::write_json;

#[derive(clap::Args)]
pub(super) struct Memory {
    #[command(flatten)]
    model: ModelArg,
    #[command(flatten)]
    context: ContextArg,
    /// Most tokens in a draft; 0 for no drafting [default: 0, and 2 with --graph mtp]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=64))]
    spec_draft_n_max: Option<u16>,
    #[command(flatten)]
    vocabulary: DraftVocabArgs,
    /// Weights stay in the mapped file
    #[arg(long)]
    no_repack: bool,
    /// Also tell the largest context that fits into so many bytes, such as 16G or 24GiB
    #[arg(long, value_name = "BYTES")]
    fit: Option<ByteSize>,
    /// The graph whose values are drawn
    #[arg(long, value_name = "NAME", default_value = TRUNK, value_parser = [TRUNK, MTP])]
    graph: String,
    /// Steps to draw, such as 20-35 [default: the first ones]
    #[arg(long, value_name = "A-B", value_parser = range)]
    steps: Option<RangeInclusive<usize>>,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    lower: LowerArgs,
    #[command(flatten)]
    passes: PassArgs,
    #[command(flatten)]
    share: ShareArgs,
}

/// What is known, for programs.
#[derive(Serialize)]
struct Document<'a> {
    context: usize,
    rollback_tokens: usize,
    /// Bytes of the model file.
    mapped: u64,
    #[serde(flatten)]
    footprint: Footprint,
    total: u128,
    /// With --fit, the largest context.
    fit: Option<Fit>,
    /// Where values lie, by graph.
    arenas: &'a [picture::Arena],
}

/// The largest context that fits into so many bytes.
#[derive(Serialize)]
struct Fit {
    bytes: u64,
    /// `None` where not even one token fits.
    context: Option<usize>,
    /// The largest that the model was trained for; no larger one is looked at.
    trained: usize,
}

impl Memory {
    pub(super) fn run(&self, out: &mut impl Write) -> Result<(), Failure> {
        let model = self.model.open()?;
        let shape = self.shape(&model)?;
        let executable = self.executable(&model, shape)?;
        let options = session_options(shape);
        let mut footprint = executable.footprint(&options);
        if self.no_repack {
            footprint.packed_weights = 0;
        }
        let fit = self
            .fit
            .map(|ByteSize(bytes)| self.fit(&model, &executable, shape, bytes));
        let fit = fit.transpose()?;
        let arenas = picture::arenas(&executable)?;
        if self.json {
            return write_json(
                out,
                &Document {
                    context: options.context,
                    rollback_tokens: options.rollback,
                    mapped: model.gguf().file_bytes(),
                    footprint,
                    total: footprint.total(),
                    fit,
                    arenas: &arenas,
                },
            );
        }
        let arena = arenas.iter().find(|a| a.graph == self.graph);
        let arena = arena.ok_or_else(|| {
            Failure::plain(
                format!("the model has no graph `{}`", self.graph),
                "only a file with a multi-token-prediction head has `mtp`",
            )
        })?;
        let picture = picture::draw(arena, self.steps.clone())?;
        self.write_sums(&model, &footprint, shape, out)?;
        if let Some(fit) = fit {
            write_fit(&fit, out)?;
        }
        Ok(write!(out, "\n{picture}")?)
    }

    /// Bound to the weights, none of which is loaded.
    fn executable(&self, model: &Model, shape: Shape) -> Result<Executable, Failure> {
        let lower = shape.lower(&self.lower, self.vocabulary.read()?);
        Ok(model.compile(
            &CompileOptions::default()
                .lower(lower)
                .passes(self.passes.options().shard(self.share.shard()))
                .load(LoadOptions::default().repack(false)),
        )?)
    }

    fn shape(&self, model: &Model) -> Result<Shape, Failure> {
        let head = self.graph == MTP;
        let drafts = self.spec_draft_n_max.unwrap_or(if head { 2 } else { 0 });
        if drafts > 0 && model.hparams()?.mtp_blocks == 0 {
            return Err(no_head(&model.hparams()?, "--spec-draft-n-max"));
        }
        Ok(Shape {
            context: self.context.of(model)?,
            drafts: drafts.into(),
        })
    }

    fn fit(
        &self,
        model: &Model,
        executable: &Executable,
        shape: Shape,
        bytes: u64,
    ) -> Result<Fit, Failure> {
        let trained = model.hparams()?.context_length;
        let options = session_options(shape);
        let packed = !self.no_repack;
        let context = executable.largest_context(&options, packed, bytes.into(), trained);
        Ok(Fit {
            bytes,
            context,
            trained,
        })
    }

    fn write_sums(
        &self,
        model: &Model,
        footprint: &Footprint,
        shape: Shape,
        out: &mut impl Write,
    ) -> Result<(), Failure> {
        let options = session_options(shape);
        let mapped = si(model.gguf().file_bytes() as f64, "B");
        let tokens = options.context as u128;
        let weights = match self.no_repack {
            true => format!("in the mapped file of {mapped}, which the system reads as needed"),
            false => format!("the mapped file of {mapped} does not count: it can leave memory"),
        };
        let each = si((footprint.kv / tokens) as f64, "B");
        let rows = [
            ("weights, packed", footprint.packed_weights, weights),
            (
                "K/V caches",
                footprint.kv,
                format!("{each} for each of {tokens} tokens"),
            ),
            ("recurrent states", footprint.recurrent, String::new()),
            (
                "rollback log",
                footprint.rollback,
                format!("{} tokens", options.rollback),
            ),
            (
                "arena",
                footprint.arena,
                format!(
                    "values of a run of {} tokens",
                    self.lower
                        .options(shape.context, 1 + shape.drafts)
                        .max_tokens
                ),
            ),
            ("all", footprint.total(), String::new()),
        ];
        let mut table = Table::new(["", " memory", ""], 3);
        for (what, bytes, note) in rows {
            table.line([what.into(), format!("{:>7}", si(bytes as f64, "B")), note]);
        }
        Ok(table.write(out)?)
    }
}

fn session_options(shape: Shape) -> SessionOptions {
    SessionOptions::default()
        .context(shape.context)
        .rollback(shape.rollback())
}

/// Bytes of all parts in one line: what `run` tells of its session.
pub(super) fn sums(footprint: &Footprint) -> String {
    let part = |bytes: u128, what: &str| format!("{} {what}", si(bytes as f64, "B"));
    let parts = [
        part(footprint.packed_weights, "weights"),
        part(footprint.kv, "K/V caches"),
        part(footprint.recurrent, "recurrent states"),
        part(footprint.rollback, "rollback log"),
        part(footprint.arena, "arena"),
    ];
    let all = si(footprint.total() as f64, "B");
    format!("{all}: {}", parts.join(", "))
}

fn write_fit(fit: &Fit, out: &mut impl Write) -> Result<(), Failure> {
    let bytes = ByteSize(fit.bytes);
    let what = match fit.context {
        Some(context) if context == fit.trained => {
            format!("a context of {context} tokens, as many as the model was trained for")
        }
        Some(context) => format!("a context of {context} tokens"),
        None => "no context at all".into(),
    };
    Ok(writeln!(out, "into {bytes} fits {what}")?)
}
