//! Command lines that make no sense.

use crate::{fails, sharpi};

#[test]
fn a_wrong_command_line_is_a_usage_error() {
    fails(sharpi("run"), 2, &["--prompt", "--file", "--ids"]);
    fails(sharpi("run -p x --ids 1"), 2, &["cannot be used with"]);
    fails(sharpi("run -p x --no-such-flag"), 2, &["--no-such-flag"]);
    fails(sharpi("walk"), 2, &["walk"]);
    fails(sharpi("inspect"), 2, &["FILE"]);
    fails(sharpi("tokenize"), 2, &["TEXT"]);
    fails(sharpi("detokenize"), 2, &["--ids"]);
    fails(sharpi("parity"), 2, &["--golden"]);
    fails(sharpi("parity --bisect x --widths 2"), 2, &["--golden"]);
}

#[test]
fn a_value_out_of_range_is_a_usage_error_that_says_what_is_accepted() {
    fails(
        sharpi("run --ids 1,x"),
        2,
        &["\"x\" is no token id", "870,25"],
    );
    fails(sharpi("run -p x -n -2"), 2, &["-2"]);
    fails(sharpi("run -p x -b 0"), 2, &["--batch-size"]);
    for count in ["0", "513", "100000"] {
        let command = sharpi(&format!("run -p x -t {count}"));
        fails(command, 2, &["--threads", "512"]);
    }
    fails(sharpi("run -p x -s -2"), 2, &["--seed"]);
    fails(sharpi("run -p x --temp warm"), 2, &["a number, 0 or more"]);
    fails(sharpi("run -p x --temp -1"), 2, &["a number, 0 or more"]);
    fails(sharpi("run -p x --top-p 1.5"), 2, &["a number, 0 to 1"]);
    fails(
        sharpi("run -p x --repeat-penalty 0"),
        2,
        &["a number, above 0"],
    );
    fails(
        sharpi("run -p x -ctk q5_1"),
        2,
        &["f16, bf16, f32, q8_0, q4_0"],
    );
    fails(
        sharpi("run -p x --spec-type eagle"),
        2,
        &["none", "draft-mtp", "auto"],
    );
    fails(sharpi("run -p x --spec-draft-n-max 0"), 2, &["1..=64"]);
    fails(
        sharpi("run -p x --spec-type draft-mtp --spec-draft-n-min 3"),
        2,
        &["--spec-draft-n-min 3", "--spec-draft-n-max 2"],
    );
    fails(sharpi("run -p x --draft-vocab 0"), 2, &["1 or more ids"]);
    fails(sharpi("run -p x --logits-top 3"), 2, &["--json"]);
    fails(sharpi("dump-graph --layers 3-1"), 2, &["0-3"]);
    fails(sharpi("parity --golden x --mode odd"), 2, &["free, forced"]);
    fails(sharpi("parity --golden x --widths 1,0"), 2, &["1..=512"]);
    fails(
        sharpi("parity --golden x --cache-type q5_1"),
        2,
        &["f16, bf16, f32, q8_0, q4_0"],
    );
    fails(
        sharpi("dump-graph --stage done"),
        2,
        &["imported, fused, scheduled, planned"],
    );
}

#[test]
fn a_pass_that_does_not_exist_or_is_required_is_a_usage_error() {
    let known = "quantize-activations, cse, dce";
    fails(
        sharpi("dump-graph --stage fused --skip-pass nap"),
        2,
        &["`nap`", known],
    );
    fails(sharpi("dump-graph --stop-after nap"), 2, &["`nap`", known]);
    fails(
        sharpi("run -p x --skip-pass schedule"),
        2,
        &["`schedule` is required"],
    );
}

#[test]
fn help_tells_exit_codes_and_the_short_names_of_cache_types() {
    let help = crate::stdout(sharpi("--help"));
    for word in ["Exit codes: 0 ok", "4 unsupported model", "-ctk TYPE"] {
        assert!(help.contains(word), "{help}");
    }
}
