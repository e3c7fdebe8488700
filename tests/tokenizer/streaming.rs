//! Text that comes out token by token.

use sharpi_compile::tokenizer::Tokenizer;

use crate::bytes_and;

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
