//! Files that are made to do harm: whatever they hold, the program says what is wrong within a
//! moment, in few words, and sends a terminal nothing but text.

use std::fs;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use sharpi_compile::gguf::write::Writer;
use sharpi_compile::gguf::{GgmlType, Gguf};
use sharpi_compile::ir::plain::is_harmful;
use tempfile::{TempDir, tempdir};

use crate::sharpi;

const MODEL: &str = "fixtures/models/micro-dense-IQ2.gguf";

/// What terminals obey: a colour, a title, a line of its own, a C1 control, reversed order, nothing
/// to be seen.
const HARM: &str = "x\x1b[31m\x1b]0;title\x07\nforged line\r\u{9b}2J\u{202e}\u{200b}\u{7f}";

/// Commands that look at a model, to be followed by its name.
const COMMANDS: [&str; 7] = [
    "inspect",
    "inspect --json",
    "run -p x -n 1 -m",
    "tokenize x -m",
    "dump-graph -m",
    "memory -m",
    "cost --ceilings no/such.json -m",
];

/// The model with some things changed, in a file of a folder.
fn written(change: impl Fn(&mut Writer<'_>)) -> TempDir {
    let gguf = Gguf::open(MODEL).unwrap();
    let mut writer = Writer::new();
    for (key, value) in gguf.metadata() {
        writer.metadata(key, value.clone());
    }
    for (name, info) in gguf.tensors() {
        writer.tensor(name, info.ty, &info.dims, gguf.data(info));
    }
    change(&mut writer);
    let folder = tempdir().unwrap();
    let mut bytes = Vec::new();
    writer.write(&mut bytes).unwrap();
    fs::write(folder.path().join("model.gguf"), bytes).unwrap();
    folder
}

fn output(command: &str, file: &Path) -> Output {
    let mut command = sharpi(command);
    command.arg(file).timeout(Duration::from_secs(60));
    command.output().unwrap()
}

/// Runs all commands on a file and checks what they say.
#[track_caller]
fn check_all(file: &Path) {
    for command in COMMANDS {
        check(command, &output(command, file));
    }
}

#[track_caller]
fn check(command: &str, output: &Output) {
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    let code = output.status.code();
    assert!(matches!(code, Some(0..=4)), "{command}: {code:?}\n{err}");
    let harmful = |c: &char| is_harmful(*c) && !matches!(c, '\n' | '\t');
    for shown in [&out, &err] {
        assert_eq!(shown.chars().find(harmful), None, "{command}:\n{shown}");
        assert!(!shown.contains("\nforged"), "{command}:\n{shown}");
    }
    let longest = if command.contains("json") || command.contains("html") {
        0
    } else {
        longest(&out)
    };
    assert!(longest <= 4096, "{command}: a line of {longest} bytes");
    assert!(err.len() <= 4096, "{command}: {} bytes of error", err.len());
    if command.contains("--json") && output.status.success() {
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap();
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn longest(text: &str) -> usize {
    text.lines().map(str::len).max().unwrap_or(0)
}

#[test]
fn controls_in_metadata_reach_no_terminal() {
    for key in [
        HARM,
        "general.name",
        "general.architecture",
        "qwen35.block_count",
        "tokenizer.ggml.model",
        "tokenizer.ggml.pre",
        "tokenizer.chat_template",
    ] {
        let folder = written(|writer| {
            writer.metadata(key, HARM);
        });
        check_all(&folder.path().join("model.gguf"));
    }
}

#[test]
fn controls_in_names_of_tensors_reach_no_terminal() {
    for ty in [GgmlType::F32, GgmlType::F64] {
        let folder = written(|writer| {
            writer.zeros(HARM, ty, &[32]).unwrap();
        });
        check_all(&folder.path().join("model.gguf"));
    }
}

#[test]
fn controls_in_the_name_of_a_file_reach_no_terminal() {
    let folder = tempdir().unwrap();
    let file = folder.path().join(HARM.replace('/', ""));
    check_all(&file);
    fs::write(&file, "no model\x1b[31m").unwrap();
    check_all(&file);
    let shown = text(&output("inspect", &file).stderr);
    assert!(
        shown.contains("\\u{1b}[31m") && shown.contains("\\nforged"),
        "{shown}"
    );
}

#[test]
fn controls_in_words_of_the_command_line_reach_no_terminal() {
    for command in ["inspect --", "run --no-such-option", HARM] {
        let mut run = sharpi(command);
        check("inspect", &run.arg(HARM).arg(HARM).output().unwrap());
    }
}

#[test]
fn names_of_any_length_are_shown_short() {
    for len in [1 << 16, 1 << 20] {
        let name = "n".repeat(len);
        let folder = written(|writer| {
            writer.metadata(&name, name.as_str());
            writer.metadata("general.architecture", name.as_str());
            writer.zeros(&name, GgmlType::F32, &[32]).unwrap();
        });
        check_all(&folder.path().join("model.gguf"));
        // One that runs is told of before it does.
        let folder = written(|writer| {
            writer.metadata("general.size_label", name.as_str());
        });
        check_all(&folder.path().join("model.gguf"));
    }
}

#[test]
fn arrays_of_any_depth_are_shown_short() {
    use sharpi_compile::gguf::Array;
    let leaf = Array::from(vec![HARM.to_owned(); 6]);
    let nested = (0..5).fold(leaf, |inner, _| Array::Nested(vec![inner; 6]));
    for key in ["x", "general.architecture", "tokenizer.ggml.tokens"] {
        let folder = written(|writer| {
            writer.metadata(key, nested.clone());
        });
        check_all(&folder.path().join("model.gguf"));
    }
}

#[test]
fn a_key_needs_a_letter() {
    let folder = written(|writer| {
        writer.metadata("", 1u32);
    });
    let shown = output("inspect", &folder.path().join("model.gguf"));
    assert_eq!(shown.status.code(), Some(1));
    let shown = text(&shown.stderr);
    assert!(
        shown.contains("expected a key, found an empty text"),
        "{shown}"
    );
}

#[test]
fn controls_in_graphs_and_captures_reach_no_terminal() {
    let folder = tempdir().unwrap();
    let quoted = "\\u{1b}[31m\\n\\u{202e}";
    let graph = format!(
        "module @\"{quoted}\" {{\n graph @\"{quoted}\"(%\"{quoted}\": f32[2]) -> (%\"{quoted}\": f32[2]) {{\n  \
         %0 = silu %\"{quoted}\" : f32[2] as \"{quoted}\"\n  return %\"{quoted}\" = %0\n }}\n}}"
    );
    let fault = graph.replace("f32[2] as", "f32[3] as");
    let broken = graph.replace("silu", "silu\x1b[31m");
    for text in [&graph, &fault, &broken, "\x1b[31m", "module @a\u{202e} {"] {
        let file = folder.path().join("graph.sir");
        fs::write(&file, text).unwrap();
        for format in ["text", "json", "dot", "html", "svg", "model-explorer"] {
            let command = format!("dump-graph --stage imported --format {format}");
            check(&command, &output(&command, &file));
        }
        check("dump-graph", &output("dump-graph --stage planned", &file));
    }
    for text in [
        "\x1b",
        "[{\"prompt\": \"\u{9b}\", \"\u{202e}\": 1}]",
        "{\"\u{9b}\": 1}",
    ] {
        let file = folder.path().join("golden.json");
        fs::write(&file, text).unwrap();
        check("parity", &output("parity --golden", &file));
        check("cost", &output("cost --ceilings", &file));
    }
}

#[test]
#[cfg(unix)]
fn nothing_waits_for_a_pipe() {
    use std::os::unix::fs::symlink;
    let folder = tempdir().unwrap();
    let pipe = folder.path().join("pipe.sir");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let device = folder.path().join("device.sir");
    symlink("/dev/zero", &device).unwrap();
    for (file, word) in [
        (&pipe, "pipe"),
        (&device, "device"),
        (&folder.path().into(), "folder"),
    ] {
        for command in [
            "inspect",
            "run -p x -m",
            "run -f",
            "run -p x --spec-type draft-mtp --draft-vocab",
            "dump-graph --diff fixtures/filetests/parse/empty_module.sir",
            "cost --ceilings",
            "parity --golden",
            "parity --bisect",
        ] {
            let output = output(command, file);
            let shown = text(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{command}: {shown}");
            assert!(
                shown.contains(&format!("is a {word}")),
                "{command}: {shown}"
            );
        }
    }
}
