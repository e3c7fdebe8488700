//! Which tokens end a text.
//!
//! Files name one token at most for each purpose, while chat models stop at
//! several, so llama.cpp adds tokens by their text. The lists follow its
//! `llama-vocab.cpp`; its exceptions for model families with other word rules
//! (`<|end|>` of gpt-oss, `</s>` of Gemma 4) cannot arise here.

use super::{Index, Vocabulary};

/// Texts that end a text in whatever vocabulary they occur.
const ENDS: &[&str] = &[
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|flush|>",
    "<|calls|>",
    "<end_of_turn>",
    "<|endoftext|>",
    // An ordinary token of Qwen's vocabulary, which merging never makes.
    "</s>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<|end_of_text|>",
    "<end_of_utterance>",
    "<eos>",
    "<turn|>",
    "<|tool_response>",
    "<｜end▁of▁sentence｜>",
    "[e~[",
    // Qwen's separators of files and repositories: what follows one is a new
    // document.
    "<|fim_pad|>",
    "<|repo_name|>",
    "<|file_sep|>",
];

/// Qwen's other fill-in-the-middle marks: control tokens that end nothing.
const MARKS: &[&str] = &["<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"];

/// The ids that end a text, ascending: those of the keys and those by text.
///
/// The ids of the keys must be within the vocabulary.
pub(super) fn ids(v: &Vocabulary, index: &Index<'_>) -> Vec<u32> {
    let by_text = ENDS.iter().filter_map(|text| index.get(text).copied());
    let mut ids: Vec<u32> = [v.eos, v.eot, v.eom]
        .into_iter()
        .flatten()
        .chain(by_text)
        .collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// The ids that are control tokens by their text, whatever type the file gives
/// them. Converted files are not reliable here: Qwen's fill-in-the-middle marks,
/// for one, come as user-defined.
pub(super) fn control_ids(index: &Index<'_>) -> impl Iterator<Item = u32> {
    let texts = ENDS.iter().chain(MARKS);
    texts.filter_map(|text| index.get(text).copied())
}
