//! Vocabularies that part words in different ways, and texts to hold them against each other.

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sharpi_compile::Model;
use sharpi_compile::gguf::write::Writer;
use sharpi_compile::gguf::{Array, Gguf};
use sharpi_compile::tokenizer::{Tokenizer, Vocabulary};

use super::rewrite::rewritten;

/// What parts a text into words, by all its names, `llama` being SentencePiece, which does not.
pub const RULES: [&str; 47] = [
    "qwen2",
    "deepseek-r1-qwen",
    "f2llmv2",
    "hunyuan",
    "kormo",
    "megrez",
    "solar-open",
    "stablelm2",
    "qwen35",
    "llama-bpe",
    "falcon-h1",
    "falcon3",
    "jina-v5-nano",
    "lfm2",
    "llama-v3",
    "llama3",
    "midm-2.0",
    "pixtral",
    "glm4",
    "glm5",
    "chatglm-bpe",
    "dbrx",
    "smaug-bpe",
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
    "smollm",
    "codeshell",
    "command-r",
    "exaone",
    "mellum2",
    "minerva-7b",
    "refact",
    "llama",
];

/// The texts that are compared by one number.
pub const BATCH: usize = 1000;

/// The byte-level vocabulary of a file, its words parted by a rule, with tokens by which the rules
/// differ; for SentencePiece those of its tokens that are whole characters, with the tokens of all
/// bytes before them.
pub fn vocabulary(source: &Gguf, rule: &str) -> Vec<u8> {
    let left_out = |name: &str| {
        let replaced = match rule {
            "llama" => name.starts_with("tokenizer."),
            // Without the key the name of the rule says whether a token begins a text.
            _ => name == "tokenizer.ggml.add_bos_token",
        };
        replaced || name.ends_with(".weight") || name.ends_with(".bias")
    };
    rewritten(source, left_out, |source, writer| match rule {
        "llama" => by_scores(source, writer),
        _ => by_merges(source, writer, rule),
    })
}

/// With all numbers of two and three digits, and a word that no merges make.
fn by_merges(source: &Gguf, writer: &mut Writer<'_>, rule: &str) {
    let mut known = Vocabulary::read(source).expect("a vocabulary");
    let two = (0..100).map(|n| format!("{:02}", n));
    let three = (0..1000).map(|n| format!("{:03}", n));
    for number in two.chain(three) {
        let (first, last) = number.split_at(number.len() - 1);
        known.merges.push(format!("{first} {last}"));
        known.tokens.push(number);
    }
    known.tokens.push("HTTPServer".to_string());
    known.token_types.resize(known.tokens.len(), 1);
    writer.metadata("tokenizer.ggml.pre", rule.to_string());
    writer.metadata("tokenizer.ggml.tokens", Array::from(known.tokens));
    writer.metadata("tokenizer.ggml.token_type", Array::from(known.token_types));
    writer.metadata("tokenizer.ggml.merges", Array::from(known.merges));
}

/// The sooner a token could be merged, the higher its score.
fn by_scores(source: &Gguf, writer: &mut Writer<'_>) {
    let [normal, unknown, control, byte] = [1i32, 2, 3, 6];
    let special = [("<unk>", unknown), ("<s>", control), ("</s>", control)];
    let bytes = (0..=255).map(|b| (format!("<0x{b:02X}>"), byte));
    let words = words(source).into_iter().map(|word| (word, normal));
    let special = special.map(|(text, kind)| (text.to_string(), kind));
    let all = special.into_iter().chain(bytes).chain(words);
    let (texts, kinds): (Vec<String>, Vec<i32>) = all.unzip();
    let scores: Vec<f32> = (0..texts.len()).map(|id| -(id as f32)).collect();
    writer.metadata("tokenizer.ggml.model", "llama".to_string());
    writer.metadata("tokenizer.ggml.tokens", Array::from(texts));
    writer.metadata("tokenizer.ggml.token_type", Array::from(kinds));
    writer.metadata("tokenizer.ggml.scores", Array::from(scores));
    for (key, id) in [("unknown", 0u32), ("bos", 1), ("eos", 2)] {
        writer.metadata(format!("tokenizer.ggml.{key}_token_id"), id);
    }
}

