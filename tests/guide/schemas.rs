//! JSON of a schema.

use proptest::prelude::*;
use rand::SeedableRng;
use serde::Deserialize;
use serde_json::json;

use super::*;

/// What the schema below says.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
struct Person {
    name: String,
    age: u8,
    #[serde(default)]
    tags: Vec<Tag>,
    friend: Option<Box<Person>>,
}

#[derive(Deserialize, Debug)]
#[serde(rename_all = "snake_case")]
enum Tag {
    Red,
    Green,
}

fn schema() -> serde_json::Value {
    json!({
        "$defs": {"person": {
            "type": "object",
            "properties": {
                "name": {"type": "string", "minLength": 1, "maxLength": 3},
                "age": {"type": "integer", "minimum": 0, "maximum": 120},
                "tags": {"type": "array", "items": {"enum": ["red", "green"]}, "maxItems": 2},
                "friend": {"anyOf": [{"$ref": "#/$defs/person"}, {"type": "null"}]},
            },
            "required": ["name", "age"],
            "additionalProperties": false,
        }},
        "$ref": "#/$defs/person",
    })
}

fn check(person: &Person) {
    assert!((1..=3).contains(&person.name.chars().count()), "{person:?}");
    assert!(person.age <= 120 && person.tags.len() <= 2, "{person:?}");
    if let Some(friend) = &person.friend {
        check(friend);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_ends_by_itself_is_json_of_the_schema(seed: u64) {
        let vocabulary = vocabulary();
        let guide = guide(&vocabulary, Grammar::json_schema(schema())).unwrap();
        let mut rng = StdRng::seed_from_u64(seed);
        let (text, ended) = walk(&vocabulary, &mut *guide.mask(), &mut rng, 400);
        let text = decode(&vocabulary, &text);
        if ended {
            check(&serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}")));
        }
        // Of random tokens nearly all texts are short.
        prop_assert!(ended || text.contains("friend"), "{text}");
    }
}

#[test]
fn a_schema_keeps_the_order_of_its_properties() {
    let vocabulary = vocabulary();
    let schema = json!({
        "type": "object",
        "properties": {"z": {"type": "null"}, "a": {"type": "null"}},
        "required": ["a", "z"],
        "additionalProperties": false,
        "x-guidance": {"whitespace_flexible": false},
    });
    let guide = guide(&vocabulary, Grammar::json_schema(schema)).unwrap();
    let mut rng = StdRng::seed_from_u64(1);
    let (text, ended) = walk(&vocabulary, &mut *guide.mask(), &mut rng, 400);
    assert!(ended);
    assert_eq!(decode(&vocabulary, &text), r#"{"z":null,"a":null}"#);
}

#[test]
fn json_objects_of_any_kind_are_objects() {
    let vocabulary = vocabulary();
    let guide = guide(&vocabulary, Grammar::json_object()).unwrap();
    let mut ended = 0;
    for seed in 0..20 {
        let mut rng = StdRng::seed_from_u64(seed);
        let (text, end) = walk(&vocabulary, &mut *guide.mask(), &mut rng, 300);
        let text = decode(&vocabulary, &text);
        assert!(
            text.trim_start().is_empty() || text.trim_start().starts_with('{'),
            "{text}"
        );
        if end {
            ended += 1;
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert!(value.is_object());
        }
    }
    assert!(ended > 0);
}

#[test]
fn a_grammar_of_llama_cpp_accepts_the_texts_that_it_describes() {
    let vocabulary = vocabulary();
    let lists = r#"
        root ::= list
        list ::= "[" (item ("," item)*)? "]"
        item ::= list | [0-9]{1,2} | "a\u0062" # letters
    "#;
    let guide = guide(&vocabulary, Grammar::from_text(lists)).unwrap();
    let mut ended = 0;
    for seed in 0..40 {
        let mut rng = StdRng::seed_from_u64(seed);
        let (text, end) = walk(&vocabulary, &mut *guide.mask(), &mut rng, 200);
        if end {
            ended += 1;
            let text = decode(&vocabulary, &text).replace("ab", "0");
            let digits = text.replace(['[', ']', ','], " ");
            assert!(digits.split_whitespace().all(|n| n.len() <= 2), "{text}");
            // JSON but for leading zeros.
            let text = text.replace(|c: char| c.is_ascii_digit(), "1");
            assert!(
                serde_json::from_str::<Vec<serde_json::Value>>(&text).is_ok(),
                "{text}"
            );
        }
    }
    assert!(ended > 10, "{ended}");
}
