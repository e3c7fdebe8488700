//! What has been read, in memory and in files, within bounds.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use sharpi_ir::plain::PlainPath;
use tracing::warn;

#[cfg(test)]
use super::disk::Files;
use super::disk::{Disk, Folder, Size, read_note};
use super::note::{Key, Note};
use super::reading;
use super::tree::{Known, Node, NodeId, Place, PromptStats, Source, Tree};
use crate::exec::Session;
use crate::{Executable, SavedSession};

/// Most bytes that may be kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) bytes: u64,
    pub(crate) disk_bytes: u64,
}

/// Why a folder cannot hold the prompt store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// It cannot be made, read or written.
    #[error("the prompt store in {}: {source}", PlainPath(path))]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process has it.
    #[error(
        "the prompt store in {} is in use by another process; name another folder",
        PlainPath(path)
    )]
    InUse {
        /// The folder.
        path: PathBuf,
    },
}

/// Texts that have been read, with what is needed to go on behind them.
pub(crate) struct Prompts {
    tree: Tree,
    limits: Limits,
    disk: Option<Disk>,
    /// Files that are to go once nothing needs them.
    released: Vec<Key>,
    /// Held as long as the store is used.
    _lock: Option<File>,
    stats: PromptStats,
}

/// Where a session stands that was brought behind a part of a text.
#[derive(Default, Debug)]
pub(crate) struct Resumed {
    pub(crate) tokens: usize,
    pub(crate) hidden: Vec<f32>,
    /// Only if all of the text was known.
    pub(crate) logits: Vec<f32>,
}

impl Prompts {
    /// A store in memory.
    pub(crate) fn new(limits: Limits) -> Prompts {
        Prompts {
            tree: Tree::new(),
            limits,
            disk: None,
            released: Vec::new(),
            _lock: None,
            stats: PromptStats::default(),
        }
    }

