//! The file in which llama-perplexity keeps the log probabilities of a run.
//!
//! Little-endian: the bytes `_logits_`; as 32-bit integers the tokens of a chunk, the size of the
//! vocabulary, the number of chunks, and the tokens of all chunks; then a row for each judged token
//! of each chunk. A row is two f32, a step and a least value, and a 16-bit quant for each token of
//! the vocabulary (one more if their number is odd): the log probability is `step · quant + least`.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use super::base_error::{BaseError, BaseFault};
use super::chunks::{LEAST_CHUNK, judged};
use super::log_probs::{row_bytes, split};
use crate::regular_file;

/// What a file begins with.
pub(super) const MAGIC: &[u8; 8] = b"_logits_";
/// Bytes in front of the tokens.
const HEADER: u64 = 8 + 3 * 4;
/// Bytes of a token.
const TOKEN: u64 = 4;

/// The log probabilities of a run, read row after row.
#[derive(Debug)]
pub struct BaseFile {
    path: PathBuf,
    input: BufReader<File>,
    length: usize,
    vocabulary: usize,
    tokens: Vec<u32>,
}

impl BaseFile {
    /// Opens a file and reads its tokens: those of the first `most` chunks, or of all.
    ///
    /// # Errors
    /// A file that cannot be read, that is something else, or shorter or longer than it says.
    pub fn open(path: &Path, most: Option<usize>) -> Result<BaseFile, BaseError> {
        let fail = |fault| BaseError {
            path: path.into(),
            fault,
        };
        BaseFile::read(path, most).map_err(fail)
    }

    fn read(path: &Path, most: Option<usize>) -> Result<BaseFile, BaseFault> {
        // Looked at before it is opened: opening a pipe waits for whoever writes to it.
        let metadata = std::fs::metadata(path)?;
        if !metadata.is_file() {
            return Err(BaseFault::Kind);
        }
        let bytes = metadata.len();
        let mut input = BufReader::new(regular_file::open(path)?);
        let mut magic = Vec::new();
        (&mut input)
            .take(MAGIC.len() as u64)
            .read_to_end(&mut magic)?;
        if magic != MAGIC {
            return Err(BaseFault::Magic {
                found: magic.escape_ascii().to_string(),
            });
        }
        if bytes < HEADER {
            return Err(BaseFault::Header { bytes });
        }
        let mut number = || -> Result<i32, BaseFault> {
            let mut bytes = [0; 4];
            input.read_exact(&mut bytes)?;
            Ok(i32::from_le_bytes(bytes))
        };
        let shape = Shape::check(number()?, number()?, number()?)?;
        let chunks = most.unwrap_or(shape.chunks).min(shape.chunks);
        shape.check_bytes(bytes, chunks)?;
        // The file has them all, so that there is memory for nothing that is not there.
        let mut tokens = vec![0; shape.length * shape.chunks * TOKEN as usize];
        input.read_exact(&mut tokens)?;
        let (tokens, _) = tokens.as_chunks::<4>();
        let tokens = tokens.iter().map(|bytes| i32::from_le_bytes(*bytes));
        let wanted = tokens.take(chunks * shape.length);
        Ok(BaseFile {
            path: path.into(),
            input,
            length: shape.length,
            vocabulary: shape.vocabulary,
            tokens: shape.ids(wanted)?,
        })
    }

    /// Tokens of a chunk.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Log probabilities of a row.
    pub fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    /// The tokens of all chunks that are read.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// Reads the next rows into `bytes`; they are parted by [`BaseFile::row_bytes`].
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn read_rows(&mut self, rows: usize, bytes: &mut Vec<u8>) -> Result<(), BaseError> {
        bytes.resize(rows * self.row_bytes(), 0);
        let read = self.input.read_exact(bytes);
        read.map_err(|error| BaseError {
            path: self.path.clone(),
            fault: error.into(),
        })
    }

    /// Bytes of a row.
    pub fn row_bytes(&self) -> usize {
        row_bytes(self.vocabulary) as usize
    }
}

/// The numbers of a header.
struct Shape {
    length: usize,
    vocabulary: usize,
    chunks: usize,
}

impl Shape {
    fn check(length: i32, vocabulary: i32, chunks: i32) -> Result<Shape, BaseFault> {
        let number = |what, value: i32, least: usize, expected| match usize::try_from(value) {
            Ok(n) if n >= least => Ok(n),
            _ => Err(BaseFault::Number {
                what,
                value: value.into(),
                expected,
            }),
        };
        Ok(Shape {
            length: number("chunks", length, LEAST_CHUNK, "3 tokens or more")?,
            vocabulary: number("a vocabulary", vocabulary, 1, "1 or more")?,
            chunks: number("a number", chunks, 1, "1 chunk or more")?,
        })
    }

    /// Whether a file of so many bytes has the first `wanted` chunks.
    fn check_bytes(&self, bytes: u64, wanted: usize) -> Result<(), BaseFault> {
        let tokens = self.length as u128 * self.chunks as u128;
        let before = u128::from(HEADER) + tokens * u128::from(TOKEN);
        let chunk = judged(self.length) as u128 * u128::from(row_bytes(self.vocabulary));
        let expected = before + wanted as u128 * chunk;
        let all = before + self.chunks as u128 * chunk;
        if u128::from(bytes) < expected {
            let whole = u128::from(bytes).saturating_sub(before) / chunk;
            return Err(BaseFault::Truncated {
                bytes,
                expected,
                chunks: wanted,
                length: self.length,
                vocabulary: self.vocabulary,
                // Fewer than the chunks of the header.
                whole: whole as usize,
            });
        }
        match u128::from(bytes).checked_sub(all) {
            Some(trailing) if trailing > 0 => Err(BaseFault::Trailing {
                bytes: trailing as u64,
                chunks: self.chunks,
            }),
            _ => Ok(()),
        }
    }

    fn ids(&self, tokens: impl Iterator<Item = i32>) -> Result<Vec<u32>, BaseFault> {
        let id = |(place, id): (usize, i32)| match u32::try_from(id) {
            Ok(known) if (known as usize) < self.vocabulary => Ok(known),
            _ => Err(BaseFault::Token {
                place,
                id,
                vocabulary: self.vocabulary,
            }),
        };
        tokens.enumerate().map(id).collect()
    }
}

/// The log probabilities at one position.
#[derive(Clone, Copy, Debug)]
pub struct BaseRow<'a> {
    step: f32,
    least: f32,
    quants: &'a [[u8; 2]],
}

/// How far above 0 rounding may lift a log probability.
const ROUNDED: f32 = 1e-3;

impl<'a> BaseRow<'a> {
    /// The row of these bytes; `None` if it holds no log probabilities.
    pub fn of(bytes: &'a [u8], vocabulary: usize) -> Option<BaseRow<'a>> {
        let (step, least, quants) = split(bytes, vocabulary);
        let row = BaseRow {
            step,
            least,
            quants,
        };
        let sound = step >= 0.0 && least.is_finite() && row.value(u16::MAX) <= ROUNDED;
        sound.then_some(row)
    }

    /// Of a token.
    pub fn log_prob(&self, id: usize) -> f32 {
        self.value(u16::from_le_bytes(self.quants[id]))
    }

    /// Of all tokens.
    pub fn log_probs(&self) -> impl Iterator<Item = f32> {
        let quants = self.quants.iter();
        quants.map(|quant| self.value(u16::from_le_bytes(*quant)))
    }

    fn value(&self, quant: u16) -> f32 {
        self.step * f32::from(quant) + self.least
    }
}
