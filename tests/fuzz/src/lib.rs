//! What must hold for files of any content: nothing panics, nothing hangs, and what is said of
//! them can be shown.
//!
//! Each module has a `check` that takes the bytes of a file and panics if something does not hold.
//! `tests/replay.rs` gives it the seeds; libFuzzer, whatever it thinks of (see README.md).

pub mod answer;
pub mod gguf;
pub mod golden;
mod message;
pub mod requests;
pub mod sir;
pub mod template;
pub mod vocabulary;

/// A kind of file: its name, which is that of the folder with its seeds too, and its check.
pub type Target = (&'static str, fn(&[u8]));

/// All kinds of files.
pub const TARGETS: [Target; 7] = [
    ("gguf", gguf::check),
    ("vocabulary", vocabulary::check),
    ("sir", sir::check),
    ("golden", golden::check),
    ("template", template::check),
    ("answer", answer::check),
    ("requests", requests::check),
];
