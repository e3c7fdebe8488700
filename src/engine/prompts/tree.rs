//! The tree of tokens that have been read.
//!
//! A node holds the tokens since its parent with the rows that caches hold for them, and as a rule a
//! checkpoint: the recurrent states behind its last token, without which nothing can go on from
//! there. It knows nothing of disks: of a piece it holds the data, or the key of a file that has it.

use std::sync::Arc;

use serde::Serialize;
use slab::Slab;

use super::note::Key;
use crate::SavedSession;

pub(super) type NodeId = usize;

/// What remembering prompts has brought.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize)]
pub struct PromptStats {
    /// Requests that began behind something remembered.
    pub hits: u64,
    /// Requests that did not.
    pub misses: u64,
    /// Tokens that need not be read again.
    pub tokens_saved: u64,
    /// Places from which can be gone on.
    pub checkpoints: usize,
    /// Bytes of memory that they take.
    pub bytes: u64,
    /// Bytes of files that they take.
    pub disk_bytes: u64,
    /// Files that could not be written or read, or were damaged.
    pub failures: u64,
}

/// Rows of consecutive tokens.
pub(super) struct Piece {
    pub(super) tokens: usize,
    /// What it holds, unless that is in a file only.
    pub(super) data: Option<Arc<SavedSession>>,
    /// Where a file has it.
    pub(super) source: Option<Source>,
}

/// A piece in a file: behind its first `skip` tokens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Source {
    pub(super) key: Key,
    pub(super) skip: usize,
}

/// The end of a node as a place to go on from.
pub(super) struct Checkpoint {
    /// Whether the logits behind its last token are known.
    logits: bool,
    /// When it was used last, by a clock of uses.
    used: u64,
}

/// Where [`Tree::insert`] puts a text.
pub(super) struct Place {
    /// Position from which on rows are missing.
    pub(super) first: usize,
    /// The file of the node that ends there.
    pub(super) file: Option<Key>,
}

pub(super) struct Node {
    parent: Option<NodeId>,
    pub(super) children: Vec<NodeId>,
    tokens: Vec<u32>,
    pub(super) pieces: Vec<Piece>,
    /// Its recurrent states are in the last piece.
    pub(super) checkpoint: Option<Checkpoint>,
    /// The file that ends where the node does.
    pub(super) file: Option<Key>,
}

/// How far a text is known.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct Known {
    /// The deepest checkpoint that helps, and its tokens.
    pub(super) checkpoint: Option<(NodeId, usize)>,
    /// Tokens that are in the tree.
    pub(super) common: usize,
}

/// A forest: texts that the head has seen too are apart from the others.
pub(super) struct Tree {
    nodes: Slab<Node>,
    roots: [NodeId; 2],
    clock: u64,
}

impl Tree {
    pub(super) fn new() -> Tree {
        let mut nodes = Slab::new();
        let mut root = || {
            nodes.insert(Node {
                parent: None,
                children: Vec::new(),
                tokens: Vec::new(),
                pieces: Vec::new(),
                checkpoint: None,
                file: None,
            })
        };
        Tree {
            roots: [root(), root()],
            nodes,
            clock: 0,
        }
    }

