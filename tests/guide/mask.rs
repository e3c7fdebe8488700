//! Which tokens may follow.

use rand::{RngExt, SeedableRng};

use super::*;

fn regex(vocabulary: &Arc<GuideVocabulary>, regex: &str) -> Box<dyn Mask + Send> {
    guide(vocabulary, Grammar::Regex(regex.into()))
        .expect("a guide")
        .mask()
}

fn ends(vocabulary: &GuideVocabulary) -> BTreeSet<u32> {
    vocabulary
        .tokenizer()
        .end_of_text_ids()
        .iter()
        .copied()
        .collect()
}

#[test]
fn at_the_end_of_a_grammar_the_text_ends_and_nothing_else_follows() {
    let vocabulary = vocabulary();
    let mut mask = regex(&vocabulary, "aba?");
    let (a, b) = (id(&vocabulary, "a"), id(&vocabulary, "b"));
    let (ab, aba) = (id(&vocabulary, "ab"), id(&vocabulary, "aba"));
    assert_eq!(allowed(&vocabulary, &mut *mask, &[]), [a, ab, aba].into());
    assert_eq!(allowed(&vocabulary, &mut *mask, &[a]), [b].into());
    let end = ends(&vocabulary);
    assert_eq!(end.len(), 2);
    let more: BTreeSet<u32> = end.iter().copied().chain([a]).collect();
    assert_eq!(allowed(&vocabulary, &mut *mask, &[a, b]), more);
    assert_eq!(allowed(&vocabulary, &mut *mask, &[aba]), end);
    // A draft may go on behind the end.
    let after = *end.first().unwrap();
    assert_eq!(allowed(&vocabulary, &mut *mask, &[aba, after]), end);
    assert_eq!(allowed(&vocabulary, &mut *mask, &[ab]), more);
}

#[test]
fn added_tokens_are_no_text() {
    let vocabulary = vocabulary();
    let mut mask = regex(&vocabulary, r"(?s:.*)");
    let tokenizer = vocabulary.tokenizer();
    let end = ends(&vocabulary);
    for id in allowed(&vocabulary, &mut *mask, &[]) {
        assert!(!tokenizer.is_added(id) || end.contains(&id), "{id}");
    }
    // What such a token says can be said with others.
    let text = bytes(&vocabulary, "<|im_start|>");
    assert!(allowed(&vocabulary, &mut *mask, &text).contains(&text[0]));
}

#[test]
fn a_grammar_may_name_added_tokens() {
    let vocabulary = vocabulary();
    let start = id(&vocabulary, "<|im_start|>");
    for grammar in [
        Grammar::Lark("start: <|im_start|> \"a\"".into()),
        Grammar::Gbnf(format!("root ::= <[{start}]> \"a\"")),
    ] {
        let mut mask = guide(&vocabulary, grammar).unwrap().mask();
        assert_eq!(allowed(&vocabulary, &mut *mask, &[]), [start].into());
        let a = id(&vocabulary, "a");
        assert_eq!(allowed(&vocabulary, &mut *mask, &[start]), [a].into());
        assert_eq!(
            allowed(&vocabulary, &mut *mask, &[start, a]),
            ends(&vocabulary)
        );
    }
}

#[test]
fn logits_of_a_part_of_the_vocabulary_are_masked_by_their_ids() {
    let vocabulary = vocabulary();
    let mut mask = regex(&vocabulary, "[a-c]+");
    let ids: Vec<u32> = (0..vocabulary.tokenizer().len() as u32 + 5)
        .rev()
        .step_by(3)
        .collect();
    let mut logits = vec![0.0; ids.len()];
    mask.apply(&[], Some(&ids), &mut logits).unwrap();
    let all = allowed(&vocabulary, &mut *mask, &[]);
    for (id, x) in ids.iter().zip(logits) {
        assert_eq!(x == 0.0, all.contains(id), "{id}");
    }
}

