//! Writing the file that [`BaseFile`](super::BaseFile) reads.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::base::MAGIC;
use super::base_error::{BaseError, BaseFault};
use super::chunks::Chunks;

/// A file of log probabilities that is being written. It has its name once it is whole.
pub struct BaseWriter {
    path: PathBuf,
    output: BufWriter<NamedTempFile>,
}

impl BaseWriter {
    /// Begins a file with the tokens of all chunks.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn create(path: &Path, chunks: &Chunks, vocabulary: usize) -> Result<Self, BaseError> {
        let begun = || -> io::Result<BufWriter<NamedTempFile>> {
            let folder = match path.parent() {
                Some(folder) if !folder.as_os_str().is_empty() => folder,
                _ => Path::new("."),
            };
            let mut file = tempfile::Builder::new();
            let file = file.prefix(".logits-").suffix(".part");
            // A file as any other program would make it, not one for this user alone.
            #[cfg(unix)]
            let file = {
                use std::os::unix::fs::PermissionsExt;
                file.permissions(std::fs::Permissions::from_mode(0o666))
            };
            let mut output = BufWriter::new(file.tempfile_in(folder)?);
            output.write_all(MAGIC)?;
            for number in [chunks.length(), vocabulary, chunks.count()] {
                let number = i32::try_from(number).map_err(io::Error::other)?;
                output.write_all(&number.to_le_bytes())?;
            }
            for id in chunks.tokens() {
                output.write_all(&id.to_le_bytes())?;
            }
            Ok(output)
        };
        let output = begun().map_err(|error| fail(path, error))?;
        Ok(BaseWriter {
            path: path.into(),
            output,
        })
    }

    /// Appends a row, as [`Judge::encode`](super::Judge::encode) gives it.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn row(&mut self, bytes: &[u8]) -> Result<(), BaseError> {
        let written = self.output.write_all(bytes);
        written.map_err(|error| fail(&self.path, error))
    }

    /// Ends the file: from now on it is there. Without this nothing is left of it.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn finish(self) -> Result<(), BaseError> {
        let file = self.output.into_inner();
        let file = file.map_err(|error| fail(&self.path, error.into_error()))?;
        match file.persist(&self.path) {
            Ok(_) => Ok(()),
            Err(error) => Err(fail(&self.path, error.error)),
        }
    }
}

fn fail(path: &Path, error: io::Error) -> BaseError {
    BaseError {
        path: path.into(),
        fault: BaseFault::Io(error),
    }
}
