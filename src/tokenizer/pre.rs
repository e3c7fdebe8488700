//! The pre-tokenisers that files name, and what each name stands for in llama.cpp.

use super::TokenizerError;
use super::words::WordRule;

/// How text becomes words, and what else a file says by the name of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PreTokenizer {
    pub(super) rule: WordRule,
    /// Whether a word that is a token is taken as that, however its bytes would be merged.
    pub(super) takes_whole_words: bool,
    /// Whether a text begins with a token of its own where the file does not say.
    pub(super) adds_bos: bool,
}

const fn by(rule: WordRule) -> PreTokenizer {
    PreTokenizer {
        rule,
        takes_whole_words: false,
        adds_bos: false,
    }
}

const LLAMA3: PreTokenizer = PreTokenizer {
    takes_whole_words: true,
    adds_bos: true,
    ..by(WordRule::Llama3)
};

const GLM4: PreTokenizer = PreTokenizer {
    adds_bos: false,
    ..LLAMA3
};

/// Names of the same pre-tokeniser side by side, the best known first.
const KNOWN: [(&[&str], PreTokenizer); 7] = [
    (
        &[
            "qwen2",
            "deepseek-r1-qwen",
            "f2llmv2",
            "hunyuan",
            "kormo",
            "megrez",
            "solar-open",
            "stablelm2",
        ],
        by(WordRule::Qwen2),
    ),
    (&["qwen35"], by(WordRule::Qwen35)),
    (
        &[
            "llama-bpe",
            "falcon-h1",
            "falcon3",
            "jina-v5-nano",
            "lfm2",
            "llama-v3",
            "llama3",
            "midm-2.0",
            "pixtral",
        ],
        LLAMA3,
    ),
    (&["glm4", "glm5"], GLM4),
    (&["chatglm-bpe", "dbrx", "smaug-bpe"], by(WordRule::Llama3)),
    (
        &[
            "gpt-2",
            "a.x-4.0",
            "exaone4",
            "gigachat",
            "granite-docling",
            "jais",
            "jina-de",
            "jina-es",
            "jina-v2-de",
            "jina-v2-es",
            "mellum",
            "modern-bert",
            "mpt",
            "olmo",
            "phi-2",
            "trillion",
        ],
        by(WordRule::Gpt2),
    ),
    (
        &[
            "smollm",
            "codeshell",
            "command-r",
            "exaone",
            "mellum2",
            "minerva-7b",
            "refact",
        ],
        by(WordRule::SmolLm),
    ),
];

impl PreTokenizer {
    pub(super) fn named(pre: &str) -> Result<PreTokenizer, TokenizerError> {
        let known = KNOWN.iter().find(|(names, _)| names.contains(&pre));
        let unknown = || TokenizerError::UnknownPreTokenizer {
            pre: pre.to_owned(),
        };
        known.map(|(_, meaning)| *meaning).ok_or_else(unknown)
    }
}
