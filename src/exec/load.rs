//! Loading: matrices of weights go from the file into the layout of the kernels.
//!
//! All go into one piece of memory ([`Pages`]), in parts of about a megabyte that are read and
//! packed by all threads. A weight of which nothing was loaded is multiplied from the file as it
//! is mapped, with the same results.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indexmap::IndexMap;
use rayon::prelude::*;

use crate::exec::ops::{BindError, Place, Weight};
use crate::exec::packed_file::PackedFile;
use crate::exec::pages::Pages;
use crate::gguf::Gguf;
use sharpi_kernels::panel::{self, ROWS, has_panels, pack, panel_bytes};

sharpi_passes::option_struct! {
    /// How weights are held.
    #[derive(Clone, PartialEq, Eq, Debug)]
    pub struct LoadOptions {
        /// Whether matrices are brought into memory in the layout of the kernels; else they are used
        /// from the mapped file, slower, and without taking memory of their own.
        pub repack: bool = true,
        /// A folder for what is brought into memory: a file of it is written there, which the next
        /// start maps in place of reading and laying out the model's.
        pub cache: Option<PathBuf> = None,
        /// Whether what is loaded is locked in memory.
        pub lock: bool = false,
        /// Threads that read and lay out.
        pub threads: usize = std::thread::available_parallelism().map_or(1, |n| n.get()),
    }
}

/// What loading took.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct LoadReport {
    /// Bytes that are now in memory.
    pub bytes: u64,
    /// Time.
    pub time: Duration,
    /// Whether they were found in the folder for them ([`LoadOptions::cache`]).
    pub cached: bool,
}

/// Why weights cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Memory that the system does not give.
    #[error("{bytes} bytes of memory for weights cannot be had: {source}")]
    Memory {
        /// How many.
        bytes: usize,
        /// What the system says.
        source: std::io::Error,
    },
    /// Memory that cannot be locked.
    #[error("{bytes} bytes of weights cannot be locked in memory: {source}")]
    Lock {
        /// How many.
        bytes: usize,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file in the folder for weights that can be neither used nor written.
    #[error("weights cannot be kept in {}: {source}", sharpi_ir::plain::Plain(&path.display().to_string()))]
    Cache {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file could not be read.
    #[error(
        "tensor `{}` cannot be read: {source}",
        sharpi_ir::plain::Plain(tensor)
    )]
    Read {
        /// Of which tensor.
        tensor: String,
        /// What the system says.
        source: std::io::Error,
    },
}

/// Why compiled graphs cannot be made ready to run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrepareError {
    /// An op has no kernel, or a weight is not what its declaration says.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The weights cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
}

/// Is told how many bytes of how many are loaded, from any thread.
pub type Progress<'p> = &'p (dyn Fn(u64, u64) + Sync);

/// Bytes of a part.
const RANGE_BYTES: usize = 1 << 20;

/// A part of a weight: rows of the file, and where they go.
struct LoadRange<'a> {
    weight: &'a Weight,
    /// From the start of the tensor, in bytes.
    from: usize,
    bytes: usize,
    to: &'a mut [u8],
}

/// Loads weights.
pub(super) fn load(
    gguf: &Gguf,
    weights: &[Arc<Weight>],
    options: &LoadOptions,
    progress: Progress<'_>,
) -> Result<LoadReport, LoadError> {
    let start = Instant::now();
    if !options.repack {
        return Ok(LoadReport::default());
    }
    let WeightPlaces {
        weights,
        places,
        starts,
        bytes,
    } = WeightPlaces::new(weights);
    if bytes == 0 {
        return Ok(LoadReport::default());
    }
    let file = options.cache.as_deref();
    let file = file.map(|folder| PackedFile::of(folder, gguf, (&weights, &places), bytes));
    let found = file
        .as_ref()
        .map(|file| file.open().map_err(no_cache(file)));
    let found = found.transpose()?.flatten();
    let cached = found.is_some();
    let pages = match found {
        Some(pages) => pages,
        None => pack_all(gguf, (&weights, &places), bytes, options, progress, file)?,
    };
    if options.lock {
        let refused = |source| LoadError::Lock { bytes, source };
        pages.lock().map_err(refused)?;
    }
    let pages = Arc::new(pages);
    for (weight, place) in weights.iter().zip(places) {
        let starts = starts.iter().filter(|start| start.is_start_of(weight));
        for weight in starts.chain([weight]) {
            weight.keep(pages.clone(), place);
        }
    }
    Ok(LoadReport {
        bytes: bytes as u64,
        time: start.elapsed(),
        cached,
    })
}