#[test]
fn whatever_is_tried_in_between_the_same_tokens_follow_a_text() {
    let vocabulary = vocabulary();
    let schema = serde_json::json!({"type": "array", "items": {"enum": ["ab", "abba", 7]}});
    let json = Grammar::json_schema(schema);
    let marks = vec![
        ("</think>".into(), json.clone()),
        ("<tool_call>".into(), json.clone()),
    ];
    let think = id(&vocabulary, "<think>");
    let plans = [
        Plan::default().start(Some(json.clone())),
        Plan::default().marks(marks.clone()).required(true),
        Plan::default()
            .start(Some(json))
            .opens(Some(think))
            .marks(marks),
    ];
    let mut rng = StdRng::seed_from_u64(7);
    for plan in plans {
        let guide = Arc::new(Guide::new(&vocabulary, &plan).unwrap());
        let (mut text, mut mask): (Vec<u32>, _) = (Vec::new(), guide.mask());
        for _ in 0..150 {
            let fresh = allowed(&vocabulary, &mut *guide.mask(), &text);
            assert_eq!(
                allowed(&vocabulary, &mut *mask, &text),
                fresh,
                "{plan:?} {text:?}"
            );
            let marks = ["</think>", "<tool_call>"].map(|text| id(&vocabulary, text));
            let fresh: Vec<u32> = fresh.into_iter().collect();
            match rng.random_range(0..4) {
                0 => text.truncate(rng.random_range(0..=text.len())),
                1 if fresh.contains(&marks[0]) => text.push(marks[rng.random_range(0..2)]),
                _ => text.push(*fresh.choose(&mut rng).unwrap()),
            }
        }
    }
}

#[test]
fn a_grammar_holds_behind_a_mark_and_text_before_it_is_free() {
    let vocabulary = vocabulary();
    let marks = vec![("</think>".into(), Grammar::Regex("\n{0,2}a".into()))];
    let plan = |required| Plan::default().marks(marks.clone()).required(required);
    for required in [false, true] {
        let guide = Arc::new(Guide::new(&vocabulary, &plan(required)).unwrap());
        let mut mask = guide.mask();
        let all = allowed(&vocabulary, &mut *mask, &[]);
        let end = ends(&vocabulary);
        assert_eq!(all.is_superset(&end), !required);
        assert!(all.contains(&id(&vocabulary, "<|im_start|>")));
        let a = id(&vocabulary, "a");
        // The mark as one token, or as others.
        let one = vec![a, id(&vocabulary, "</think>")];
        for mut text in [one, bytes(&vocabulary, "so </think>")] {
            let breaks = [bytes(&vocabulary, "\n")[0], a];
            assert_eq!(
                allowed(&vocabulary, &mut *mask, &text),
                breaks.into(),
                "{text:?}"
            );
            text.push(a);
            assert_eq!(allowed(&vocabulary, &mut *mask, &text), end);
        }
    }
}

#[test]
fn a_mark_ends_with_a_token() {
    let vocabulary = vocabulary();
    let marks = vec![("</think>".into(), Grammar::Regex("a".into()))];
    let guide = Arc::new(Guide::new(&vocabulary, &Plan::default().marks(marks)).unwrap());
    let mut mask = guide.mask();
    let (break_behind, whole) = (id(&vocabulary, ">\n"), id(&vocabulary, "k>"));
    let text = bytes(&vocabulary, "</think");
    assert!(!allowed(&vocabulary, &mut *mask, &text).contains(&break_behind));
    assert!(allowed(&vocabulary, &mut *mask, &text[..6]).contains(&break_behind));
    let at_k = allowed(&vocabulary, &mut *mask, &text[..6]);
    assert!(at_k.contains(&whole));
    let mut done = text[..6].to_vec();
    done.push(whole);
    assert_eq!(
        allowed(&vocabulary, &mut *mask, &done),
        [id(&vocabulary, "a")].into()
    );
}

#[test]
fn a_grammar_from_the_start_may_let_reasoning_come_first() {
    let vocabulary = vocabulary();
    let (a, think) = (id(&vocabulary, "a"), id(&vocabulary, "<think>"));
    let grammar = Grammar::Regex("a".into());
    let marks = vec![("</think>".into(), grammar.clone())];
    let plan = Plan::default()
        .start(Some(grammar))
        .opens(Some(think))
        .marks(marks)
        .required(true);
    let mut mask = Arc::new(Guide::new(&vocabulary, &plan).unwrap()).mask();
    assert_eq!(allowed(&vocabulary, &mut *mask, &[]), [a, think].into());
    assert_eq!(allowed(&vocabulary, &mut *mask, &[a]), ends(&vocabulary));
    assert!(allowed(&vocabulary, &mut *mask, &[think, a]).len() > 200);
    let end = id(&vocabulary, "</think>");
    assert_eq!(
        allowed(&vocabulary, &mut *mask, &[think, a, end]),
        [a].into()
    );
    assert_eq!(allowed(&vocabulary, &mut *mask, &[]), [a, think].into());
}
