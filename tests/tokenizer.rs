//! The tokenizer against captured ids, published test vectors and its own laws.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use sharpi_compile::tokenizer::{Tokenizer, TokenizerError, Vocabulary};

/// Reads the vocabulary of a GGUF file.
fn vocabulary(path: &Path) -> Vocabulary {
    metadata::vocabulary(&std::fs::read(path).unwrap())
}

fn fixtures(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures")
        .join(folder)
}

fn micro_vocabulary() -> Vocabulary {
    vocabulary(&fixtures("models").join("micro-dense-f32.gguf"))
}

fn micro() -> Tokenizer {
    Tokenizer::new(micro_vocabulary()).unwrap()
}

/// A vocabulary of the 256 bytes and then the given tokens, with their types.
fn bytes_and(added: &[(&str, i32)]) -> Vocabulary {
    let mut tokens = micro_vocabulary().tokens;
    tokens.truncate(256);
    tokens.extend(added.iter().map(|(text, _)| text.to_string()));
    let mut token_types = vec![1; 256];
    token_types.extend(added.iter().map(|(_, kind)| kind));
    Vocabulary {
        model: "gpt2".into(),
        pre: "qwen35".into(),
        tokens,
        token_types,
        ..Vocabulary::default()
    }
}

mod captures {
    use super::*;

    /// The captures were printed with control tokens shown.
    const SPECIAL: bool = true;

    #[derive(serde::Deserialize)]
    struct Capture {
        prompt: String,
        prompt_ids: Vec<u32>,
        ids: Vec<u32>,
        text: String,
    }

    /// Every capture file with the tokenizer of its model. All `micro-dense`
    /// models have one vocabulary, so one of them stands in for the rest.
    fn captures() -> Vec<(String, Tokenizer, Vec<Capture>)> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(fixtures("golden")).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            if name.ends_with(".tensors") {
                continue;
            }
            let mut model = fixtures("models").join(format!("{name}.gguf"));
            if !model.exists() {
                assert!(name.starts_with("micro-dense"), "no model for {name}");
                model.set_file_name("micro-dense-f32.gguf");
            }
            let tokenizer = Tokenizer::new(vocabulary(&model)).unwrap();
            let captures = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            found.push((name, tokenizer, captures));
        }
        assert!(found.len() >= 10, "{} capture files", found.len());
        found
    }

    #[test]
    fn prompts_encode_to_the_captured_ids() {
        for (name, tokenizer, captures) in captures() {
            for c in captures {
                let ids = tokenizer.encode(&c.prompt, true);
                assert_eq!(ids, c.prompt_ids, "{name}: {:?}", c.prompt);
            }
        }
    }

    #[test]
    fn generated_ids_decode_to_the_captured_text() {
        for (name, tokenizer, captures) in captures() {
            for c in captures {
                assert_eq!(tokenizer.decode(&c.ids, SPECIAL), c.text, "{name}");
            }
        }
    }
}

mod published {
    use super::*;

    const FOLDER: &str = "SHARPI_TOKENIZER_DIR";

    /// Runs llama.cpp's test vectors for one vocabulary: the texts of `.inp`,
    /// with a line `__ggml_vocab_test__` between them, have the ids in the lines
    /// of `.out`.
    fn check(pre: &str) {
        let Some(folder) = std::env::var_os(FOLDER) else {
            println!("skipped: {FOLDER} names no folder with ggml-vocab-{pre}.gguf");
            return;
        };
        let file = |end: &str| Path::new(&folder).join(format!("ggml-vocab-{pre}.gguf{end}"));
        let tokenizer = Tokenizer::new(vocabulary(&file(""))).unwrap();
        let texts = std::fs::read_to_string(file(".inp")).unwrap();
        let texts: Vec<&str> = texts.split("\n__ggml_vocab_test__\n").collect();
        let lines = std::fs::read_to_string(file(".out")).unwrap();
        let lines: Vec<&str> = lines.lines().collect();
        assert!(lines.len() > 40, "{} lines", lines.len());
        // The separator behind the last text leaves an empty one, without ids.
        assert_eq!(texts.len(), lines.len() + 1);
        assert_eq!(texts.last(), Some(&""));
        for (text, line) in texts.into_iter().zip(lines) {
            let want: Vec<u32> = line
                .split_whitespace()
                .map(|id| id.parse().unwrap())
                .collect();
            for parse_special in [false, true] {
                assert_eq!(tokenizer.encode(text, parse_special), want, "{text:?}");
            }
            assert_eq!(tokenizer.decode(&want, true), text);
        }
    }