/// Why a file of weights is of no use.
fn no_cache(file: &PackedFile) -> impl Fn(std::io::Error) -> LoadError {
    |source| LoadError::Cache {
        path: file.path().to_owned(),
        source,
    }
}

/// Brings weights into memory, and into a file where one is wanted.
fn pack_all(
    gguf: &Gguf,
    (weights, places): (&[Arc<Weight>], &[Place]),
    bytes: usize,
    options: &LoadOptions,
    progress: Progress<'_>,
    file: Option<PackedFile>,
) -> Result<Pages, LoadError> {
    check_memory(bytes)?;
    let memory = |source| LoadError::Memory { bytes, source };
    let mut pages = Pages::new(bytes).map_err(memory)?;
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(options.threads)
        .build()
        .map_err(|e| memory(std::io::Error::other(e)))?;
    let read: u64 = weights.iter().map(|w| w.file_bytes() as u64).sum();
    let total = read + file.as_ref().map_or(0, |_| bytes as u64);
    let watch = |done, _| progress(done, total);
    pool.install(|| fill(gguf, weights, places, pages.bytes_mut(), &watch))?;
    if let Some(file) = file {
        let written = file.write(pages.bytes(), &|done| progress(read + done, total));
        written.map_err(no_cache(&file))?;
    }
    Ok(pages)
}

/// Where weights come to lie: one after another, but of a block's experts all matrices of the first,
/// then all of the second. A token visits few experts, and finds what it needs of each in one place.
struct WeightPlaces {
    weights: Vec<Arc<Weight>>,
    places: Vec<Place>,
    /// Weights that are the start of one of the others, and lie in its memory.
    starts: Vec<Arc<Weight>>,
    bytes: usize,
}

impl WeightPlaces {
    fn new(weights: &[Arc<Weight>]) -> WeightPlaces {
        let is_start = |part: &Weight| weights.iter().any(|whole| part.is_start_of(whole));
        let all = weights.iter().cloned();
        let (starts, weights): (Vec<_>, Vec<_>) = all.partition(|weight| is_start(weight));
        let mut groups: IndexMap<Together<'_>, Vec<&Arc<Weight>>> = IndexMap::new();
        for (i, weight) in weights.iter().enumerate() {
            groups
                .entry(Together::new(i, weight))
                .or_default()
                .push(weight);
        }
        let (mut places, mut bytes) = (Vec::with_capacity(weights.len()), 0usize);
        for group in groups.values() {
            let of_one = |sum: usize, w: &&Arc<Weight>| sum + whole(w.packed_matrix_bytes());
            let stride = group.iter().fold(0, of_one);
            let mut start = bytes;
            for weight in group {
                places.push(Place { start, stride });
                start = of_one(start, weight);
            }
            bytes += group[0].matrices() * stride;
        }
        let weights = groups.values().flatten().map(|w| (*w).clone()).collect();
        WeightPlaces {
            weights,
            places,
            starts,
            bytes,
        }
    }
}

/// What weights have in common that lie side by side.
#[derive(PartialEq, Eq, Hash)]
enum Together<'a> {
    /// Experts, so many, of a block of which the tensors' names begin so.
    Experts(&'a str, usize),
    /// None of the others: the weight of this number stands alone.
    Alone(usize),
}

