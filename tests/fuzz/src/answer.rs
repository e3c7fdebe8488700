//! Answers of a model, taken apart in pieces of any size.
//!
//! Of a file, the first line says how: digits choose the form, all its bytes where the text is cut.
//! What follows is the answer.

use sharpi_chat::answer::{AnswerFormat, AnswerParser, Piece, ToolForm};
use sharpi_chat::json::Json;

const SCHEMAS: &str = r#"[{"type": "function", "function": {"name": "f", "parameters": {"properties": {
    "s": {"type": "string"}, "n": {"type": ["string", "null"]}, "i": {"type": "integer"},
    "o": {"type": "object"}}}}}]"#;

/// Takes an answer apart whole, letter by letter and cut as the file says: all give the same.
pub fn check(file: &[u8]) {
    let text = String::from_utf8_lossy(file);
    let (how, answer) = text.split_once('\n').unwrap_or(("", &text));
    let choice = how.bytes().next().unwrap_or(0);
    let form = [ToolForm::None, ToolForm::Qwen3, ToolForm::Qwen35][choice as usize % 3];
    let schemas: Json = SCHEMAS.parse().expect("JSON");
    let format = AnswerFormat::default()
        .with_reasoning(choice & 4 != 0)
        .with_tools(form)
        .with_schemas(schemas.as_array().unwrap_or_default())
        .after(if choice & 8 != 0 { "<think>" } else { "" });
    let whole = pieces(&format, [answer]);
    let ends = answer.char_indices().map(|(at, c)| at + c.len_utf8());
    let letters: Vec<usize> = ends.collect();
    assert_eq!(whole, pieces(&format, cut(answer, letters.iter().copied())));
    let mut sizes = how.bytes().cycle();
    let mut left = 0;
    let chosen = letters.into_iter().filter(|_| {
        left = match left {
            0 => usize::from(sizes.next().unwrap_or(1) % 16),
            left => left - 1,
        };
        left == 0
    });
    assert_eq!(whole, pieces(&format, cut(answer, chosen)));
}

fn cut(text: &str, ends: impl Iterator<Item = usize>) -> impl Iterator<Item = &str> {
    let mut begin = 0;
    ends.chain([text.len()]).map(move |end| {
        let piece = &text[begin..end];
        begin = end;
        piece
    })
}

/// The pieces with neighbours of a kind joined. Calls are whole JSON, and counted.
fn pieces<'t>(format: &AnswerFormat, chunks: impl IntoIterator<Item = &'t str>) -> Vec<Piece> {
    let mut parser = AnswerParser::new(format.clone());
    let mut joined: Vec<Piece> = Vec::new();
    let mut all: Vec<Piece> = chunks.into_iter().flat_map(|c| parser.push(c)).collect();
    all.extend(parser.finish());
    assert_eq!(parser.finish(), []);
    for piece in all {
        match (joined.last_mut(), piece) {
            (Some(Piece::Reasoning(text)), Piece::Reasoning(more))
            | (Some(Piece::Content(text)), Piece::Content(more)) => text.push_str(&more),
            (
                Some(Piece::ToolCallArguments { delta, .. }),
                Piece::ToolCallArguments { delta: more, .. },
            ) => delta.push_str(&more),
            (_, piece) => joined.push(piece),
        }
    }
    let mut calls = 0;
    let mut arguments = String::new();
    for piece in &joined {
        match piece {
            Piece::ToolCallBegin { index, .. } => {
                assert_eq!(*index, calls);
                calls += 1;
                arguments.clear();
            }
            Piece::ToolCallArguments { delta, .. } => arguments = delta.clone(),
            Piece::ToolCallEnd { .. } => {
                let read: Result<Json, _> = arguments.parse();
                assert!(matches!(read, Ok(Json::Object(_))), "{arguments}");
            }
            _ => {}
        }
    }
    joined
}
