//! What a caller may choose about a run of the pipeline.

use std::path::PathBuf;

use crate::error::CompileError;
use crate::pass::Pass;
use crate::pipeline::Pipeline;
use crate::shard::Shard;
use crate::stage::Stage;

option_struct! {
    /// Which passes run, how far, and what is checked and written on the way.
    #[derive(Clone, Debug)]
    pub struct Options {
        /// The share of the module that is compiled; `None` for all of it.
        pub shard: Option<Shard> = None,
        /// The passes that there are.
        pub pipeline: Pipeline = Pipeline::default(),
        /// Of the passes that can be skipped, run these alone. Required passes run anyway.
        pub only: Option<Vec<String>> = None,
        /// Passes not to run; only such as are not required.
        pub skip: Vec<String> = Vec::new(),
        /// The pass or the stage after which to stop.
        pub stop_after: Option<String> = None,
        /// Most rewrites that optional passes make over all graphs, counted in the order of the
        /// pipeline; required passes do their work whatever it is.
        pub fuel: Option<usize> = None,
        /// Folder for the module's text as imported and after every pass.
        pub dump_after_each: Option<PathBuf> = None,
        /// Whether the module is kept as it is after each pass, with the rewrites made.
        pub trace: bool = false,
        /// When graphs are verified.
        pub verify: Verify = Verify::default(),
    }
}

/// When graphs are verified.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verify {
    /// As imported and after every pass that changes a graph.
    Each,
    /// As imported and at the end.
    Ends,
}

impl Default for Verify {
    fn default() -> Verify {
        if cfg!(debug_assertions) {
            Verify::Each
        } else {
            Verify::Ends
        }
    }
}

impl Options {
    /// No pass but those that a run needs: nothing is fused, so every tensor that the imported
    /// graphs name can be seen.
    pub fn required_only() -> Options {
        Options {
            only: Some(Vec::new()),
            ..Options::default()
        }
    }

    /// # Errors
    /// A name that no pass (or, for `stop_after`, no stage) has; a required pass to be skipped.
    pub(crate) fn check(&self) -> Result<(), CompileError> {
        let is_pass = |name: &str| self.pipeline.passes().any(|p| p.name() == name);
        for name in self.only.iter().flatten().chain(&self.skip) {
            if !is_pass(name) {
                return Err(self.unknown("pass", name, &[]));
            }
        }
        let mut required = self.pipeline.passes().filter(|p| p.required());
        if let Some(pass) = required.find(|p| self.skips(*p)) {
            return Err(CompileError::Required { pass: pass.name() });
        }
        let stages = Stage::ALL.map(Stage::name);
        match &self.stop_after {
            Some(name) if !is_pass(name) && !stages.contains(&name.as_str()) => {
                Err(self.unknown("pass or stage", name, &stages))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn skips(&self, pass: &dyn Pass) -> bool {
        self.skip.iter().any(|name| name == pass.name())
    }

    /// Whether the pass is to run.
    pub(crate) fn runs(&self, pass: &dyn Pass) -> bool {
        let chosen = |only: &Vec<String>| only.iter().any(|name| name == pass.name());
        pass.required() || (!self.skips(pass) && self.only.as_ref().is_none_or(chosen))
    }

    /// Whether the pass or stage of that name is the last.
    pub(crate) fn stops_after(&self, name: &str) -> bool {
        self.stop_after.as_deref() == Some(name)
    }

    fn unknown(&self, kind: &'static str, name: &str, more: &[&str]) -> CompileError {
        let passes = self.pipeline.passes().map(|p| p.name());
        let names: Vec<&str> = passes.chain(more.iter().copied()).collect();
        CompileError::Unknown {
            kind,
            name: name.to_string(),
            names: names.join(", "),
        }
    }
}
