//! The files of the prompt store: written whole or not at all, in a thread of their own.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::SystemTime;

use super::note::Key;
use crate::SavedSession;

/// What is done to files; a test brings one that fails.
pub(super) trait Files: Send + Sync {
    /// Writes a file whole or not at all, and says how large it is.
    fn write(&self, name: &str, saved: &SavedSession) -> io::Result<u64>;
    fn read(&self, name: &str) -> io::Result<SavedSession>;
    fn remove(&self, name: &str) -> io::Result<()>;
}

/// A folder.
pub(super) struct Folder(pub(super) PathBuf);

impl Files for Folder {
    fn write(&self, name: &str, saved: &SavedSession) -> io::Result<u64> {
        write_whole(&self.0.join(name), |file| saved.write_to(file))
    }

    fn read(&self, name: &str) -> io::Result<SavedSession> {
        read_saved(&self.0.join(name))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.0.join(name))
    }
}

/// Writes a file so that at every moment it is there whole, as before, or not at all.
pub(crate) fn write_whole(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<u64> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(name);
    let written = File::create(&part).and_then(|file| {
        let mut file = BufWriter::with_capacity(1 << 20, file);
        write(&mut file)?;
        file.flush()?;
        let file = file.get_ref();
        file.sync_all()?;
        let size = file.metadata()?.len();
        fs::rename(&part, path)?;
        Ok(size)
    });
    if written.is_err() {
        // What is left of it is of no use to anybody.
        fs::remove_file(&part).ok();
    }
    written
}

/// Reads a saved session and checks that it is sound.
pub(crate) fn read_saved(path: &Path) -> io::Result<SavedSession> {
    let mut file = crate::regular_file::open(path)?;
    let size = file.metadata()?.len();
    SavedSession::read_from(&mut file, size).map_err(io::Error::other)
}

/// How large a file is, and when it was written.
#[derive(Clone, Copy)]
pub(super) struct Size {
    pub(super) bytes: u64,
    pub(super) written: SystemTime,
}

/// Its note only, which may not be sound, and the size of the file.
pub(super) fn read_note(path: &Path) -> io::Result<(Vec<u8>, Size)> {
    let mut file = crate::regular_file::open(path)?;
    let metadata = file.metadata()?;
    let size = Size {
        bytes: metadata.len(),
        written: metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH),
    };
    let note = SavedSession::read_note(&mut file, size.bytes).map_err(io::Error::other)?;
    Ok((note, size))
}

/// What is known of a file.
struct Entry {
    parent: Option<Key>,
    bytes: u64,
    /// Files that need this one.
    children: usize,
    /// Whether a checkpoint in the tree is its end.
    owned: bool,
}

/// Files by their key, and the thread that writes and removes them.
pub(super) struct Disk {
    files: Arc<dyn Files>,
    entries: HashMap<Key, Entry>,
    jobs: Option<Sender<Job>>,
    writer: Option<JoinHandle<()>>,
    done: Arc<Mutex<Vec<Done>>>,
}

/// A file that was written, with its size, or was not.
type Done = (Key, io::Result<u64>);

enum Job {
    Write(Key, Arc<SavedSession>),
    Remove(Key),
    /// All before is done.
    Tell(Sender<()>),
}

impl Disk {
    pub(super) fn new(files: Arc<dyn Files>) -> io::Result<Disk> {
        let (jobs, queue) = channel();
        let done: Arc<Mutex<Vec<Done>>> = Arc::default();
        let (writing, results) = (files.clone(), done.clone());
        let work = move || {
            for job in queue {
                match job {
                    Job::Write(key, saved) => {
                        let result = writing.write(&key.file_name(), &saved);
                        let mut results = results.lock().unwrap_or_else(|e| e.into_inner());
                        results.push((key, result));
                    }
                    Job::Remove(key) => {
                        // One that was never written need not be removed.
                        writing.remove(&key.file_name()).ok();
                    }
                    Job::Tell(waits) => drop(waits),
                }
            }
        };
        let writer = thread::Builder::new().name("sharpi-prompts".into());
        Ok(Disk {
            files,
            entries: HashMap::new(),
            jobs: Some(jobs),
            writer: Some(writer.spawn(work)?),
            done,
        })
    }

    /// Takes note of a file that is there.
    pub(super) fn add(&mut self, key: Key, parent: Option<Key>, bytes: u64) {
        self.hold(parent);
        let entry = Entry {
            parent,
            bytes,
            children: 0,
            owned: true,
        };
        self.entries.insert(key, entry);
    }

    /// Has a file written, unless it is there. `false` if it is.
    pub(super) fn write(
        &mut self,
        key: Key,
        parent: Option<Key>,
        saved: Arc<SavedSession>,
    ) -> bool {
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.owned = true;
            return false;
        }
        self.add(key, parent, saved.bytes() as u64);
        self.send(Job::Write(key, saved));
        true
    }

    pub(super) fn read(&self, key: Key) -> io::Result<SavedSession> {
        self.files.read(&key.file_name())
    }

    /// Takes note that the tree has no use for a file, and removes it once no other needs it.
    pub(super) fn release(&mut self, key: Key) {
        let Some(entry) = self.entries.get_mut(&key) else {
            return;
        };
        entry.owned = false;
        self.sweep(key);
    }

    fn sweep(&mut self, key: Key) {
        let mut next = Some(key);
        while let Some(key) = next {
            let unused = |e: &Entry| !e.owned && e.children == 0;
            if !self.entries.get(&key).is_some_and(unused) {
                return;
            }
            next = self.entries.remove(&key).and_then(|entry| entry.parent);
            self.send(Job::Remove(key));
            if let Some(parent) = next.and_then(|key| self.entries.get_mut(&key)) {
                parent.children -= 1;
            }
        }
    }

    fn hold(&mut self, key: Option<Key>) {
        if let Some(parent) = key.and_then(|key| self.entries.get_mut(&key)) {
            parent.children += 1;
        }
    }

    fn send(&self, job: Job) {
        if let Some(jobs) = &self.jobs {
            // The thread ends with the sender only.
            jobs.send(job).ok();
        }
    }

    /// Waits until all files are written.
    pub(super) fn settle(&self) {
        let (told, done) = channel();
        self.send(Job::Tell(told));
        // Nothing is sent: the other end is dropped.
        done.recv().ok();
    }

    /// Whether there is such a file, or will be.
    pub(super) fn has(&self, key: Key) -> bool {
        self.entries.contains_key(&key)
    }

    /// Files that could not be written since the last call, with the reason.
    pub(super) fn failed(&mut self) -> Vec<(Key, io::Error)> {
        let done = std::mem::take(&mut *self.done.lock().unwrap_or_else(|e| e.into_inner()));
        let mut failed = Vec::new();
        for (key, result) in done {
            match result {
                Ok(bytes) => {
                    if let Some(entry) = self.entries.get_mut(&key) {
                        entry.bytes = bytes;
                    }
                }
                Err(error) => failed.push((key, error)),
            }
        }
        failed
    }

    /// Bytes of a file.
    pub(super) fn size(&self, key: Key) -> u64 {
        self.entries.get(&key).map_or(0, |entry| entry.bytes)
    }

    /// Bytes of all files.
    pub(super) fn bytes(&self) -> u64 {
        self.entries.values().map(|entry| entry.bytes).sum()
    }
}

impl Drop for Disk {
    /// Waits until all is written.
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(writer) = self.writer.take() {
            // It has nothing to tell if it panicked.
            writer.join().ok();
        }
    }
}
