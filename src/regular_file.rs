//! Opens files, and nothing but files: a pipe would wait for a writer, and a device may never end.

use std::fs::{self, File, FileType, OpenOptions};
use std::io::{self, Read};
use std::path::Path;

/// Opens a regular file to be read.
///
/// # Errors
/// What the system says; of a folder, a pipe or a device, what it is.
pub fn open(path: impl AsRef<Path>) -> io::Result<File> {
    let path = path.as_ref();
    // Asked first, for some devices do something when they are opened.
    refuse_others(fs::metadata(path)?.file_type())?;
    let mut options = OpenOptions::new();
    options.read(true);
    // What has taken the place of the file meanwhile does not make the program wait.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(
        &mut options,
        rustix::fs::OFlags::NONBLOCK.bits() as i32,
    );
    let file = options.open(path)?;
    refuse_others(file.metadata()?.file_type())?;
    Ok(file)
}

/// The bytes of a regular file.
///
/// # Errors
/// As [`open`].
pub fn read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The text of a regular file.
///
/// # Errors
/// As [`open`]; and a file that is no UTF-8.
pub fn read_to_string(path: impl AsRef<Path>) -> io::Result<String> {
    let mut text = String::new();
    open(path)?.read_to_string(&mut text)?;
    Ok(text)
}

fn refuse_others(ty: FileType) -> io::Result<()> {
    if ty.is_file() {
        return Ok(());
    }
    let error = format!("{}, expected a regular file", kind(ty));
    Err(io::Error::new(io::ErrorKind::InvalidInput, error))
}

fn kind(ty: FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if ty.is_fifo() {
            return "is a pipe";
        }
        if ty.is_socket() {
            return "is a socket";
        }
        if ty.is_char_device() || ty.is_block_device() {
            return "is a device";
        }
    }
    match ty.is_dir() {
        true => "is a folder",
        false => "is no file",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: impl AsRef<Path>, expected: &str) {
        let error = open(path).unwrap_err().to_string();
        assert_eq!(error, format!("{expected}, expected a regular file"));
    }

    #[test]
    fn only_files_are_opened() {
        let folder = tempfile::tempdir().unwrap();
        check(folder.path(), "is a folder");
        let file = folder.path().join("file");
        fs::write(&file, "text").unwrap();
        assert_eq!(read_to_string(&file).unwrap(), "text");
        let missing = open(folder.path().join("missing")).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    #[cfg(unix)]
    fn nothing_waits_for_pipes_and_devices() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let mode = rustix::fs::Mode::RWXU;
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        check(&pipe, "is a pipe");
        check("/dev/zero", "is a device");
        let socket = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        check(&socket, "is a socket");
        std::os::unix::fs::symlink(&pipe, folder.path().join("link")).unwrap();
        check(folder.path().join("link"), "is a pipe");
    }
}