/// Each text once, spaces as SentencePiece spells them. None holds a NUL, at which llama.cpp would
/// end it.
fn words(source: &Gguf) -> Vec<String> {
    let file = Gguf::from_bytes(vocabulary(source, "gpt-2")).expect("a vocabulary");
    let tokenizer = Model::from_gguf(file).tokenizer().expect("a tokenizer");
    let ids = 0..tokenizer.len() as u32;
    let texts = ids.filter(|id| !tokenizer.is_added(*id));
    let texts = texts.filter_map(|id| String::from_utf8(tokenizer.token_bytes(id)?.to_vec()).ok());
    let mut seen = std::collections::HashSet::new();
    let texts = texts.map(|text| text.replace(' ', "\u{2581}"));
    texts
        .filter(|text| !text.is_empty() && !text.contains('\0') && seen.insert(text.clone()))
        .collect()
}

/// Texts of all that pre-tokenisers tell apart.
pub fn texts(count: usize) -> Vec<String> {
    let mut random = ChaCha8Rng::seed_from_u64(0);
    (0..count).map(|_| text(&mut random)).collect()
}

fn text(random: &mut impl Rng) -> String {
    let pieces = random.random_range(1..24);
    (0..pieces).map(|_| piece(random)).collect()
}

/// Pieces that stand as they are: contractions, words, spaces, marks, and what looks like code.
const FIXED: [&str; 44] = [
    "'s",
    "'S",
    "'t",
    "'re",
    "'RE",
    "'ve",
    "'m",
    "'ll",
    "'LL",
    "'d",
    "’s",
    "'ſ",
    "it",
    "The",
    " the",
    " a",
    "HTTPServer",
    " ",
    "  ",
    "   ",
    "\t",
    "\n",
    "\n\n",
    "\r\n",
    " \n",
    "\n ",
    "\u{a0}",
    "\u{3000}",
    "\u{200b}",
    "\u{2028}",
    "...",
    "!?",
    "->",
    "=='",
    "/*",
    "();\n",
    "{}",
    "\"",
    "e\u{301}",
    "a\u{300}\u{301}",
    "👩\u{200d}👩\u{200d}👧",
    "🇩🇪",
    "\u{feff}",
    "\u{0}",
];

/// Ranges of letters, digits, marks, symbols and what is no character of any script.
const RANGES: [(u32, u32); 18] = [
    (0x21, 0x7e),
    (0x30, 0x39),
    (0x61, 0x7a),
    (0x41, 0x5a),
    (0xa1, 0x24f),
    (0x300, 0x36f),
    (0x391, 0x3c9),
    (0x410, 0x44f),
    (0x5d0, 0x5ea),
    (0x621, 0x669),
    (0x900, 0x97f),
    (0xe01, 0xe5b),
    (0x2070, 0x218b),
    (0x2190, 0x2bff),
    (0x3041, 0x30ff),
    (0x4e00, 0x9fff),
    (0xac00, 0xd7a3),
    (0x1f300, 0x1faff),
];

fn piece(random: &mut impl Rng) -> String {
    match random.random_range(0..8) {
        0..3 => FIXED[random.random_range(0..FIXED.len())].to_string(),
        3 => (0..random.random_range(1..9))
            .map(|_| char::from(b'0' + random.random_range(0..10)))
            .collect(),
        4 => any(random).map_or(String::new(), String::from),
        _ => {
            let (first, last) = RANGES[random.random_range(0..RANGES.len())];
            let space = if random.random_bool(0.5) { " " } else { "" };
            let letters = (0..random.random_range(1..7))
                .filter_map(|_| char::from_u32(random.random_range(first..=last)));
            space.chars().chain(letters).collect()
        }
    }
}

/// Any character, of which most have no meaning yet.
fn any(random: &mut impl Rng) -> Option<char> {
    char::from_u32(random.random_range(0..0x11_0000))
}

/// Ids of each text, with the one that begins a text where the vocabulary wants one.
pub fn ids(tokenizer: &Tokenizer, texts: &[String]) -> Vec<Vec<u32>> {
    let bos = tokenizer.bos().filter(|_| tokenizer.adds_bos());
    let of = |text: &String| {
        let ids = tokenizer.encode(text, true);
        bos.into_iter().chain(ids).collect()
    };
    texts.iter().map(of).collect()
}

/// A number for each batch of lists of ids: 64-bit FNV-1a of their bytes, each list closed.
pub fn fingerprints(lists: &[Vec<u32>]) -> Vec<u64> {
    let batches = lists.chunks(BATCH).map(|lists| {
        let ids = lists
            .iter()
            .flat_map(|list| list.iter().copied().chain([u32::MAX]));
        let bytes = ids.flat_map(u32::to_le_bytes);
        bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
    });
    batches.collect()
}
