//! Options that llama-bench has alone, or with another value than llama.cpp's other programs.

use super::Meaning::{As, Flag, Harmless, Told, Unless, When};
use super::Takes::{Nothing, Value};
use super::common::{NO_DEVICE, WEIGHTS};
use super::{Entry, OFF, entry};

#[rustfmt::skip]
pub(super) const OPTIONS: &[Entry] = &[
    entry(&["-pg"], Value, As("--n-prompt-gen")),
    entry(&["-npp"], Value, As("--n-prompt")),
    entry(&["-ntg"], Value, As("--n-gen")),
    entry(&["-npl"], Value, As("--parallel")),
    entry(&["-mmp", "--mmap"], Value, Harmless(WEIGHTS)),
    entry(&["-dio", "--direct-io"], Value, Harmless(WEIGHTS)),
    entry(&["--repack"], Value, When(OFF, &Flag("--no-repack"), &Harmless("weights are repacked unless --no-repack is given"))),
    entry(&["-nkvo", "--no-kv-offload", "-nopo", "--no-op-offload", "--no-host"], Value, Harmless(NO_DEVICE)),
    entry(&["-embd", "--embeddings"], Value, Unless(OFF, "embeddings are not measured", "leave it away")),
    entry(&["-fa", "--flash-attn"], Value, Harmless("attention is always computed as with -fa on")),
    entry(&["--progress"], Nothing, Harmless("a terminal shows how far the bench is")),
    entry(&["--delay"], Value, Told("tests follow each other without a pause")),
    entry(&["-oe", "--output-err"], Value, Told("the result goes to the standard output alone")),
    entry(&["-fitt", "--fit-target", "-fitc", "--fit-ctx"], Value, Harmless(NO_DEVICE)),
    entry(&["-C", "--cpu-mask"], Value, Told("threads run where the system puts them; taskset confines them")),
];