impl<'a> Together<'a> {
    fn new(number: usize, weight: &'a Weight) -> Together<'a> {
        let name = &weight.tensor().name;
        match (name.rfind(".ffn_"), weight.matrices()) {
            (Some(end), count @ 2..) => Together::Experts(&name[..end], count),
            _ => Together::Alone(number),
        }
    }
}

/// Matrices begin at whole cache lines.
fn whole(bytes: usize) -> usize {
    bytes.next_multiple_of(64)
}

/// Bytes that these weights take once they are loaded.
pub(super) fn packed_bytes(weights: &[Arc<Weight>]) -> usize {
    WeightPlaces::new(weights).bytes
}

fn fill(
    gguf: &Gguf,
    weights: &[Arc<Weight>],
    places: &[Place],
    mut to: &mut [u8],
    progress: Progress<'_>,
) -> Result<(), LoadError> {
    let total = weights.iter().map(|w| w.file_bytes() as u64).sum();
    let mut matrices = Vec::new();
    for (weight, place) in weights.iter().zip(places) {
        let bytes = weight.packed_matrix_bytes();
        let all = (0..weight.matrices()).map(|i| (place.matrix(i, bytes), weight, i));
        matrices.extend(all);
    }
    matrices.sort_by_key(|(bytes, ..)| bytes.start);
    let (mut parts, mut at) = (Vec::new(), 0);
    for (bytes, weight, i) in matrices {
        let (_, rest) = to.split_at_mut(bytes.start - at);
        let (own, rest) = rest.split_at_mut(bytes.len());
        (to, at) = (rest, bytes.end);
        divide(weight, i, own, &mut parts);
    }
    let drop_behind = gguf.file_bytes() > memory_bytes().unwrap_or(u64::MAX) / 2;
    let done = AtomicU64::new(0);
    parts
        .into_par_iter()
        .try_for_each_init(Vec::new, |room, part| {
            let failed = |error| LoadError::Read {
                tensor: part.weight.tensor().name.clone(),
                source: error,
            };
            let bytes =
                (part.weight.read(part.from, part.bytes, room, drop_behind)).map_err(failed)?;
            copy(part.weight, bytes, part.to);
            let now = done.fetch_add(part.bytes as u64, Ordering::Relaxed) + part.bytes as u64;
            progress(now, total);
            Ok(())
        })
}

/// Cuts a matrix of a weight into parts of whole panels.
fn divide<'a>(
    weight: &'a Weight,
    matrix: usize,
    mut to: &'a mut [u8],
    parts: &mut Vec<LoadRange<'a>>,
) {
    let (rows, n) = weight.shape();
    let row_bytes = weight.ty.row_bytes(n);
    let at_once = (RANGE_BYTES / row_bytes.max(1))
        .max(1)
        .next_multiple_of(ROWS);
    for first in (0..rows).step_by(at_once) {
        let count = at_once.min(rows - first);
        let (own, rest) = to.split_at_mut(panel::packed_bytes(weight.ty, count, n));
        to = rest;
        parts.push(LoadRange {
            weight,
            from: (matrix * rows + first) * row_bytes,
            bytes: count * row_bytes,
            to: own,
        });
    }
}

fn copy(weight: &Weight, rows: &[u8], to: &mut [u8]) {
    let (_, n) = weight.shape();
    if !has_panels(weight.ty) {
        return to.copy_from_slice(rows);
    }
    let panels = to.chunks_exact_mut(panel_bytes(weight.ty, n));
    for (rows, panel) in rows.chunks(ROWS * weight.ty.row_bytes(n)).zip(panels) {
        pack(weight.ty, n, rows, panel);
    }
}

/// Refuses what the machine cannot hold: its kernel would promise the memory and end the program
/// later, without a word.
fn check_memory(bytes: usize) -> Result<(), LoadError> {
    match memory_bytes() {
        Some(has) if bytes as u64 > has => Err(LoadError::Memory {
            bytes,
            source: std::io::Error::other(format!("the machine has {has}")),
        }),
        Some(_) | None => Ok(()),
    }
}

/// Memory of the machine in bytes, where it can be found out.
fn memory_bytes() -> Option<u64> {
    let info = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}
