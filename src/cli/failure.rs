//! What went wrong, in words and as an exit code.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use miette::{Diagnostic, MietteHandlerOpts, Report};
use sharpi_chat::TemplateError;
use sharpi_compile::engine::StartError;
use sharpi_compile::exec::{LoadError, PrepareError};
use sharpi_compile::generate::GenerateError;
use sharpi_compile::gguf::{Fault, GgufError};
use sharpi_compile::lower::LowerError;
use sharpi_compile::parity::{CaptureError, GoldenError, ParityError, ServerError};
use sharpi_compile::tokenizer::TokenizerError;
use sharpi_compile::{Error, RunError};
use sharpi_ir::plain;
use sharpi_passes::{CompileError, ShardError};
use thiserror::Error as ThisError;

use super::interrupt;

const FAILED: u8 = 1;
const WRONG_USAGE: u8 = 2;
const MISMATCH: u8 = 3;
const UNSUPPORTED: u8 = 4;

/// What to do when only the program can be at fault.
const FAULT: &str = "this is a fault of the program: report it with the model's name; --skip-pass may lead around it";

/// What to do when another rank is in the way.
const RANKS: &str = "all ranks need the same file under the same name, and memory for their shares of it; start them again";

/// The most bytes of a message, and of what to do next.
const MOST: usize = 1800;

/// A text without anything that a terminal obeys, and not longer than a person reads.
pub(super) fn harmless(text: impl Display) -> String {
    let mut text = plain::lines(&text.to_string());
    plain::shorten(&mut text, MOST);
    text
}

/// Why a command did not do what was asked for.
pub(super) enum Failure {
    /// Whoever read the output has had enough: nothing to complain about.
    BrokenPipe,
    /// Ctrl-C ended it cleanly, which has been told.
    Interrupted,
    /// Something to tell.
    Told(Problem),
}

/// What happened, and what to do next.
#[derive(Debug, ThisError, Diagnostic)]
#[error("{message}")]
#[diagnostic(help("{help}"))]
pub(super) struct Problem {
    message: String,
    help: String,
    code: u8,
}

impl Failure {
    /// A failure with what to do next.
    pub(super) fn plain(message: impl Display, help: impl Display) -> Failure {
        Failure::told(message, help, FAILED)
    }

    /// A command line that makes no sense.
    pub(super) fn usage(message: impl Display, help: impl Display) -> Failure {
        Failure::told(message, help, WRONG_USAGE)
    }

    /// A model that lacks what is asked for.
    pub(super) fn unsupported(message: impl Display, help: impl Display) -> Failure {
        Failure::told(message, help, UNSUPPORTED)
    }

    /// A comparison that found something else than expected.
    pub(super) fn mismatch(message: impl Display, help: impl Display) -> Failure {
        Failure::told(message, help, MISMATCH)
    }

    /// Something that Ctrl-C ended before it was done.
    pub(super) fn interrupted(message: impl Display, help: impl Display) -> Failure {
        Failure::told(message, help, interrupt::EXIT_CODE)
    }

    /// The same with a place in front.
    pub(super) fn at(self, place: impl Display) -> Failure {
        match self {
            Failure::Told(problem) => Failure::told(
                format_args!("{place}: {}", problem.message),
                problem.help,
                problem.code,
            ),
            other => other,
        }
    }

    fn told(message: impl Display, help: impl Display, code: u8) -> Failure {
        Failure::Told(Problem {
            message: harmless(message),
            help: harmless(help),
            code,
        })
    }

    /// Tells it on stderr and gives the exit code.
    pub(super) fn report(self) -> ExitCode {
        let problem = match self {
            Failure::Told(problem) => problem,
            Failure::BrokenPipe => return ExitCode::SUCCESS,
            Failure::Interrupted => return ExitCode::from(interrupt::EXIT_CODE),
        };
        let code = problem.code;
        // Messages name files and tensors, which have to stay in one piece to be searched for.
        let handler = || MietteHandlerOpts::new().wrap_lines(false).build();
        // Fails only if a handler is set already, which then does as well.
        let _ = miette::set_hook(Box::new(move |_| Box::new(handler())));
        // Without a stderr the exit code alone has to tell.
        let _ = writeln!(io::stderr(), "{:?}", Report::new(problem));
        ExitCode::from(code)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::BrokenPipe,
            _ => Failure::plain(
                format!("cannot write the output: {error}"),
                "see whether the disk is full or the file is protected",
            ),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let code = match &error {
            error if error.is_unsupported() => UNSUPPORTED,
            Error::Compile(CompileError::Unknown { .. } | CompileError::Required { .. }) => {
                WRONG_USAGE
            }
            _ => FAILED,
        };
        Failure::told(&error, help(&error), code)
    }
}

