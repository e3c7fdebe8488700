use super::*;

#[test]
fn what_does_not_refer_to_itself_is_a_word() {
    let json = r#"
        root   ::= object
        value  ::= object | array | string | number | ("true" | "false" | "null") ws
        object ::= "{" ws ( string ":" ws value ("," ws string ":" ws value)* )? "}" ws
        array  ::= "[" ws ( value ("," ws value)* )? "]" ws
        string ::= "\"" ( [^"\\\x7F\x00-\x1F] | "\\" ["\\bfnrt] )* "\"" ws # no \u
        number ::= ("-"? ([0-9] | [1-9] [0-9]{0,15})) ("." [0-9]+)? ws
        ws     ::= | " " | "\n" [ \t]{0,20}
    "#;
    insta::assert_snapshot!(to_lark(json).unwrap(), @"");
}

#[test]
fn tokens_characters_and_repetitions_are_written_as_they_are() {
    let text = "root ::= <think> !<[7]>* </think>\n  answer{2,3} # end\nanswer ::= .{4} [é-ü/] \"\\x7f\\u00e9\"+ |";
    let wrong = to_lark(text).unwrap_err();
    assert_eq!(wrong.to_string(), "");
}

#[test]
fn faults_have_their_place() {
    let cases = [
        ("", "the grammar has no rule `root`"),
        ("root = \"a\"", ""),
        ("root ::= \"a", ""),
        ("root ::= [z-a]", ""),
        ("root ::= []", ""),
        ("root ::= \"\\q\"", ""),
        ("root ::= \"\\ud800\"", ""),
        ("root ::= (\"a\"\nb ::= \"c\"", ""),
        ("root ::= \"a\"{3,2}", ""),
        ("root ::= \"a\"{999999999}", ""),
        ("root ::= \"a\"*+", ""),
        ("root ::= a", ""),
        ("root ::= \"a\"\nroot ::= \"b\"", ""),
        ("root ::= !<think>", ""),
        ("root ::= <[x]>", ""),
        ("root ::= \"a\" )", ""),
    ];
    for (text, expected) in cases {
        assert_eq!(to_lark(text).unwrap_err().to_string(), expected, "{text}");
    }
}