    #[test]
    fn qwen2_agrees_with_the_published_vectors() {
        check("qwen2");
    }

    #[test]
    fn qwen35_agrees_with_the_published_vectors() {
        check("qwen35");
    }
}

mod round_trip {
    use super::*;

    /// Strings with control tokens, marks, blanks and broken-off contractions in
    /// them more often than chance would have it.
    fn texts() -> impl Strategy<Value = String> {
        let part = prop_oneof![
            any::<String>(),
            "[ \\t\\r\\n']{0,6}",
            "\\PC{0,8}",
            "[a-z'\u{301}\u{e01}-\u{e4f} ]{0,12}",
            Just("<|im_start|>".to_owned()),
            Just("<|im_end|>".to_owned()),
        ];
        prop::collection::vec(part, 0..8).prop_map(|parts| parts.concat())
    }

    #[test]
    fn decoding_undoes_encoding() {
        let tokenizer = micro();
        proptest!(|(text in texts(), parse_special: bool)| {
            let ids = tokenizer.encode(&text, parse_special);
            prop_assert_eq!(tokenizer.decode(&ids, true), text);
        });
    }

    #[test]
    fn a_stream_of_valid_text_is_that_text_in_whole_characters() {
        let tokenizer = micro();
        proptest!(|(text in texts())| {
            let mut stream = tokenizer.stream().with_special(true);
            let mut out = String::new();
            for id in tokenizer.encode(&text, true) {
                out += &stream.push(id);
                prop_assert!(text.starts_with(&out), "{:?} does not begin {:?}", out, text);
            }
            prop_assert_eq!(stream.finish(), "");
            prop_assert_eq!(out, text);
        });
    }

    #[test]
    fn a_stream_of_any_tokens_is_their_decoding() {
        let tokenizer = micro();
        proptest!(|(ids in prop::collection::vec(0u32..520, 0..60), special: bool)| {
            let mut stream = tokenizer.stream().with_special(special);
            let mut out: String = ids.iter().map(|&id| stream.push(id)).collect();
            out += &stream.finish();
            prop_assert_eq!(out, tokenizer.decode(&ids, special));
        });
    }
}

mod streaming {
    use super::*;

    #[test]
    fn a_character_is_held_back_until_it_is_whole() {
        let tokenizer = Tokenizer::new(bytes_and(&[])).unwrap();
        let ids = tokenizer.encode("a🦙", false);
        assert_eq!(ids.len(), 5);
        let mut stream = tokenizer.stream();
        let out: Vec<String> = ids.iter().map(|&id| stream.push(id)).collect();
        assert_eq!(out, ["a", "", "", "", "🦙"]);
        assert_eq!(stream.finish(), "");
    }

    #[test]
    fn a_character_is_given_up_as_soon_as_it_cannot_be_one() {
        let tokenizer = Tokenizer::new(bytes_and(&[])).unwrap();
        let llama = tokenizer.encode("🦙", false);
        let a = tokenizer.encode("a", false)[0];
        let mut stream = tokenizer.stream();
        let out = [llama[0], llama[1], a, llama[3], llama[0]].map(|id| stream.push(id));
        assert_eq!(out, ["", "", "\u{FFFD}a", "\u{FFFD}", ""]);
        assert_eq!(stream.finish(), "\u{FFFD}");
    }
}

mod added_tokens {
    use super::*;

    #[test]
    fn control_tokens_are_recognised_only_on_request() {
        let tokenizer = micro();
        let text = "<|im_start|>O<|im_end|>";
        assert_eq!(tokenizer.encode(text, true), [510, 46, 511]);
        let plain = tokenizer.encode(text, false);
        assert!(plain.iter().all(|&id| id < 509), "{plain:?}");
        assert_eq!(tokenizer.decode(&plain, false), text);
    }

    #[test]
    fn control_tokens_are_printed_only_on_request() {
        let tokenizer = micro();
        let ids = [510, 46, 511];
        assert_eq!(tokenizer.decode(&ids, false), "O");
        assert_eq!(tokenizer.decode(&ids, true), "<|im_start|>O<|im_end|>");
    }