impl From<CompileError> for Failure {
    fn from(error: CompileError) -> Failure {
        Error::from(error).into()
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Failure {
        let help = run_help(&error);
        Failure::plain(error, help)
    }
}

impl From<GoldenError> for Failure {
    fn from(error: GoldenError) -> Failure {
        let help = match &error {
            GoldenError::Io { .. } => "check the path and whether you may use the file",
            _ => {
                "`sharpi-compile parity capture` writes golden files; --bisect takes a dump of \
                 tensors, --prompts a JSON list of texts"
            }
        };
        Failure::plain(error, help)
    }
}

impl From<ParityError> for Failure {
    fn from(error: ParityError) -> Failure {
        match error {
            ParityError::Model(error) => error.into(),
            ParityError::Generate(error) => error.into(),
            ParityError::Run(error) => error.into(),
            ParityError::UnknownId { .. } | ParityError::NoHead => {
                Failure::plain(error, "name the model that was captured with -m")
            }
            ParityError::Cancelled => Failure::plain(error, "run it again to see the result"),
            error => Failure::plain(
                error,
                "a dump shows a prompt and its first round of drafting; capture it again",
            ),
        }
    }
}

impl From<GenerateError> for Failure {
    fn from(error: GenerateError) -> Failure {
        let help = match &error {
            GenerateError::EmptyPrompt => "give some text with -p or -f, or ids with --ids",
            GenerateError::PromptTooLong { .. } => "shorten the prompt, or make room with -c N",
            GenerateError::UnknownId { .. } => {
                "`sharpi-compile tokenize -m FILE TEXT` shows the ids of a text"
            }
            GenerateError::NoChoice { .. } => {
                "the weights are damaged: try another copy of the file"
            }
            GenerateError::Mask(_) => "write the grammar or the schema simpler",
            GenerateError::Run(error) => run_help(error),
            _ => FAULT,
        };
        Failure::plain(error, help)
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Failure {
        let help = match error {
            StartError::Model(error) => return error.into(),
            StartError::Run(ref error) => run_help(error),
            StartError::Prompts(_) => "name a folder of your own that can be written to",
            _ => "ask for fewer threads with -t N",
        };
        Failure::plain(error, help)
    }
}

impl From<TemplateError> for Failure {
    fn from(error: TemplateError) -> Failure {
        let help = match error {
            TemplateError::Raised { .. } => {
                "say it in the order that the template expects, or name another template with \
                 --chat-template"
            }
            _ => "name another template with --chat-template",
        };
        Failure::plain(error, help)
    }
}

impl From<ServerError> for Failure {
    fn from(error: ServerError) -> Failure {
        let help = server_help(&error);
        Failure::plain(error, help)
    }
}

impl From<CaptureError> for Failure {
    fn from(error: CaptureError) -> Failure {
        let help = match &error {
            CaptureError::Server(error) => server_help(error),
            CaptureError::EmptyPrompt { .. } => "give some text with --prompt",
            CaptureError::ContextFull { .. } => {
                "start llama-server with a larger -c N, or ask for fewer tokens with -n N"
            }
            CaptureError::Drafts => {
                "start llama-server without --spec-type, or say with --draft-max N how many tokens \
                 it drafts"
            }
            CaptureError::DoesNotDraft { .. } => {
                "start llama-server with --spec-type draft-mtp --spec-draft-n-max N, on a file with \
                 an MTP head: `sharpi-compile inspect FILE` shows whether it has one"
            }
            _ => FAULT,
        };
        Failure::plain(error, help)
    }
}

fn server_help(error: &ServerError) -> &'static str {
    match error {
        ServerError::Address { .. } => "give it with --url, such as http://127.0.0.1:8080",
        ServerError::Unreachable { .. } => {
            "start `llama-server -m FILE -t 1 -fa on -np 1`, and name its address with --url"
        }
        ServerError::NotLlamaServer { .. } => {
            "name the address of a llama-server with --url, such as http://127.0.0.1:8080"
        }
        ServerError::Loading { .. } => "wait until llama-server says that it is listening",
        ServerError::TimedOut { .. } => "give it more time with --timeout SECONDS",
        ServerError::Refused { .. } => {
            "if the prompt is too long, start llama-server with a larger -c N; its own output tells \
             more"
        }
        _ => "use a newer llama-server, which gives `tokens` and `timings` with a completion",
    }
}

fn help(error: &Error) -> &'static str {
    match error {
        Error::Gguf(error) => gguf_help(error),
        Error::Lower(error) => lower_help(error),
        Error::Tokenizer(TokenizerError::NotCarriedOut { .. }) => {
            "without it prompts would be read, or answered, otherwise than the model's makers meant"
        }
        Error::Tokenizer(error) if error.is_unsupported() => {
            "this program knows the tokenizers of the models that it runs; llama.cpp may run this one"
        }
        Error::Tokenizer(_) => {
            "the vocabulary is damaged: convert the model again with llama.cpp's \
             convert_hf_to_gguf.py"
        }
        Error::Compile(error) => compile_help(error),
        Error::Prepare(PrepareError::Load(error)) => load_help(error),
        Error::Ranks(_) => RANKS,
        Error::Run(error) => run_help(error),
        _ => FAULT,
    }
}