    pub(super) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id]
    }

    pub(super) fn node_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id]
    }

    /// How far a text is known. Behind all of its tokens only a checkpoint with logits helps.
    pub(super) fn find(&self, head: bool, text: &[u32]) -> Known {
        let (mut at, mut depth) = (self.roots[usize::from(head)], 0);
        let mut known = Known::default();
        loop {
            let next = self.child(at, text, depth);
            let Some((child, common)) = next else {
                known.common = depth;
                return known;
            };
            let node = &self.nodes[child];
            if common < node.tokens.len() {
                known.common = depth + common;
                return known;
            }
            (at, depth) = (child, depth + common);
            let helps = |c: &Checkpoint| depth < text.len() || c.logits;
            if node.checkpoint.as_ref().is_some_and(helps) {
                known.checkpoint = Some((at, depth));
            }
        }
    }

    /// The child that goes on as the text does behind its first `depth` tokens, and how far.
    fn child(&self, at: NodeId, text: &[u32], depth: usize) -> Option<(NodeId, usize)> {
        let common = |id: &NodeId| {
            let same = self.nodes[*id].tokens.iter().zip(&text[depth..]);
            (*id, same.take_while(|(a, b)| a == b).count())
        };
        let mut children = self.nodes[at].children.iter().map(common);
        children.find(|(_, common)| *common > 0)
    }

    /// The node that ends where a text does, and whether it is no checkpoint yet: `save` then gives
    /// what a session that stands there holds.
    pub(super) fn insert(
        &mut self,
        head: bool,
        text: &[u32],
        save: impl FnOnce(Place) -> SavedSession,
    ) -> (NodeId, bool) {
        let (at, depth) = self.reach(self.roots[usize::from(head)], text);
        let place = Place {
            first: depth,
            file: self.nodes[at].file,
        };
        let at = self.grow(at, &text[depth..]);
        let new = self.nodes[at].checkpoint.is_none();
        if new {
            self.nodes[at].pieces.push(Piece {
                tokens: text.len() - depth,
                data: Some(Arc::new(save(place))),
                source: None,
            });
        }
        (at, new)
    }

    /// Adds what a file holds, behind the node that ends where its tokens begin or, without one, as a
    /// beginning. The node that ends with them is yet to be [marked](Tree::mark).
    pub(super) fn add_file(
        &mut self,
        parent: Option<NodeId>,
        head: bool,
        (key, tokens): (Key, &[u32]),
    ) -> NodeId {
        let (at, skip) = self.reach(parent.unwrap_or(self.roots[usize::from(head)]), tokens);
        let at = self.grow(at, &tokens[skip..]);
        let node = &mut self.nodes[at];
        node.pieces.push(Piece {
            tokens: tokens.len() - skip,
            data: None,
            source: Some(Source { key, skip }),
        });
        node.file = Some(key);
        at
    }

    /// Goes from a node as far as the tree has a text, cutting the last node where the text leaves it:
    /// where that is, and how many tokens there are up to it.
    fn reach(&mut self, from: NodeId, text: &[u32]) -> (NodeId, usize) {
        let (mut at, mut depth) = (from, 0);
        while let Some((child, common)) = self.child(at, text, depth) {
            at = match common < self.nodes[child].tokens.len() {
                true => self.split(child, common),
                false => child,
            };
            depth += common;
        }
        (at, depth)
    }

    /// A child with these tokens; the node itself if there are none.
    fn grow(&mut self, at: NodeId, tokens: &[u32]) -> NodeId {
        if tokens.is_empty() {
            return at;
        }
        let new = self.nodes.insert(Node {
            parent: Some(at),
            children: Vec::new(),
            tokens: tokens.to_vec(),
            pieces: Vec::new(),
            checkpoint: None,
            file: None,
        });
        self.nodes[at].children.push(new);
        new
    }

    /// Cuts a node in two; the new one has its first `tokens`.
    fn split(&mut self, id: NodeId, tokens: usize) -> NodeId {
        let (mut left, mut cut) = (tokens, 0);
        let node = &mut self.nodes[id];
        while left >= node.pieces[cut].tokens && left > 0 {
            left -= node.pieces[cut].tokens;
            cut += 1;
        }
        let front = match left {
            0 => None,
            _ => Some(node.pieces[cut].split_front(left)),
        };
        let whole: Vec<Piece> = node.pieces.drain(..cut).collect();
        let pieces = whole.into_iter().chain(front).collect();
        let rest = node.tokens.split_off(tokens);
        let tokens = std::mem::replace(&mut node.tokens, rest);
        let parent = node.parent;
        let new = self.nodes.insert(Node {
            parent,
            children: vec![id],
            tokens,
            pieces,
            checkpoint: None,
            file: None,
        });
        self.nodes[id].parent = Some(new);
        if let Some(parent) = parent {
            let children = self.nodes[parent].children.iter_mut();
            children.filter(|c| **c == id).for_each(|c| *c = new);
        }
        new
    }

    /// Nodes from the first tokens to a node.
    pub(super) fn path(&self, id: NodeId) -> Vec<NodeId> {
        let up = std::iter::successors(Some(id), |id| self.nodes[*id].parent);
        let mut path: Vec<NodeId> = up.filter(|id| !self.roots.contains(id)).collect();
        path.reverse();
        path
    }

    /// Makes the end of a node a place to go on from.
    pub(super) fn mark(&mut self, id: NodeId, logits: bool) {
        self.clock += 1;
        let used = self.clock;
        self.nodes[id].checkpoint = Some(Checkpoint { logits, used });
    }

    /// Takes note that a checkpoint was used.
    pub(super) fn touch(&mut self, id: NodeId) {
        self.clock += 1;
        let clock = self.clock;
        if let Some(checkpoint) = &mut self.nodes[id].checkpoint {
            checkpoint.used = clock;
        }
    }

    /// The checkpoint that was used longest ago, among nodes that `which` admits.
    pub(super) fn oldest(&self, which: impl Fn(&Node) -> bool) -> Option<NodeId> {
        self.used(which).min().map(|(_, id)| id)
    }

    /// The checkpoint that was used last.
    pub(super) fn newest(&self, which: impl Fn(&Node) -> bool) -> Option<NodeId> {
        self.used(which).max().map(|(_, id)| id)
    }

    /// Checkpoints, with when they were used.
    fn used(&self, which: impl Fn(&Node) -> bool) -> impl Iterator<Item = (u64, NodeId)> {
        self.nodes.iter().filter_map(move |(id, node)| {
            let used = node.checkpoint.as_ref()?.used;
            which(node).then_some((used, id))
        })
    }

    /// Forgets a checkpoint, and what only it needed. Returns the files that its nodes had.
    pub(super) fn forget(&mut self, id: NodeId) -> Vec<Key> {
        let node = &mut self.nodes[id];
        node.checkpoint = None;
        let mut files: Vec<Key> = node.file.take().into_iter().collect();
        let last = node.pieces.last_mut();
        if let Some(saved) = last.and_then(|piece| piece.data.as_mut()) {
            Arc::make_mut(saved).drop_recurrent();
        }
        match node.children[..] {
            [] => self.remove(id, &mut files),
            [child] => self.merge(id, child),
            _ => {}
        }
        files
    }

    /// Removes a leaf, and the nodes above it that have no use without it.
    fn remove(&mut self, id: NodeId, files: &mut Vec<Key>) {
        let node = self.nodes.remove(id);
        files.extend(node.file);
        let Some(parent) = node.parent else { return };
        let above = &mut self.nodes[parent];
        above.children.retain(|child| *child != id);
        if self.roots.contains(&parent) || above.checkpoint.is_some() {
            return;
        }
        match above.children[..] {
            [] => self.remove(parent, files),
            [child] => self.merge(parent, child),
            _ => {}
        }
    }

    /// Removes a node and all behind it. Returns their files.
    pub(super) fn prune(&mut self, id: NodeId) -> Vec<Key> {
        let mut files = Vec::new();
        for child in self.nodes[id].children.clone() {
            files.extend(self.prune(child));
        }
        // What stands above may have been removed with the last of them.
        if self.nodes.contains(id) {
            self.remove(id, &mut files);
        }
        files
    }

    /// Makes one node of a node and its only child.
    fn merge(&mut self, id: NodeId, child: NodeId) {
        let node = self.nodes.remove(id);
        let below = &mut self.nodes[child];
        below.parent = node.parent;
        below.tokens.splice(0..0, node.tokens);
        below.pieces.splice(0..0, node.pieces);
        if let Some(parent) = node.parent {
            let children = self.nodes[parent].children.iter_mut();
            children.filter(|c| **c == id).for_each(|c| *c = child);
        }
    }

    /// Takes note that a file is not there.
    pub(super) fn forget_file(&mut self, key: Key) {
        for (_, node) in &mut self.nodes {
            node.file.take_if(|file| *file == key);
            for piece in &mut node.pieces {
                piece.source.take_if(|source| source.key == key);
            }
        }
    }

    /// Whether a piece is in this file only.
    pub(super) fn needs(&self, key: Key) -> bool {
        let pieces = self.nodes.iter().flat_map(|(_, node)| &node.pieces);
        let mut away = pieces.filter(|piece| piece.data.is_none());
        away.any(|piece| piece.source.is_some_and(|source| source.key == key))
    }

    /// A node that is no checkpoint and of which memory has something.
    pub(super) fn loaded_between(&self) -> Option<NodeId> {
        let mut nodes = self.nodes.iter();
        let found = nodes.find(|(_, node)| node.checkpoint.is_none() && node.is_loaded());
        found.map(|(id, _)| id)
    }

    /// Bytes of memory that the pieces and checkpoints take.
    pub(super) fn bytes(&self) -> u64 {
        let nodes = self.nodes.iter().map(|(_, node)| node.bytes());
        nodes.sum()
    }

    pub(super) fn checkpoints(&self) -> usize {
        let marked = self.nodes.iter();
        marked.filter(|(_, node)| node.checkpoint.is_some()).count()
    }
}

