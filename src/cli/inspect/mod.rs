//! `inspect`: what is in a model file, and whether it can be run.

mod metadata;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;

use indexmap::IndexMap;
use serde::{Serialize, Serializer};
use sharpi_compile::gguf::{Gguf, TensorInfo, Value};
use sharpi_compile::lower::LowerOptions;
use sharpi_compile::{Error, Model};
use sharpi_ir::DType;
use sharpi_ir::plain::Plain;

use super::failure::Failure;
use super::write_json;
use metadata::Json;

#[derive(clap::Args)]
pub(super) struct Inspect {
    /// Model file, GGUF; of a split model the first part
    #[arg(value_name = "FILE", required_unless_present = "model")]
    file: Option<PathBuf>,
    /// The same, as other commands name it
    #[arg(short, long, value_name = "FILE", conflicts_with = "file")]
    model: Option<PathBuf>,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// What there is to know about a file.
#[derive(Serialize)]
struct Findings<'a> {
    version: u32,
    file_bytes: u64,
    #[serde(serialize_with = "as_json")]
    metadata: &'a IndexMap<String, Value>,
    tensors: Vec<Tensor>,
    types: BTreeMap<&'static str, TypeCount>,
    /// Whether the file has a multi-token-prediction head, which drafts tokens.
    mtp_head: bool,
    /// What may have been meant to change the result, and does not.
    warnings: Vec<String>,
    /// What else the computation of text does not use.
    unused: Vec<String>,
    /// Why the model cannot be run; empty if it can.
    unsupported: Vec<String>,
}

#[derive(Serialize)]
struct Tensor {
    name: String,
    #[serde(rename = "type")]
    ty: &'static str,
    /// Fastest-varying first, as in the file.
    dims: Vec<u64>,
    part: usize,
    offset: u64,
    bytes: u64,
}

#[derive(Default, Serialize)]
struct TypeCount {
    tensors: usize,
    bytes: u64,
}

impl Inspect {
    pub(super) fn run(&self, out: &mut impl Write) -> Result<(), Failure> {
        let Some(file) = self.file.as_ref().or(self.model.as_ref()) else {
            return Err(Failure::usage("no file is named", "name a model file"));
        };
        let model = Model::open(file)?;
        let findings = Findings::new(&model);
        match self.json {
            true => write_json(out, &findings),
            false => Ok(findings.write(out)?),
        }
    }
}

impl Findings<'_> {
    fn new(model: &Model) -> Findings<'_> {
        let gguf = model.gguf();
        let notes = model.notes().unwrap_or_default();
        let told = |warnings: bool| {
            let notes = notes
                .iter()
                .filter(move |note| note.is_warning() == warnings);
            notes.map(ToString::to_string).collect::<Vec<String>>()
        };
        let tokenizer = model.tokenizer();
        let mut warnings = told(true);
        if let Ok(tokenizer) = &tokenizer {
            warnings.extend(tokenizer.warnings().iter().map(ToString::to_string));
        }
        let mut types: BTreeMap<_, TypeCount> = BTreeMap::new();
        for tensor in gguf.tensors().values() {
            let count = types.entry(tensor.ty.name()).or_default();
            count.tensors += 1;
            count.bytes += tensor.bytes;
        }
        Findings {
            version: gguf.version(),
            file_bytes: gguf.file_bytes(),
            metadata: gguf.metadata(),
            tensors: gguf.tensors().values().map(Tensor::new).collect(),
            types,
            mtp_head: has_mtp_head(gguf),
            warnings,
            unused: told(false),
            unsupported: unsupported(model, tokenizer.err()),
        }
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(
            out,
            "GGUF version {}, {} bytes",
            self.version, self.file_bytes
        )?;
        writeln!(out, "\nmetadata ({} keys)", self.metadata.len())?;
        for (key, value) in self.metadata {
            writeln!(out, "  {} = {value}", Plain(key))?;
        }
        writeln!(
            out,
            "\ntensors ({}), dimensions fastest first",
            self.tensors.len()
        )?;
        let names = self.tensors.iter().map(|t| Plain(&t.name).to_string());
        let names: Vec<String> = names.collect();
        let width = names.iter().map(|name| name.chars().count()).max();
        let width = width.unwrap_or(0);
        for (name, t) in names.iter().zip(&self.tensors) {
            let dims = format!("{:?}", t.dims);
            writeln!(
                out,
                "  {:width$}  {:7} {dims:20} {:12} bytes",
                name, t.ty, t.bytes
            )?;
        }
        writeln!(out, "\ntypes")?;
        for (name, count) in &self.types {
            writeln!(
                out,
                "  {name:7} {:5} tensors {:14} bytes",
                count.tensors, count.bytes
            )?;
        }
        write_list(out, "warnings", &self.warnings)?;
        write_list(out, "not used for text", &self.unused)?;
        writeln!(out, "\n{}", self.about_mtp())?;
        match &self.unsupported[..] {
            [] => writeln!(out, "the model can be run"),
            reasons => {
                writeln!(out, "the model cannot be run:")?;
                reasons
                    .iter()
                    .try_for_each(|reason| writeln!(out, "  {reason}"))
            }
        }
    }

    fn about_mtp(&self) -> &'static str {
        match self.mtp_head {
            true => {
                "multi-token-prediction head: yes; it can draft tokens, which changes the speed and \
                 never the text"
            }
            false => "multi-token-prediction head: no; tokens come one by one",
        }
    }
}

fn write_list(out: &mut impl Write, title: &str, lines: &[String]) -> io::Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{title}")?;
    lines.iter().try_for_each(|line| writeln!(out, "  {line}"))
}

fn as_json<S: Serializer>(metadata: &IndexMap<String, Value>, s: S) -> Result<S::Ok, S::Error> {
    s.collect_map(metadata.iter().map(|(key, value)| (key, Json(value))))
}

impl Tensor {
    fn new(info: &TensorInfo) -> Tensor {
        Tensor {
            name: info.name.clone(),
            ty: info.ty.name(),
            dims: info.dims.clone(),
            part: info.part,
            offset: info.offset,
            bytes: info.bytes,
        }
    }
}

/// Asks the tensors, as a model that cannot be run may have a head too.
fn has_mtp_head(gguf: &Gguf) -> bool {
    let names = &mut gguf.tensors().keys();
    names.any(|name| name.starts_with("blk.") && name.contains(".nextn."))
}

/// Everything that keeps the model from being run.
fn unsupported(model: &Model, of_tokenizer: Option<Error>) -> Vec<String> {
    let kernel = |t: &TensorInfo| {
        let dtype = DType::from_name(&t.ty.name().to_lowercase());
        dtype.is_some_and(|d| d.activation().is_some())
    };
    let tensors = model.gguf().tensors().values();
    let mut reasons: Vec<String> = tensors
        .filter(|t| !kernel(t))
        .map(|t| {
            format!(
                "tensor `{}` has type {}, which has no kernel",
                Plain(&t.name),
                t.ty
            )
        })
        .collect();
    // The lowering stops at the first of these.
    if reasons.is_empty() {
        let lowered = model.lower(&LowerOptions::default());
        reasons.extend(lowered.err().map(|error| error.to_string()));
    }
    reasons.extend(of_tokenizer.map(|error| error.to_string()));
    // Of what is no model both say that.
    reasons.dedup();
    reasons
}