    #[test]
    fn user_defined_tokens_are_always_recognised_and_printed() {
        let tokenizer = Tokenizer::new(bytes_and(&[("<tool>", 4), ("<mark>", 3)])).unwrap();
        for parse_special in [false, true] {
            assert_eq!(tokenizer.encode("<tool>", parse_special), [256]);
        }
        assert_eq!(tokenizer.encode("<mark>", false).len(), 6);
        assert_eq!(tokenizer.decode(&[256, 257], false), "<tool>");
    }

    #[test]
    fn fill_in_the_middle_marks_are_control_tokens_even_if_called_user_defined() {
        let tokenizer = Tokenizer::new(bytes_and(&[("<|fim_prefix|>", 4)])).unwrap();
        assert_eq!(tokenizer.encode("<|fim_prefix|>", true), [256]);
        assert_eq!(tokenizer.encode("<|fim_prefix|>", false).len(), 14);
        assert_eq!(tokenizer.decode(&[256], false), "");
    }

    #[test]
    fn the_longest_of_overlapping_tokens_wins() {
        let added = [("ab", 4), ("abc", 4), ("cdef", 4)];
        let tokenizer = Tokenizer::new(bytes_and(&added)).unwrap();
        assert_eq!(tokenizer.encode("abcab", false), [257, 256]);
        assert_eq!(tokenizer.encode("abcdef", false), [256, 258]);
    }

    #[test]
    fn unused_tokens_are_neither_printed_nor_recognised() {
        let tokenizer = Tokenizer::new(bytes_and(&[("[PAD256]", 5)])).unwrap();
        assert_eq!(tokenizer.encode("[PAD256]", true).len(), 8);
        assert_eq!(tokenizer.decode(&[256], true), "");
        assert_eq!(tokenizer.token_text(256), Some("[PAD256]"));
    }

    #[test]
    fn byte_tokens_print_their_byte() {
        let tokenizer = Tokenizer::new(bytes_and(&[("<0x41>", 6)])).unwrap();
        assert_eq!(tokenizer.token_bytes(256), Some(&b"A"[..]));
    }

    #[test]
    fn texts_end_at_the_tokens_of_the_keys_and_those_known_by_text() {
        assert_eq!(micro().end_of_text_ids(), [509, 511]);
        let tokenizer = Tokenizer::new(Vocabulary {
            eos: Some(3),
            eot: Some(2),
            eom: Some(3),
            ..bytes_and(&[("<|im_start|>", 3), ("<|fim_pad|>", 4)])
        })
        .unwrap();
        assert_eq!(tokenizer.end_of_text_ids(), [2, 3, 257]);
        assert!(tokenizer.is_end_of_text(3) && !tokenizer.is_end_of_text(256));
        // A token that only a key names is still printed.
        assert_eq!(tokenizer.decode(&[3], false), "$");
    }
}

mod words_and_merges {
    use super::*;

    #[test]
    fn combining_marks_join_letters_in_qwen35_only() {
        // The mark is CC 81. A merge of the letter with its first byte shows
        // whether there is a border between them.
        let mut v = bytes_and(&[("eÌ", 1)]);
        v.merges = vec!["e Ì".into()];
        let ids = |pre: &str| {
            let pre = pre.to_owned();
            let tokenizer = Tokenizer::new(Vocabulary { pre, ..v.clone() }).unwrap();
            tokenizer.encode("e\u{301}", false)
        };
        assert_eq!(ids("qwen35").len(), 2);
        assert_eq!(ids("qwen2").len(), 3);
    }

    #[test]
    fn long_words_take_less_than_quadratic_time() {
        let mut v = bytes_and(&[("aa", 1), ("aaaa", 1), ("aaaaaaaa", 1)]);
        v.merges = ["a a", "aa aa", "aaaa aaaa"].map(String::from).into();
        let tokenizer = Tokenizer::new(v).unwrap();
        for letter in ["a", " ", "\n", "!", "\u{301}"] {
            let text = letter.repeat(100_000);
            let start = Instant::now();
            let ids = tokenizer.encode(&text, true);
            let taken = start.elapsed();
            assert!(taken < Duration::from_secs(1), "{letter:?} took {taken:?}");
            assert_eq!(tokenizer.decode(&ids, true), text);
        }
        assert_eq!(tokenizer.encode(&"a".repeat(100_000), true).len(), 12_500);
    }

