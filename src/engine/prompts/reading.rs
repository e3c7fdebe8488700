//! Brings pieces of the tree from files into memory.

use std::sync::Arc;

use super::disk::Disk;
use super::note::{Key, Note};
use super::tree::{NodeId, Source, Tree};
use crate::SavedSession;

/// A piece that memory lacks.
struct Missing {
    node: NodeId,
    /// Which piece of the node.
    piece: usize,
    /// Positions.
    first: usize,
    end: usize,
    source: Option<Source>,
    /// Whether the recurrent states are wanted too.
    checkpoint: bool,
}

/// What memory lacks of the way to a node, and where to get it: from the file that has the end of it,
/// as far as that goes back.
fn missing(tree: &Tree, node: NodeId) -> Vec<Missing> {
    let mut found: Vec<Missing> = Vec::new();
    let mut first = 0;
    for id in tree.path(node) {
        let node = tree.node(id);
        for (i, piece) in node.pieces.iter().enumerate() {
            let end = first + piece.tokens;
            if piece.data.is_none() {
                found.push(Missing {
                    node: id,
                    piece: i,
                    first,
                    end,
                    source: piece.source,
                    checkpoint: node.checkpoint.is_some() && i + 1 == node.pieces.len(),
                });
            }
            first = end;
        }
    }
    let last = found
        .last()
        .and_then(|last| Some((last.source?, last.first)));
    if let Some((source, at)) = last {
        let start = at - source.skip;
        for missing in found.iter_mut().filter(|missing| missing.first >= start) {
            let skip = missing.first - start;
            missing.source = Some(Source { skip, ..source });
        }
    }
    found
}

/// The files that have to be read for the way to a node.
pub(super) fn files(tree: &Tree, node: NodeId) -> Vec<Key> {
    let sources = missing(tree, node).into_iter();
    let mut keys: Vec<Key> = sources.filter_map(|m| m.source).map(|s| s.key).collect();
    keys.dedup();
    keys
}

/// Reads what the way to a node needs.
pub(super) fn load(tree: &mut Tree, disk: &Disk, node: NodeId) -> Result<(), String> {
    // Of a file the rest behind the piece that was taken last.
    let mut open: Option<(Source, SavedSession)> = None;
    for missing in missing(tree, node) {
        let source = missing.source.ok_or("its file is gone")?;
        let mut rest = match open.take() {
            Some((at, rest)) if at == source => rest,
            _ => read_behind(disk, source, missing.first)?,
        };
        if missing.end > rest.tokens() {
            return Err("it has fewer tokens than it had".into());
        }
        let saved = match missing.end < rest.tokens() {
            true => {
                let front = rest.split_front(missing.end);
                let skip = source.skip + missing.end - missing.first;
                open = Some((Source { skip, ..source }, rest));
                front
            }
            false => {
                if !missing.checkpoint {
                    rest.drop_recurrent();
                }
                rest
            }
        };
        let pieces = &mut tree.node_mut(missing.node).pieces;
        let piece = &mut pieces[missing.piece];
        let states = piece.rest();
        piece.data = Some(Arc::new(saved));
        // Rows from within another text's file come without the states behind them.
        if missing.checkpoint && open.is_some() {
            pieces.push(states);
        }
    }
    Ok(())
}

/// What a file has from position `first` on.
fn read_behind(disk: &Disk, source: Source, first: usize) -> Result<SavedSession, String> {
    let mut saved = disk.read(source.key).map_err(|e| e.to_string())?;
    let note = Note::from_bytes(&saved.note).ok_or("its note is damaged")?;
    if note.first + source.skip != first || note.tokens.len() < source.skip {
        return Err("it has other tokens than it had".into());
    }
    if source.skip > 0 {
        saved.split_front(first);
    }
    Ok(saved)
}
