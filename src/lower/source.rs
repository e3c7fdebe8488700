//! The file that is lowered, with a record of what was taken from it.

use std::cell::RefCell;
use std::collections::HashSet;

use crate::gguf::{Gguf, TensorInfo, Value};

/// A file whose keys and tensors are marked as they are used, so that what is left over can be
/// told: a key or tensor without a use may be one that changes the result.
pub(super) struct Source<'g> {
    gguf: &'g Gguf,
    keys: RefCell<HashSet<String>>,
    tensors: RefCell<HashSet<String>>,
}

impl<'g> Source<'g> {
    /// A file of which nothing is used yet.
    pub(super) fn new(gguf: &'g Gguf) -> Source<'g> {
        Source {
            gguf,
            keys: RefCell::default(),
            tensors: RefCell::default(),
        }
    }

    /// The file, for what is not accounted for.
    pub(super) fn gguf(&self) -> &'g Gguf {
        self.gguf
    }

    /// A metadata value, which counts as used from here on.
    pub(super) fn key(&self, key: &str) -> Option<&'g Value> {
        let value = self.gguf.get(key)?;
        self.keys.borrow_mut().insert(key.to_owned());
        Some(value)
    }

    /// A tensor, which counts as used from here on.
    pub(super) fn tensor(&self, name: &str) -> Option<&'g TensorInfo> {
        let tensor = self.gguf.tensor(name)?;
        self.tensors.borrow_mut().insert(name.to_owned());
        Some(tensor)
    }

    /// Whether the file has the tensor. To look is not to use.
    pub(super) fn has(&self, tensor: &str) -> bool {
        self.gguf.tensor(tensor).is_some()
    }

    /// Keys that nothing has used, in file order.
    pub(super) fn unused_keys(&self) -> Vec<&'g str> {
        let used = self.keys.borrow();
        let keys = self.gguf.metadata().keys();
        keys.map(String::as_str)
            .filter(|key| !used.contains(*key))
            .collect()
    }

    /// Tensors that nothing has used, in file order.
    pub(super) fn unused_tensors(&self) -> Vec<&'g str> {
        let used = self.tensors.borrow();
        let tensors = self.gguf.tensors().keys();
        tensors
            .map(String::as_str)
            .filter(|name| !used.contains(*name))
            .collect()
    }
}
