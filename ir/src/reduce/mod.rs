//! Shrinks a module that fails, as long as it keeps failing.
//!
//! Delta debugging: for each kind of part (graphs, outputs, ops, operands, attributes, inputs,
//! weights, states, names, sizes) as many as possible are taken away or made simple at once, then
//! half as many, down to one. The kinds take turns until nothing can go. Candidates that do not
//! verify are not tried, and none is tried twice.

mod edits;
mod sketch;

use std::collections::HashSet;

use crate::module::Module;
use crate::text::print;
use crate::verify::verify;
use edits::{Edit, KINDS};
use sketch::Sketch;

/// What a smaller module does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It fails as the first one does.
    Fails,
    /// It does not.
    Passes,
    /// Nobody knows, and no other is to be tried.
    Stop,
}

/// The smallest module found that fails. `try_out` says of each candidate, given as module and as
/// text, whether it does; the module given is taken to fail.
pub fn reduce(module: &Module, try_out: &mut dyn FnMut(&Module, &str) -> Verdict) -> Module {
    let mut search = Search {
        best: Sketch::of(module),
        module: module.clone(),
        tried: HashSet::from([print(module)]),
        stopped: false,
        try_out,
    };
    // Each turn leaves less of something, so there is a last one.
    while KINDS.iter().any(|kind| search.shrink(*kind)) {}
    search.module
}

struct Search<'a> {
    best: Sketch,
    /// The best as a module.
    module: Module,
    tried: HashSet<String>,
    stopped: bool,
    try_out: &'a mut dyn FnMut(&Module, &str) -> Verdict,
}

impl Search<'_> {
    /// Makes edits of one kind, many at once and then fewer: whether any was of use.
    fn shrink(&mut self, kind: fn(&Sketch) -> Vec<Edit>) -> bool {
        let mut edits = kind(&self.best);
        let mut any = false;
        let mut size = edits.len();
        while size > 0 && !self.stopped {
            let mut at = 0;
            while at < edits.len() {
                let end = edits.len().min(at + size);
                if self.attempt(&edits[at..end]) {
                    edits.drain(at..end);
                    any = true;
                } else {
                    at = end;
                }
            }
            size /= 2;
        }
        any && !self.stopped
    }

    fn attempt(&mut self, edits: &[Edit]) -> bool {
        let mut sketch = self.best.clone();
        edits.iter().for_each(|edit| edit.apply(&mut sketch));
        let Some(module) = sketch.module().filter(|module| verify(module).is_ok()) else {
            return false;
        };
        let text = print(&module);
        if self.stopped || !self.tried.insert(text.clone()) {
            return false;
        }
        match (self.try_out)(&module, &text) {
            Verdict::Fails => {
                (self.best, self.module) = (sketch, module);
                true
            }
            Verdict::Passes => false,
            Verdict::Stop => {
                self.stopped = true;
                false
            }
        }
    }
}
