//! `synth`: writes a model of a real shape with made-up weights.

use std::fs::{self, File};
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use clap::ValueEnum;
use clap::builder::PossibleValue;
use serde::Serialize;
use sharpi_compile::gguf::write::Writer;
use sharpi_compile::lower::Hparams;
use sharpi_compile::synth::{Preset, Synth};
use sharpi_ir::plain::PlainPath;

use super::failure::Failure;
use super::progress::Progress;
use super::{interrupt, write_json_line};

/// Bytes between two looks at Ctrl-C.
const PIECE: usize = 1 << 22;

#[derive(clap::Args)]
pub(super) struct SynthArgs {
    /// Shape of the model
    #[arg(long, value_name = "SHAPE")]
    preset: Shape,
    /// File to write, GGUF
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Write only the first blocks of the trunk, to measure a shape that is too large for the memory
    /// [default: all]
    #[arg(long, value_name = "N")]
    blocks: Option<NonZeroUsize>,
    /// How often the MTP head is right
    #[arg(long, value_name = "F", default_value = "0.8", value_parser = acceptance)]
    mtp_accept: f64,
    /// Seed of the weights
    #[arg(short, long, value_name = "SEED", default_value_t = 0)]
    seed: u64,
    /// Write no weights: the file reads as zeros and takes next to no room
    #[arg(long)]
    header_only: bool,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy)]
struct Shape(Preset);

impl ValueEnum for Shape {
    fn value_variants<'a>() -> &'a [Shape] {
        const ALL: [Shape; Preset::ALL.len()] = {
            let mut all = [Shape(Preset::ALL[0]); Preset::ALL.len()];
            let mut i = 0;
            while i < all.len() {
                all[i] = Shape(Preset::ALL[i]);
                i += 1;
            }
            all
        };
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.0.name()))
    }
}

fn acceptance(text: &str) -> Result<f64, String> {
    let found = text.parse().ok().filter(|f| (0.01..=1.0).contains(f));
    found.ok_or_else(|| "expected a number, 0.01 to 1".into())
}

/// What was written.
#[derive(Serialize)]
struct Written<'a> {
    file: &'a Path,
    preset: &'static str,
    tensors: usize,
    bytes: u64,
    seconds: f64,
}

impl SynthArgs {
    pub(super) fn run(&self, out: &mut impl Write) -> Result<(), Failure> {
        let start = Instant::now();
        let synth = Synth {
            hparams: self.hparams()?,
            weights: self.preset.0.weights(self.mtp_accept),
            seed: self.seed,
        };
        let writer = match self.header_only {
            true => synth.header()?,
            false => synth.writer()?,
        };
        let bytes = writer.file_bytes()?;
        let part = self.part();
        if !self.header_only {
            check_room(&part, bytes)?;
        }
        let cancel = interrupt::flag()?;
        self.write(&writer, &part, bytes, &cancel)
            .inspect_err(|_| {
                // The first failure is the one to tell.
                let _ = fs::remove_file(&part);
            })?;
        fs::rename(&part, &self.output).map_err(|e| cannot_write(&self.output, &e))?;
        let written = Written {
            file: &self.output,
            preset: self.preset.0.name(),
            tensors: writer.tensor_count(),
            bytes,
            seconds: start.elapsed().as_secs_f64(),
        };
        match self.json {
            true => write_json_line(out, &written),
            false => written.tell(out),
        }
    }

    /// The shape, of as many blocks as are wanted.
    fn hparams(&self) -> Result<Hparams, Failure> {
        let mut hparams = self.preset.0.hparams();
        let (all, wanted) = (hparams.blocks.len(), self.blocks.map(NonZeroUsize::get));
        match wanted {
            Some(wanted) if wanted > all => Err(Failure::plain(
                format!("{wanted} blocks are wanted of a shape that has {all}"),
                "give --blocks fewer, or leave it out",
            )),
            wanted => {
                let wanted = wanted.unwrap_or(all);
                hparams.blocks.truncate(wanted);
                if let Some(indexer) = &mut hparams.indexer {
                    indexer.chooses.drain(wanted..all);
                }
                Ok(hparams)
            }
        }
    }

    /// What is not complete does not bear the name of the file, nor take the place of an older one.
    fn part(&self) -> PathBuf {
        let mut name = self.output.clone().into_os_string();
        name.push(".part");
        name.into()
    }

    fn write(
        &self,
        writer: &Writer,
        part: &Path,
        bytes: u64,
        cancel: &Arc<AtomicBool>,
    ) -> Result<(), Failure> {
        let file = File::create(part).map_err(|e| cannot_write(part, &e))?;
        if self.header_only {
            let written = writer.write_sparse(&file);
            return written.map_err(|e| cannot_write(part, &e));
        }
        let mut watched = Watched {
            file,
            progress: Progress::bytes("writing", bytes),
            done: 0,
            cancel,
        };
        match writer.write(&mut watched) {
            Err(_) if cancel.load(Ordering::Relaxed) => Err(Failure::plain(
                "stopped by Ctrl-C, the incomplete file is removed",
                "run it again to write the whole file",
            )),
            written => written.map_err(|e| cannot_write(part, &e)),
        }
    }
}

impl Written<'_> {
    fn tell(&self, out: &mut impl Write) -> Result<(), Failure> {
        let (file, gigabytes) = (PlainPath(self.file), gigabytes(self.bytes));
        Ok(writeln!(
            out,
            "{file}: the shape of {}, {} tensors, {gigabytes:.2} GB in {:.1} s",
            self.preset, self.tensors, self.seconds
        )?)
    }
}

/// Refuses to begin what the disk has no room for.
fn check_room(part: &Path, bytes: u64) -> Result<(), Failure> {
    let folder = match part.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let room = fs4::available_space(folder).map_err(|e| cannot_write(part, &e))?;
    if room >= bytes {
        return Ok(());
    }
    Err(Failure::plain(
        format!(
            "the file takes {:.2} GB, and {} has room for {:.2} GB",
            gigabytes(bytes),
            PlainPath(folder),
            gigabytes(room)
        ),
        "free some room, or name a file on another disk with -o; --header-only takes next to none",
    ))
}

fn gigabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e9
}

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    let help = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "free some room, or name a file on another disk with -o"
        }
        _ => "name a file in a folder that exists and may be written to with -o",
    };
    Failure::plain(format!("cannot write {}: {error}", PlainPath(path)), help)
}

/// A file that tells how far it is, and ends at Ctrl-C.
struct Watched<'c> {
    file: File,
    progress: Progress,
    done: u64,
    cancel: &'c AtomicBool,
}

impl Write for Watched<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.cancel.load(Ordering::Relaxed) {
            return Err(io::Error::other("cancelled"));
        }
        let written = self.file.write(&bytes[..bytes.len().min(PIECE)])?;
        self.done += written as u64;
        self.progress.at(self.done);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