    #[test]
    fn the_more_urgent_merge_is_made_first() {
        let mut v = bytes_and(&[("ab", 1), ("bc", 1)]);
        v.merges = ["b c", "a b"].map(String::from).into();
        let tokenizer = Tokenizer::new(v).unwrap();
        assert_eq!(tokenizer.encode("abc", false), [64, 257]);
    }

    #[test]
    fn the_first_of_two_equal_merges_counts() {
        let mut v = bytes_and(&[("ab", 1), ("bc", 1)]);
        v.merges = ["b c", "a b", "b c"].map(String::from).into();
        let tokenizer = Tokenizer::new(v).unwrap();
        assert_eq!(tokenizer.encode("abc", false), [64, 257]);
    }

    #[test]
    fn nothing_is_encoded_as_nothing() {
        assert_eq!(micro().encode("", true), [0u32; 0]);
        assert_eq!(micro().decode(&[], true), "");
    }
}

#[test]
fn ids_beyond_the_vocabulary_print_nothing() {
    let tokenizer = micro();
    assert_eq!(tokenizer.len(), 512);
    assert_eq!(tokenizer.decode(&[46, 512, u32::MAX, 46], true), "OO");
    assert_eq!(tokenizer.token_bytes(512), None);
    assert_eq!(tokenizer.token_text(512), None);
    assert!(!tokenizer.is_end_of_text(512));
}

mod errors {
    use super::*;

    #[track_caller]
    fn check(message: &str, change: fn(&mut Vocabulary)) {
        let mut v = bytes_and(&[("<|im_end|>", 3)]);
        change(&mut v);
        let error: TokenizerError = Tokenizer::new(v).unwrap_err();
        assert_eq!(error.to_string(), message);
    }

    #[test]
    fn an_unknown_model_or_word_rule_is_answered_with_the_known_ones() {
        check(
            "unknown tokenizer model `llama`; accepted is `gpt2` (byte-level BPE)",
            |v| v.model = "llama".into(),
        );
        check(
            "unknown pre-tokenizer `llama-bpe`; accepted are `qwen2` and `qwen35`",
            |v| v.pre = "llama-bpe".into(),
        );
    }

    #[test]
    fn every_token_needs_a_known_type() {
        check(
            "256 token types for 257 tokens; accepted is one type for each token, or no types",
            |v| v.token_types.truncate(256),
        );
        check(
            "token 7 has type 9; accepted are 0 undefined, 1 normal, 2 unknown, 3 control, \
             4 user-defined, 5 unused, 6 byte",
            |v| v.token_types[7] = 9,
        );
        check(
            "byte token 256 is `<0x+1>`; accepted are `<0x00>` to `<0xFF>`",
            |v| (v.tokens[256], v.token_types[256]) = ("<0x+1>".into(), 6),
        );
    }

    #[test]
    fn every_token_needs_a_text_of_its_own_and_every_byte_a_token() {
        check(
            "tokens 0 and 256 are both `!`; every token needs a text of its own",
            |v| v.tokens[256] = "!".into(),
        );
        check(
            "no token for byte 0x20 (`Ġ`); every one of the 256 bytes needs one",
            |v| v.tokens[220] = "space".into(),
        );
    }

    #[test]
    fn merges_are_two_tokens_that_make_a_third() {
        check(
            "merge 0 is `ab`; accepted are two tokens with a space between them",
            |v| v.merges = vec!["ab".into()],
        );
        check(
            "merge 0 is `é `; accepted are two tokens with a space between them",
            |v| v.merges = vec!["é ".into()],
        );
        check(
            "merge 0 `a bc` needs the token `bc`, which the vocabulary does not have",
            |v| v.merges = vec!["a bc".into()],
        );
        check(
            "merge 0 `a b` needs the token `ab`, which the vocabulary does not have",
            |v| v.merges = vec!["a b".into()],
        );
    }

    #[test]
    fn keys_must_point_into_the_vocabulary() {
        check(
            "`tokenizer.ggml.eos_token_id` is 257; the vocabulary has ids below 257",
            |v| v.eos = Some(257),
        );
        check(
            "`tokenizer.ggml.add_bos_token` is true; it needs a `tokenizer.ggml.bos_token_id` \
             as well",
            |v| v.add_bos = true,
        );
    }

