//! `dump-graph`: the graphs of a model, at any stage of the compiler.

mod colours;
mod diff;
mod dot;
pub(super) mod fold;
mod json;
mod picture;
mod source;
mod stats;
mod text;

use std::fs;
use std::io::Write;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use sharpi_ir::Module;
use sharpi_ir::plain::PlainPath;
use sharpi_passes::{Pipeline, Report, Snapshot, Stage};

use super::ceilings;
use super::failure::Failure;
use super::machines::ShareArgs;
use super::pass_args::PassArgs;
use super::range::range;
use super::screen::Stdout;
use super::viewer::{self, Machine, Measured, Subject};
use super::write_json;
use diff::Side;
use picture::{Picture, View};
use source::Source;

#[derive(clap::Args)]
pub(super) struct DumpGraph {
    #[command(flatten)]
    source: Source,
    /// One graph alone, such as trunk or mtp [default: all that there are]
    #[arg(long, value_name = "NAME")]
    graph: Option<String>,
    /// How far to compile [default: imported, as the model file describes it; planned for html]
    #[arg(long, value_name = "STAGE", value_parser = Stage::ALL.map(Stage::name), conflicts_with_all = ["stop_after", "before"])]
    stage: Option<String>,
    /// Compile as far as this pass instead
    #[arg(long, visible_alias = "after", value_name = "PASS")]
    stop_after: Option<String>,
    /// Stop before this pass; with --after show what changes from here to there
    #[arg(long, value_name = "PASS")]
    before: Option<String>,
    /// Show the difference of two stages, of the graphs after two passes, or of two files
    #[arg(long, num_args = 2, value_names = ["A", "B"], conflicts_with_all = ["stage", "stop_after", "before"])]
    diff: Option<Vec<String>>,
    /// Show what each pass did, in place of the graphs; compiles to the end unless told otherwise
    #[arg(long, conflicts_with = "diff")]
    pass_stats: bool,
    /// Only the ops of these blocks, such as 0-3 or 5
    #[arg(long, value_name = "A-B", value_parser = range)]
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
    /// Times of the ops for html: what `profile --export-graph` has written
    #[arg(long, value_name = "FILE", conflicts_with = "layers")]
    measured: Option<PathBuf>,
    /// Ceilings of the machine whose best times html shows: what `hwbench --json` has printed
    /// [default: this machine's, if they were measured]
    #[arg(long, value_name = "FILE")]
    ceilings: Option<PathBuf>,
    #[command(flatten)]
    passes: PassArgs,
    #[command(flatten)]
    share: ShareArgs,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Format {
    /// The compiler's own textual form
    Text,
    /// For programs
    Json,
    /// For Graphviz
    Dot,
    /// A page of all stages up to the last one wanted, to look through in a browser
    Html,
    /// A picture for documents
    Svg,
    /// For Model Explorer
    ModelExplorer,
}

impl DumpGraph {
    pub(super) fn run(&self, out: &mut Stdout) -> Result<(), Failure> {
        let colours = out.dims() && self.format == Format::Text && !self.pass_stats;
        if self.output.is_none() && !colours {
            return self.show(out);
        }
        let mut bytes = Vec::new();
        self.show(&mut bytes)?;
        if let Some(path) = &self.output {
            return write_file(path, &bytes);
        }
        let text = String::from_utf8_lossy(&bytes);
        match self.is_difference() {
            true => colours::write_difference(&text, out)?,
            false => colours::write_graphs(&text, out)?,
        }
        Ok(())
    }

    fn is_difference(&self) -> bool {
        self.diff.is_some() || (self.before.is_some() && self.stop_after.is_some())
    }

    fn show(&self, out: &mut impl Write) -> Result<(), Failure> {
        if let Some(sides) = self.sides()? {
            return self.show_diff(&sides, out);
        }
        let default = match self.pass_stats || self.format == Format::Html {
            true => Stage::Planned,
            false => Stage::Imported,
        };
        let stop = match &self.before {
            Some(pass) => before(pass)?,
            None => {
                (self.stop_after.as_deref().or(self.stage.as_deref())).unwrap_or(default.name())
            }
        };
        if self.format != Format::Html && (self.measured.is_some() || self.ceilings.is_some()) {
            return Err(Failure::usage(
                "--measured and --ceilings are for pages",
                "ask for --format html, or leave them away",
            ));
        }
        if self.pass_stats {
            let snapshot = self.compiled(self.module()?, stop)?;
            return self.show_stats(&snapshot.report, out);
        }
        match self.format {
            Format::Text => self.show_picture(stop, |picture| Ok(text::write(picture, out)?)),
            Format::Json => self.show_picture(stop, |picture| {
                write_json(out, &json::Document::new(picture))
            }),
            Format::Dot => self.show_picture(stop, |picture| Ok(dot::write(picture, out)?)),
            Format::Html | Format::Svg | Format::ModelExplorer => self.show_viewer(stop, out),
        }
    }