    /// A store that has a folder too, with what a process before has left there for this model.
    ///
    /// # Errors
    /// A folder that cannot be used, or that another process uses.
    pub(crate) fn open(
        limits: Limits,
        folder: &Path,
        executable: &Executable,
    ) -> Result<Prompts, StoreError> {
        let fail = |source| StoreError::Folder {
            path: folder.into(),
            source,
        };
        let identity = executable.identity();
        let name: String = identity[..8].iter().map(|b| format!("{b:02x}")).collect();
        let own = folder.join(name);
        fs::create_dir_all(&own).map_err(fail)?;
        let lock = File::create(own.join("lock")).map_err(fail)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => StoreError::InUse {
                path: folder.into(),
            },
            TryLockError::Error(source) => fail(source),
        })?;
        let mut prompts = Prompts::new(limits);
        prompts.disk = Some(Disk::new(Arc::new(Folder(own.clone()))).map_err(fail)?);
        prompts._lock = Some(lock);
        prompts.index(&own).map_err(fail)?;
        prompts.evict();
        Ok(prompts)
    }

    /// A store on files of another kind.
    #[cfg(test)]
    pub(super) fn on(limits: Limits, files: Arc<dyn Files>) -> Prompts {
        let mut prompts = Prompts::new(limits);
        prompts.disk = Disk::new(files).ok();
        prompts
    }

    /// Finds out which files are there. What they hold is read when it is wanted; what is no file of
    /// this store's is left alone, and what cannot be used is removed.
    fn index(&mut self, folder: &Path) -> io::Result<()> {
        let mut found: Vec<(usize, Key, Note, Size)> = Vec::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let extension = path.extension().and_then(|e| e.to_str());
            match extension {
                Some("prompt") => {}
                // Of a process that was killed while it wrote.
                Some("part") => {
                    fs::remove_file(&path).ok();
                    continue;
                }
                _ => continue,
            }
            match peek(&path) {
                Some((key, note, size)) => {
                    found.push((note.first + note.tokens.len(), key, note, size));
                }
                None => self.drop_file(&path, "it is damaged or of another version"),
            }
        }
        // Parents come before what goes on from them.
        found.sort_by_key(|(end, key, ..)| (*end, *key));
        let mut nodes: Vec<(Key, NodeId, usize)> = Vec::new();
        let mut ends: Vec<(SystemTime, NodeId, bool)> = Vec::new();
        for (end, key, note, size) in found {
            let parent = note.parent.map(|parent| {
                let known = nodes
                    .iter()
                    .find(|(key, _, end)| (*key, *end) == (parent, note.first));
                known.map(|(_, node, _)| *node)
            });
            let parent = match (parent, note.first) {
                (None, 0) => None,
                (Some(Some(node)), _) => Some(node),
                _ => {
                    let path = folder.join(key.file_name());
                    self.drop_file(&path, "the one before it is gone");
                    continue;
                }
            };
            let node = self.tree.add_file(parent, note.head, (key, &note.tokens));
            nodes.push((key, node, end));
            ends.push((size.written, node, !note.logits.is_empty()));
            if let Some(disk) = &mut self.disk {
                disk.add(key, note.parent, size.bytes);
            }
        }
        // What was written last was used last, as far as is known.
        ends.sort();
        for (_, node, logits) in ends {
            self.tree.mark(node, logits);
        }
        Ok(())
    }

    /// Reads what was used last and is in files only into memory, one place to go on from at a time.
    /// `false` if there is nothing left to read, or no room for it.
    pub(crate) fn preload(&mut self) -> bool {
        let Some(disk) = &self.disk else {
            return false;
        };
        let Some(node) = self.tree.newest(Node::is_on_disk) else {
            return false;
        };
        let wanted = reading::files(&self.tree, node).into_iter();
        let wanted: u64 = wanted.map(|key| disk.size(key)).sum();
        if self.tree.bytes() + wanted > self.limits.bytes {
            return false;
        }
        if let Err(why) = self.load(node) {
            self.drop_place(node, &why);
        }
        self.count();
        true
    }

    fn drop_place(&mut self, node: NodeId, why: &str) {
        warn!("a remembered prompt dropped: {why}");
        self.stats.failures += 1;
        self.prune(node);
    }

    fn drop_file(&mut self, path: &Path, why: &str) {
        warn!("remembered prompt {} dropped: {why}", PlainPath(path));
        self.stats.failures += 1;
        fs::remove_file(path).ok();
    }

    /// How far a text is known: tokens behind which a session can go on, and tokens in all.
    pub(crate) fn known(&self, head: bool, text: &[u32]) -> (usize, usize) {
        let Known { checkpoint, common } = self.tree.find(head, text);
        (checkpoint.map_or(0, |(_, tokens)| tokens), common)
    }

    /// Brings a fresh session behind as much of a text as is known.
    pub(crate) fn resume(
        &mut self,
        head: bool,
        text: &[u32],
        session: &mut Session,
    ) -> Option<Resumed> {
        self.take_failures();
        while let Some((node, tokens)) = self.tree.find(head, text).checkpoint {
            let restored = self.load(node).and_then(|()| {
                let pieces = self.pieces(node);
                session.restore_pieces(&pieces).map_err(|e| e.to_string())?;
                let last = pieces.last().and_then(|p| Note::from_bytes(&p.note));
                last.ok_or_else(|| "its note is damaged".to_string())
            });
            match restored {
                Ok(note) => {
                    self.tree.touch(node);
                    self.stats.hits += 1;
                    self.stats.tokens_saved += tokens as u64;
                    self.evict();
                    return Some(Resumed {
                        tokens,
                        hidden: note.hidden,
                        logits: match tokens == text.len() {
                            true => note.logits,
                            false => Vec::new(),
                        },
                    });
                }
                Err(why) => self.drop_place(node, &why),
            }
        }
        self.stats.misses += 1;
        None
    }

    /// Pieces from the first token to the end of a node, all of them loaded.
    fn pieces(&self, node: NodeId) -> Vec<&SavedSession> {
        let path = self.tree.path(node).into_iter();
        let pieces = path.flat_map(|id| &self.tree.node(id).pieces);
        let loaded = pieces.filter_map(|piece| piece.data.as_deref());
        loaded.collect()
    }

    /// Reads what the way to a node needs.
    fn load(&mut self, node: NodeId) -> Result<(), String> {
        match &self.disk {
            Some(disk) => reading::load(&mut self.tree, disk, node),
            None => Ok(()),
        }
    }

    /// Remembers what a session holds that has seen all of a text and nothing else.
    pub(crate) fn remember(
        &mut self,
        text: &[u32],
        session: &Session,
        (head, hidden, logits): (bool, &[f32], &[f32]),
    ) {
        self.take_failures();
        let note = |place: &Place| Note {
            head,
            parent: place.file,
            first: place.first,
            tokens: text[place.first..].to_vec(),
            hidden: hidden.to_vec(),
            logits: logits.to_vec(),
        };
        let save = |place: &Place| {
            let mut saved = session.save_from(place.first);
            saved.note = note(place).to_bytes();
            saved
        };
        let mut at = None;
        let (node, new) = self.tree.insert(head, text, |place| {
            let saved = save(&place);
            at = Some(place);
            saved
        });
        if !new {
            return self.tree.touch(node);
        }
        self.tree.mark(node, !logits.is_empty());
        if let (Some(disk), Some(place)) = (&mut self.disk, at) {
            let key = Key::new(head, text);
            let node = self.tree.node_mut(node);
            let Some(piece) = node.pieces.last_mut() else {
                return;
            };
            // The rows of a file must go on where another one ends.
            let (start, saved) = match &piece.data {
                Some(saved) if place.file.is_some() || place.first == 0 => (place, saved.clone()),
                _ => {
                    let start = Place {
                        first: 0,
                        file: None,
                    };
                    let saved = Arc::new(save(&start));
                    (start, saved)
                }
            };
            let skip = text.len() - piece.tokens - start.first;
            piece.source = Some(Source { key, skip });
            node.file = Some(key);
            // It is wanted again.
            self.released.retain(|released| *released != key);
            disk.write(key, start.file, saved);
        }
        self.evict();
    }

    /// Forgets what was used longest ago until all is within bounds. What files have too only leaves
    /// memory.
    fn evict(&mut self) {
        while self.tree.bytes() > self.limits.bytes {
            if let Some(node) = self.tree.oldest(Node::is_loaded) {
                if !self.unload(node) {
                    self.forget(node);
                }
            } else if let Some(node) = self.tree.loaded_between()
                && self.unload(node)
            {
            } else if let Some(node) = self.tree.oldest(|_| true) {
                self.forget(node);
            } else {
                break;
            }
        }
        while self.disk.as_ref().map_or(0, Disk::bytes) > self.limits.disk_bytes {
            let Some(node) = self.tree.oldest(|node| node.file.is_some()) else {
                break;
            };
            self.forget(node);
        }
        self.count();
    }

    /// Counted where they change, for they are asked for again and again.
    fn count(&mut self) {
        self.stats.checkpoints = self.tree.checkpoints();
        self.stats.bytes = self.tree.bytes();
        self.stats.disk_bytes = self.disk.as_ref().map_or(0, Disk::bytes);
    }

    /// Leaves to files what they have of a node. `false` if memory has as much as before.
    fn unload(&mut self, node: NodeId) -> bool {
        match &self.disk {
            Some(disk) => disk.settle(),
            None => return false,
        }
        self.take_failures();
        let Some(disk) = &self.disk else {
            return false;
        };
        let pieces = self.tree.node_mut(node).pieces.iter_mut();
        let loaded = pieces.filter(|piece| piece.data.is_some());
        let filed = loaded.filter(|piece| piece.source.is_some_and(|source| disk.has(source.key)));
        filed.map(|piece| piece.data = None).count() > 0
    }

    fn forget(&mut self, node: NodeId) {
        let files = self.tree.forget(node);
        self.release(files);
    }

    fn prune(&mut self, node: NodeId) {
        let files = self.tree.prune(node);
        self.release(files);
    }

    fn release(&mut self, files: Vec<Key>) {
        let Some(disk) = &mut self.disk else {
            return;
        };
        self.released.extend(files);
        // A file stays as long as another text has a part of it nowhere else.
        let tree = &self.tree;
        for key in self.released.extract_if(.., |key| !tree.needs(*key)) {
            disk.release(key);
        }
    }

    fn take_failures(&mut self) {
        let failed = self.disk.as_mut().map(Disk::failed);
        for (key, error) in failed.into_iter().flatten() {
            warn!("a prompt is remembered in memory only: {error}");
            self.stats.failures += 1;
            self.tree.forget_file(key);
            self.release(vec![key]);
        }
    }

    pub(crate) fn stats(&self) -> PromptStats {
        self.stats
    }
}

/// Key, note and size of a file, as far as its beginning tells.
fn peek(path: &Path) -> Option<(Key, Note, Size)> {
    let (note, size) = read_note(path).ok()?;
    let key = Key::from_file_name(path.file_name()?.to_str()?)?;
    Some((key, Note::from_bytes(&note)?, size))
}
