//! `dump-graph`: the graphs of a model, at any stage of the compiler.

pub(super) mod blocks;
mod dot;
mod fold;
mod json;
mod picture;
mod text;

use std::fs;
use std::io::Write;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use sharpi_compile::Model;
use sharpi_compile::lower::LowerOptions;
use sharpi_passes::{Options, Snapshot, Stage};

use super::failure::Failure;
use super::lower_args::LowerArgs;
use super::model_arg::ModelArg;
use super::pass_args::PassArgs;
use super::write_json;
use picture::Picture;

#[derive(clap::Args)]
pub(super) struct DumpGraph {
    #[command(flatten)]
    model: ModelArg,
    /// One graph alone [default: all that the model has]
    #[arg(long, value_name = "NAME", value_parser = ["trunk", "mtp"])]
    graph: Option<String>,
    /// How far to compile [default: imported, as the model file describes it]
    #[arg(long, value_name = "STAGE", value_parser = Stage::ALL.map(Stage::name), conflicts_with = "stop_after")]
    stage: Option<String>,
    /// Compile as far as this pass instead
    #[arg(long, value_name = "PASS")]
    stop_after: Option<String>,
    /// Only the ops of these blocks, such as 0-3 or 5
    #[arg(long, value_name = "A-B", value_parser = layers)]
    layers: Option<RangeInclusive<usize>>,
    /// Show every layer, also those that equal others
    #[arg(long)]
    no_fold: bool,
    /// How to show them
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// File to write to [default: the standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    lower: LowerArgs,
    #[command(flatten)]
    passes: PassArgs,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// The compiler's own textual form
    Text,
    /// For programs
    Json,
    /// For Graphviz
    Dot,
}

impl DumpGraph {
    pub(super) fn run(&self, out: &mut impl Write) -> Result<(), Failure> {
        let model = self.model.open()?;
        let snapshot = self.snapshot(&model)?;
        let layers = self.layers.as_ref();
        let picture = Picture::new(&snapshot, self.graph.as_deref(), layers, !self.no_fold);
        if let Some(layers) = layers
            && picture.is_empty()
        {
            let (first, last) = (layers.start(), layers.end());
            return Err(Failure::plain(
                format!("no op belongs to the blocks {first} to {last}"),
                "blocks count from 0, the multi-token-prediction head is the last one; without \
                 --layers all are shown",
            ));
        }
        match &self.output {
            None => self.write(&picture, out),
            Some(path) => {
                let mut bytes = Vec::new();
                self.write(&picture, &mut bytes)?;
                write_file(path, &bytes)
            }
        }
    }

    /// The graphs as far as they are to be compiled. Of the model only the header is read.
    fn snapshot(&self, model: &Model) -> Result<Snapshot, Failure> {
        let module = model.lower(
            &self
                .lower
                .options(usize::MAX, LowerOptions::default().max_rows),
        )?;
        if let Some(name) = &self.graph
            && !module.graphs.contains_key(name)
        {
            let names: Vec<_> = module.graphs.keys().map(String::as_str).collect();
            return Err(Failure::plain(
                format!("the model has no graph `{name}`"),
                format!(
                    "it has {}; only a file with a multi-token-prediction head has `mtp`",
                    names.join(", ")
                ),
            ));
        }
        let stop = self.stop_after.as_deref().or(self.stage.as_deref());
        let options = Options {
            stop_after: Some(stop.unwrap_or(Stage::Imported.name()).to_string()),
            ..self.passes.options()
        };
        Ok(sharpi_passes::run(module, &options)?)
    }

    fn write(&self, picture: &Picture<'_>, out: &mut impl Write) -> Result<(), Failure> {
        match self.format {
            Format::Text => Ok(text::write(picture, out)?),
            Format::Json => write_json(out, &json::Document::new(picture)),
            Format::Dot => Ok(dot::write(picture, out)?),
        }
    }
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    fs::write(path, bytes).map_err(|error| {
        let message = format!("cannot write {}: {error}", path.display());
        Failure::plain(message, "choose a file that can be written to with -o")
    })
}

/// Reads `2-5` or `3`.
fn layers(text: &str) -> Result<RangeInclusive<usize>, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (first.trim().parse(), last.trim().parse()) {
        (Ok(first), Ok(last)) if first <= last => Ok(first..=last),
        _ => Err("expected blocks such as 0-3 or 5".into()),
    }
}