    fn show_picture(
        &self,
        stop: &str,
        write: impl FnOnce(&Picture<'_>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let snapshot = self.compiled(self.module()?, stop)?;
        let picture = Picture::new(&snapshot, &self.view());
        self.check_layers(picture.is_empty())?;
        write(&picture)
    }

    fn check_layers(&self, is_empty: bool) -> Result<(), Failure> {
        match &self.layers {
            Some(layers) if is_empty => Err(Failure::plain(
                format!(
                    "no op belongs to the blocks {} to {}",
                    layers.start(),
                    layers.end()
                ),
                "blocks count from 0, the multi-token-prediction head is the last one; without \
                 --layers all are shown",
            )),
            Some(_) | None => Ok(()),
        }
    }

    fn view(&self) -> View<'_> {
        View {
            graph: self.graph.as_deref(),
            layers: self.layers.as_ref(),
            folded: !self.no_fold,
            labelled: false,
        }
    }

    fn module(&self) -> Result<Module, Failure> {
        let module = self.source.module()?;
        if let Some(name) = &self.graph
            && !module.graphs.contains_key(name)
        {
            let names: Vec<_> = module.graphs.keys().map(String::as_str).collect();
            return Err(Failure::plain(
                format!("there is no graph `{name}`"),
                format!(
                    "there is {}; only a file with a multi-token-prediction head has `mtp`",
                    names.join(", ")
                ),
            ));
        }
        Ok(module)
    }

    /// The graphs as far as they are to be compiled.
    fn compiled(&self, module: Module, stop: &str) -> Result<Snapshot, Failure> {
        let options = self.passes.options().stop_after(Some(stop.to_string()));
        let options = options.shard(self.share.shard());
        Ok(sharpi_passes::run(module, &options)?)
    }

    /// The page of all stages up to one, or the last of them in another way.
    fn show_viewer(&self, stop: &str, out: &mut impl Write) -> Result<(), Failure> {
        let options = self.passes.options().trace(true);
        let options = options.stop_after(Some(stop.to_string()));
        let trace = sharpi_passes::run(self.module()?, &options)?.trace;
        let measured = match &self.measured {
            Some(path) => Some(Measured::read(path, &trace)?),
            None => None,
        };
        let subject = Subject {
            title: &self.source.name(),
            trace: &trace,
            graph: self.graph.as_deref(),
            layers: self.layers.as_ref(),
            folded: !self.no_fold,
            machine: ceilings::known(self.ceilings.as_deref())?.map(Machine::new),
            measured,
        };
        self.check_layers(subject.is_empty())?;
        match self.format {
            Format::Svg => Ok(viewer::write_svg(&subject, out)?),
            Format::ModelExplorer => write_json(out, &viewer::model_explorer(&subject)),
            Format::Html | Format::Text | Format::Json | Format::Dot => {
                Ok(viewer::write_html(&subject, out)?)
            }
        }
    }

    /// What is to be compared, if anything is.
    fn sides(&self) -> Result<Option<[Side; 2]>, Failure> {
        let stops = match (self.diff.as_deref(), &self.before, &self.stop_after) {
            (Some([a, b]), _, _) => [(a.clone(), a.as_str()), (b.clone(), b.as_str())],
            (_, Some(pass), Some(last)) => [
                (format!("before {pass}"), before(pass)?),
                (format!("after {last}"), last.as_str()),
            ],
            _ => return Ok(None),
        };
        let [old, new] = stops.map(|(name, at)| {
            let snapshot = match diff::is_file(at) {
                true => self.compiled(
                    self.source.module_of(Path::new(at))?,
                    Stage::Imported.name(),
                ),
                false => self.compiled(self.module()?, at),
            };
            snapshot.map(|snapshot| Side { name, snapshot })
        });
        Ok(Some([old?, new?]))
    }

    fn show_diff(&self, [old, new]: &[Side; 2], out: &mut impl Write) -> Result<(), Failure> {
        if self.format != Format::Text || self.pass_stats {
            return Err(Failure::usage(
                "a difference is shown as text alone",
                "leave --format and --pass-stats away, or dump one stage at a time",
            ));
        }
        diff::write([old, new], &self.view(), out)
    }

    fn show_stats(&self, report: &Report, out: &mut impl Write) -> Result<(), Failure> {
        match self.format {
            Format::Text => Ok(write!(out, "{report}")?),
            Format::Json => write_json(out, &stats::Document::new(report)),
            Format::Dot | Format::Html | Format::Svg | Format::ModelExplorer => {
                Err(Failure::usage(
                    "statistics are no picture",
                    "ask for --format json, or leave --format away",
                ))
            }
        }
    }
}

/// What stands right before a pass.
fn before(pass: &str) -> Result<&'static str, Failure> {
    Pipeline::default().preceding(pass).ok_or_else(|| {
        Failure::usage(
            format!("there is no pass `{pass}`"),
            "`sharpi-compile passes` lists the passes",
        )
    })
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    fs::write(path, bytes).map_err(|error| {
        let message = format!("cannot write {}: {error}", PlainPath(path));
        Failure::plain(message, "choose a file that can be written to with -o")
    })
}
