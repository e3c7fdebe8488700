//! Weights in the layout of the kernels, kept in a file for the next start.
//!
//! The file's name says what is in it: a hash of which tensors lie where, of when their files were last
//! written, and of samples of their bytes. It ends with that hash once all the rest is on the disk.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use super::fingerprint::samples;
use super::ops::{Place, Weight};
use super::pages::Pages;
use crate::gguf::Gguf;
use crate::regular_file;

/// Of panels and of where they lie: one more with each change, so that older files are not taken.
const LAYOUT: u32 = 1;
/// Bytes that are written at a time.
const CHUNK: usize = 8 << 20;

pub(super) struct PackedFile {
    path: PathBuf,
    /// Of the weights.
    bytes: usize,
    hash: [u8; 32],
}

impl PackedFile {
    /// The file in `folder` for these weights at these places of so many bytes, written or not.
    pub(super) fn of(
        folder: &Path,
        gguf: &Gguf,
        (weights, places): (&[Arc<Weight>], &[Place]),
        bytes: usize,
    ) -> PackedFile {
        let mut hasher = blake3::Hasher::new();
        let mut put = |text: String| {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        };
        put(format!("layout {LAYOUT}, {bytes} bytes"));
        for written in gguf.written() {
            let since = written.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
            put(format!("{since:?}"));
        }
        for (weight, place) in weights.iter().zip(places) {
            put(format!("{place:?} {}", weight.source()));
        }
        for weight in weights {
            samples(weight.bytes()).for_each(|bytes| {
                hasher.update(bytes);
            });
        }
        let hash = hasher.finalize();
        PackedFile {
            path: folder.join(format!("{}.weights", &hash.to_hex()[..32])),
            bytes,
            hash: *hash.as_bytes(),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Its weights, mapped; `None` where there is no such file, or not the whole of it.
    pub(super) fn open(&self) -> io::Result<Option<Pages>> {
        let mut file = match regular_file::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let mut end = [0; 32];
        if file.metadata()?.len() != (self.bytes + end.len()) as u64 {
            return Ok(None);
        }
        file.seek(SeekFrom::Start(self.bytes as u64))?;
        file.read_exact(&mut end)?;
        match end == self.hash {
            true => Pages::of_file(&file, self.bytes).map(Some),
            false => Ok(None),
        }
    }

    /// Writes the weights, telling how many bytes of them are written. Until all are, they are in a file
    /// by another name, which is removed if anything fails.
    pub(super) fn write(&self, weights: &[u8], written: &dyn Fn(u64)) -> io::Result<()> {
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        let part = self
            .path
            .with_extension(format!("{}.part", std::process::id()));
        let done = self.write_to(&part, weights, written);
        let done = done.and_then(|()| fs::rename(&part, &self.path));
        if done.is_err() {
            // What is wrong is told already.
            let _ = fs::remove_file(&part);
        }
        done
    }

    fn write_to(&self, path: &Path, weights: &[u8], written: &dyn Fn(u64)) -> io::Result<()> {
        let mut file = File::create(path)?;
        let mut done = 0;
        for chunk in weights.chunks(CHUNK) {
            file.write_all(chunk)?;
            done += chunk.len() as u64;
            written(done);
        }
        // A machine that loses its power must not leave an end without what is before it.
        file.sync_all()?;
        file.write_all(&self.hash)?;
        file.sync_all()
    }
}
