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
    insta::assert_snapshot!(to_lark(json).unwrap());
}

#[test]
fn tokens_characters_and_repetitions_are_written_as_they_are() {
    let text = "root ::= <think> !<[7]>? </think> # begin\n\nanswer ::= .{4}\n";
    let tokens = to_lark(text).unwrap();
    let text = r#"root ::= .{4} [é-ü/]+ ("\x7f\u00e9" | "") {2,} root?"#;
    insta::assert_snapshot!(tokens + &to_lark(text).unwrap());
}

#[test]
fn faults_have_their_place() {
    let cases = [
        "",
        "root = \"a\"",
        "root ::= \"a",
        "root ::= [z-a]",
        "root ::= []",
        "root ::= \"\\q\"",
        "root ::= \"\\ud800\"",
        "root ::= (\"a\"\nb ::= \"c\"",
        "root ::= \"a\"{3,2}",
        "root ::= \"a\"{999999999}",
        "root ::= \"a\"*+",
        "root ::= a",
        "root ::= \"a\"\n\nroot ::= \"b\"",
        "root ::= !<think>",
        "root ::= <[x]>",
        "root ::= \"a\" )",
    ];
    let told = cases.map(|text| format!("{text:?}\n    {}", to_lark(text).unwrap_err()));
    let deep = to_lark(&format!("root ::= {}", "(".repeat(9999))).unwrap_err();
    insta::assert_snapshot!(format!("{}\n{deep}", told.join("\n")));
}