impl Piece {
    /// What a file has behind its tokens: the states.
    pub(super) fn rest(&self) -> Piece {
        let behind = |source: Source| Source {
            skip: source.skip + self.tokens,
            ..source
        };
        Piece {
            tokens: 0,
            data: None,
            source: self.source.map(behind),
        }
    }

    /// Cuts off its first `tokens`.
    fn split_front(&mut self, tokens: usize) -> Piece {
        let data = self.data.as_mut().map(|saved| {
            let saved = Arc::make_mut(saved);
            let end = saved.tokens() - (self.tokens - tokens);
            Arc::new(saved.split_front(end))
        });
        let front = Piece {
            tokens,
            data,
            source: self.source,
        };
        self.tokens -= tokens;
        if let Some(source) = &mut self.source {
            source.skip += tokens;
        }
        front
    }
}

impl Node {
    /// Whether the end of it is in a file only.
    pub(super) fn is_on_disk(&self) -> bool {
        self.pieces.last().is_some_and(|piece| piece.data.is_none())
    }

    /// Whether memory has any of it.
    pub(super) fn is_loaded(&self) -> bool {
        self.pieces.iter().any(|piece| piece.data.is_some())
    }

    pub(super) fn bytes(&self) -> u64 {
        let loaded = self.pieces.iter().filter_map(|piece| piece.data.as_ref());
        loaded.map(|saved| saved.bytes() as u64).sum::<u64>() + 4 * self.tokens.len() as u64
    }
}