    #[test]
    fn no_vocabulary_makes_the_tokenizer_panic() {
        let whole = bytes_and(&[]);
        proptest!(|(
            tokens in prop::collection::vec(".{0,4}", 0..4),
            token_types in prop::collection::vec(0i32..6, 256..260),
            merges in prop::collection::vec("[ab é]{0,5}", 0..4),
            eos in prop::option::of(250u32..260),
            keep in 255usize..=256,
        )| {
            let mut v = Vocabulary { token_types, merges, eos, ..whole.clone() };
            v.tokens.truncate(keep);
            v.tokens.extend(tokens);
            if let Ok(tokenizer) = Tokenizer::new(v) {
                tokenizer.decode(&tokenizer.encode("ab é", true), true);
            }
        });
    }
}

/// Just enough of GGUF to read the vocabulary keys.
mod metadata {
    use super::Vocabulary;

    enum Value {
        Number(i64),
        Text(String),
        List(Vec<Value>),
    }

    struct Reader<'f>(&'f [u8]);

    impl Reader<'_> {
        fn take<const N: usize>(&mut self) -> [u8; N] {
            let (head, rest) = self.0.split_first_chunk::<N>().unwrap();
            self.0 = rest;
            *head
        }

        fn u64(&mut self) -> u64 {
            u64::from_le_bytes(self.take())
        }

        fn u32(&mut self) -> u32 {
            u32::from_le_bytes(self.take())
        }

        fn text(&mut self) -> String {
            let length = self.u64() as usize;
            let (text, rest) = self.0.split_at(length);
            self.0 = rest;
            String::from_utf8(text.to_vec()).unwrap()
        }

        fn value(&mut self, kind: u32) -> Value {
            match kind {
                0 | 1 | 7 => Value::Number(self.take::<1>()[0].into()),
                2 | 3 => Value::Number(u16::from_le_bytes(self.take()).into()),
                4..=6 => Value::Number(self.u32().into()),
                8 => Value::Text(self.text()),
                9 => {
                    let (kind, length) = (self.u32(), self.u64());
                    Value::List((0..length).map(|_| self.value(kind)).collect())
                }
                10..=12 => Value::Number(self.u64() as i64),
                _ => panic!("metadata type {kind}"),
            }
        }
    }

    pub fn vocabulary(file: &[u8]) -> Vocabulary {
        let mut file = Reader(file);
        assert_eq!(&file.take(), b"GGUF");
        let (_version, _tensors, keys) = (file.u32(), file.u64(), file.u64());
        let mut v = Vocabulary::default();
        for _ in 0..keys {
            let (key, kind) = (file.text(), file.u32());
            let value = file.value(kind);
            let Some(key) = key.strip_prefix("tokenizer.ggml.") else {
                continue;
            };
            match (key, value) {
                ("model", Value::Text(text)) => v.model = text,
                ("pre", Value::Text(text)) => v.pre = text,
                ("tokens", Value::List(list)) => v.tokens = texts(list),
                ("merges", Value::List(list)) => v.merges = texts(list),
                ("token_type", Value::List(list)) => v.token_types = numbers(list),
                ("bos_token_id", Value::Number(id)) => v.bos = Some(id as u32),
                ("eos_token_id", Value::Number(id)) => v.eos = Some(id as u32),
                ("eot_token_id", Value::Number(id)) => v.eot = Some(id as u32),
                ("eom_token_id", Value::Number(id)) => v.eom = Some(id as u32),
                ("padding_token_id", Value::Number(id)) => v.pad = Some(id as u32),
                ("add_bos_token", Value::Number(flag)) => v.add_bos = flag != 0,
                _ => {}
            }
        }
        v
    }

    fn texts(list: Vec<Value>) -> Vec<String> {
        let text = |value| match value {
            Value::Text(text) => text,
            _ => panic!("not a text"),
        };
        list.into_iter().map(text).collect()
    }

    fn numbers(list: Vec<Value>) -> Vec<i32> {
        let number = |value| match value {
            Value::Number(number) => number as i32,
            _ => panic!("not a number"),
        };
        list.into_iter().map(number).collect()
    }
}