fn load_help(error: &LoadError) -> &'static str {
    match error {
        LoadError::Memory { .. } => {
            "--no-repack uses the weights from the mapped file, without memory of their own; \
             `sharpi-compile memory -m FILE` shows what a model takes"
        }
        LoadError::Lock { .. } => {
            "raise the limit with `ulimit -l`, in bytes of 1024, or leave --mlock away"
        }
        LoadError::Cache { .. } => {
            "choose a folder for --repack-cache that can be written and has room, or leave it away"
        }
        LoadError::Read { .. } => "check the disk that the file is on, or copy the file again",
    }
}

fn gguf_help(error: &GgufError) -> &'static str {
    match (error, error.fault()) {
        (GgufError::Io { .. }, _) => {
            "check the path and whether you may read the file; without -m a small model runs that \
             is part of the program"
        }
        (GgufError::Malformed { .. }, Some(Fault::Magic { .. })) => {
            "the file is no GGUF model: convert it with llama.cpp's convert_hf_to_gguf.py"
        }
        (
            GgufError::Malformed { .. },
            Some(Fault::Truncated { .. } | Fault::Count { .. } | Fault::OutOfRange { .. }),
        ) => "the file is incomplete: download or copy it again",
        (
            GgufError::Malformed { .. },
            Some(Fault::TensorType { .. } | Fault::RemovedTensorType { .. }),
        ) => "quantise the model again, to a type such as Q4_K_M or Q8_0",
        (GgufError::Malformed { .. }, Some(Fault::Version { .. } | Fault::BigEndian { .. })) => {
            "convert the model again with a current convert_hf_to_gguf.py of llama.cpp, \
             little-endian"
        }
        (GgufError::Malformed { .. }, _) => {
            "the file is damaged or was made by a faulty tool: try another copy"
        }
        _ => "put all parts of the model into one folder, and open the first",
    }
}

fn lower_help(error: &LowerError) -> &'static str {
    match error {
        LowerError::NoModel(_) => "name a model file with -m",
        LowerError::NotCarriedOut(_)
        | LowerError::UnusedTensors { .. }
        | LowerError::HomelessTensors { .. } => {
            "running it regardless would give another text than its writer meant; \
             `sharpi-compile inspect FILE` shows what it holds"
        }
        LowerError::HeadMismatch { .. } | LowerError::NoHead => {
            "take a head that was converted from the same model (convert_hf_to_gguf.py --mtp), or \
             leave --model-draft away"
        }
        LowerError::Architecture { .. } => {
            "this program runs Qwen3.5 and Qwen3.6 models; llama.cpp may run this one"
        }
        LowerError::TensorType { .. } => {
            "quantise the model again with llama-quantize, to a type such as Q4_K_M or Q8_0"
        }
        LowerError::CacheType(_) | LowerError::CacheBlocks { .. } => "choose another -ctk or -ctv",
        LowerError::DraftVocabulary { .. } => "name other ids with --draft-vocab, or leave it away",
        _ => {
            "the file does not fit its architecture: convert the model again with llama.cpp's \
             convert_hf_to_gguf.py; `sharpi-compile inspect FILE` shows what it holds"
        }
    }
}

fn compile_help(error: &CompileError) -> &'static str {
    match error {
        CompileError::Unknown { .. } | CompileError::Required { .. } => {
            "`sharpi-compile passes` lists the passes and which of them can be skipped"
        }
        CompileError::Dump { .. } => "choose a folder that can be written to",
        CompileError::Shard(ShardError::NoRank { .. }) => {
            "name another with --rank, or more --ranks"
        }
        CompileError::Shard(ShardError::NotImported(_)) => {
            "dump the graphs with --stage imported, and divide these"
        }
        CompileError::Shard(_) => FAULT,
        CompileError::Verify { .. }
        | CompileError::Pass { .. }
        | CompileError::SameName { .. }
        | CompileError::Stage { .. }
        | CompileError::Unfinished { .. } => FAULT,
    }
}

fn run_help(error: &RunError) -> &'static str {
    match error {
        RunError::Threads { .. } => "ask for fewer threads with -t N",
        RunError::Context { .. } => "ask for a larger context with -c N",
        RunError::Memory { .. } => "ask for a smaller context with -c N",
        RunError::Restore(_) => "name another file with --prompt-cache",
        RunError::Exchange(_) => RANKS,
        _ => FAULT,
    }
}
