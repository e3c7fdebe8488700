//! Options of llama-cli and llama-completion, most of which all of llama.cpp's programs have.

use super::Meaning::{As, Flag, Harmless, Refused, Told, Unless, When};
use super::Takes::{Nothing, Switch, Two, Value};
use super::{Entry, OFF, entry};

pub(super) const NO_DEVICE: &str = "all is computed and held on the CPU";
pub(super) const WEIGHTS: &str =
    "weights are brought into memory; --no-repack uses the mapped file, --mlock locks them";
const PLACES: &str = "threads run where the system puts them; --pin keeps each on one processor, taskset confines them";
const ONE_POOL: &str = "the threads of -t compute prompts, texts and drafts";
const ONE_TEXT: &str = "one text is continued at a time";
const NO_SHIFT: &str = "a text ends when the context is full";
const LOGS: &str = "there is no log but stderr; -q says less and -v more";
const NO_CHAT: &str = "a text is taken as it stands";
const HOLD_CHAT: &str =
    "`chat` and `run --chat` hold conversations; `chat --show-prompt` shows one as text";
const NO_DOWNLOAD: &str = "nothing is downloaded here";
const DOWNLOAD: &str = "download the GGUF file (`hf download USER/MODEL FILE.gguf`, or a browser), then name it with -m FILE.gguf";
const NO_SAMPLER: &str = "this way of choosing tokens is not supported";
const SAMPLERS: &str =
    "leave it away, or choose with --temp, --top-k, --top-p, --min-p and --repeat-penalty";
const NO_GRAMMAR: &str =
    "only `run` holds a text to a grammar or schema; `serve` does where a request asks";
const TEXT_ONLY: &str = "only text goes in: images and sound are not supported";
const NO_ADAPTER: &str = "adapters are not supported";
const MERGE: &str = "merge it into the model with llama-export-lora, and run the result";
const BY_FILE: &str = "the model's own metadata decide";
const REWRITE: &str =
    "leave it away, or write the key into a copy of the file with llama.cpp's gguf_set_metadata.py";
const NO_NGRAM: &str = "drafts come from the model's MTP head alone";
const DRAFT_MTP: &str = "leave it away, or draft with --spec-type draft-mtp";
const LEAVE: &str = "leave it away";
const CACHE: &str = "a prompt is remembered in the file of --prompt-cache alone";
const ZERO: &[&str] = &["0", "0.0", "0.00"];
const ONE: &[&str] = &["1", "1.0", "1.00"];

#[rustfmt::skip]
pub(super) const OPTIONS: &[Entry] = &[
    // Carried out under another name.
    entry(&["-ctk"], Value, As("--cache-type-k")),
    entry(&["-ctv"], Value, As("--cache-type-v")),
    entry(&["-ub"], Value, As("--ubatch-size")),
    entry(&["-nr"], Nothing, Flag("--no-repack")),
    entry(&["--predict"], Value, As("--n-predict")),
    entry(&["--temperature"], Value, As("--temp")),
    entry(&["-md", "--spec-draft-model"], Value, As("--model-draft")),
    entry(&["--draft", "--draft-n", "--draft-max"], Value, As("--spec-draft-n-max")),
    entry(&["--draft-min", "--draft-n-min"], Value, As("--spec-draft-n-min")),
    entry(&["--draft-p-min"], Value, As("--spec-draft-p-min")),
    entry(&["--log-disable"], Nothing, Flag("--quiet")),
    entry(&["--log-verbose"], Nothing, Flag("--verbose")),
    entry(&["-lm", "--load-mode"], Value, When(&["mlock", "mmap+mlock"], &Flag("--mlock"), &Harmless(WEIGHTS))),

    // The machine.
    entry(&["-ngl", "--gpu-layers", "--n-gpu-layers", "-ngld", "--gpu-layers-draft", "--n-gpu-layers-draft", "--spec-draft-ngl"], Value, Harmless(NO_DEVICE)),
    entry(&["-sm", "--split-mode", "-ts", "--tensor-split", "-mg", "--main-gpu", "-dev", "--device", "-devd", "--device-draft", "--spec-draft-device"], Value, Harmless(NO_DEVICE)),
    entry(&["-ot", "--override-tensor", "-otd", "--override-tensor-draft", "--spec-draft-override-tensor"], Value, Harmless(NO_DEVICE)),
    entry(&["-ncmoe", "--n-cpu-moe", "-ncffn", "--n-cpu-ffn", "-ncmoed", "--n-cpu-moe-draft", "--spec-draft-n-cpu-moe", "--spec-draft-ncmoe"], Value, Harmless(NO_DEVICE)),
    entry(&["-cmoe", "--cpu-moe", "-cmoed", "--cpu-moe-draft", "--spec-draft-cpu-moe"], Nothing, Harmless(NO_DEVICE)),
    entry(&["-kvo", "--kv-offload", "-nkvo", "--no-kv-offload", "--op-offload", "-nopo", "--no-op-offload", "--no-host", "--mmproj-offload", "--no-mmproj-offload"], Nothing, Harmless(NO_DEVICE)),
    entry(&["-fit", "--fit"], Switch, Harmless(NO_DEVICE)),
    entry(&["-fitp", "--fit-print"], Switch, Harmless(NO_DEVICE)),
    entry(&["-fitt", "--fit-target", "-fitc", "--fit-ctx"], Value, Harmless(NO_DEVICE)),
    entry(&["--list-devices"], Nothing, Refused("the CPU is the only device", "`sharpi-compile hwbench` shows what it can do")),
    entry(&["--rpc", "-rpc"], Value, Refused("other machines cannot be computed on", LEAVE)),
    entry(&["-fa", "--flash-attn"], Switch, When(OFF, &Told("attention is always computed as with -fa on"), &Harmless("attention is always computed as with -fa on"))),
    entry(&["--mmap", "--no-mmap", "--repack", "--direct-io", "-dio", "--no-direct-io", "-ndio"], Nothing, Harmless(WEIGHTS)),
    entry(&["-lzm", "--lazy-mode"], Value, Harmless(WEIGHTS)),
    entry(&["-tb", "--threads-batch", "-td", "--threads-draft", "--spec-draft-threads", "-tbd", "--threads-batch-draft", "--spec-draft-threads-batch"], Value, Harmless(ONE_POOL)),
    entry(&["--numa", "--cpu-strict", "--prio", "--poll", "--cpu-strict-batch", "--prio-batch", "--poll-batch"], Value, Harmless(PLACES)),
    entry(&["--cpu-strict-draft", "--spec-draft-cpu-strict", "--prio-draft", "--spec-draft-prio", "--poll-draft", "--spec-draft-poll"], Value, Harmless(PLACES)),
    entry(&["-C", "--cpu-mask", "-Cr", "--cpu-range", "-Cb", "--cpu-mask-batch", "-Crb", "--cpu-range-batch"], Value, Told(PLACES)),
    entry(&["-Cd", "--cpu-mask-draft", "--spec-draft-cpu-mask", "-Crd", "--cpu-range-draft", "--spec-draft-cpu-range"], Value, Told(PLACES)),
    entry(&["--warmup", "--no-warmup"], Nothing, Harmless("nothing is warmed up but in `bench`")),
    entry(&["--check-tensors"], Nothing, Told("values of weights are not looked at; the places and sizes of tensors always are")),

    // The model.
    entry(&["-hf", "-hfr", "--hf-repo", "-hff", "--hf-file", "-hft", "--hf-token", "-mu", "--model-url", "-dr", "--docker-repo", "-hfd", "-hfrd", "--hf-repo-draft", "--spec-draft-hf", "-hfv", "-hffv"], Value, Refused(NO_DOWNLOAD, DOWNLOAD)),
    entry(&["--offline"], Nothing, Harmless(NO_DOWNLOAD)),
    entry(&["-cl", "--cache-list"], Nothing, Refused(NO_DOWNLOAD, DOWNLOAD)),
    entry(&["--lora"], Value, Refused(NO_ADAPTER, MERGE)),
    entry(&["--lora-scaled"], Value, Refused(NO_ADAPTER, MERGE)),
    entry(&["--lora-init-without-apply"], Nothing, Refused(NO_ADAPTER, MERGE)),
    entry(&["--control-vector", "--control-vector-scaled"], Value, Refused("control vectors are not supported", LEAVE)),
    entry(&["--control-vector-layer-range"], Two, Refused("control vectors are not supported", LEAVE)),
    entry(&["-mm", "--mmproj", "-mmu", "--mmproj-url", "--image", "--audio", "--video", "-mmdev", "--mmproj-device"], Value, Refused(TEXT_ONLY, LEAVE)),
    entry(&["--image-min-tokens", "--image-max-tokens"], Value, Refused(TEXT_ONLY, LEAVE)),
    entry(&["--no-mmproj", "--no-mmproj-auto", "--mmproj-auto"], Nothing, Harmless(TEXT_ONLY)),
    entry(&["--override-kv"], Value, Refused(BY_FILE, REWRITE)),
    entry(&["--rope-scaling", "--rope-scale", "--rope-freq-base", "--rope-freq-scale", "--yarn-orig-ctx", "--yarn-ext-factor", "--yarn-attn-factor", "--yarn-beta-slow", "--yarn-beta-fast"], Value, Refused(BY_FILE, REWRITE)),
    entry(&["-gan", "--grp-attn-n", "-gaw", "--grp-attn-w"], Value, Unless(ONE, "self-extend is not supported", LEAVE)),
    entry(&["--pooling"], Value, Unless(&["none"], "there are no embeddings of texts", LEAVE)),
    entry(&["--attention"], Value, Unless(&["causal"], "attention is causal", LEAVE)),
    entry(&["-a", "--alias", "--tags"], Value, Harmless("a model has the name of its file")),

    // The context and its cache.
    entry(&["--context-shift"], Nothing, Refused(NO_SHIFT, "make room with -c N")),
    entry(&["--no-context-shift"], Nothing, Harmless(NO_SHIFT)),
    entry(&["--keep"], Value, Harmless(NO_SHIFT)),
    entry(&["--cache-prompt", "--no-cache-prompt", "--cache-idle-slots", "--no-cache-idle-slots"], Nothing, Harmless(CACHE)),
    entry(&["-cram", "--cache-ram", "--cache-reuse", "-ctxcp", "--ctx-checkpoints", "--swa-checkpoints", "-cms", "--checkpoint-min-step", "-dt", "--defrag-thold"], Value, Harmless(CACHE)),
    entry(&["--swa-full", "-kvu", "--kv-unified", "-no-kvu", "--no-kv-unified"], Nothing, Harmless(ONE_TEXT)),
    entry(&["-np", "--parallel", "-ns", "--sequences"], Value, Unless(ONE, ONE_TEXT, LEAVE)),
    entry(&["-cb", "--cont-batching", "-nocb", "--no-cont-batching"], Nothing, Harmless(ONE_TEXT)),
    entry(&["-ctkd", "--cache-type-k-draft", "--spec-draft-type-k", "-ctvd", "--cache-type-v-draft", "--spec-draft-type-v"], Value, Told("the head's cache has the types of -ctk and -ctv")),

    // The prompt and the conversation.
    entry(&["-no-cnv", "--no-conversation", "--no-jinja", "--no-prefill-assistant", "--skip-chat-parsing", "--no-skip-chat-parsing", "--jinja", "--in-prefix-bos"], Nothing, Harmless(NO_CHAT)),
    entry(&["-cnv", "--conversation", "-st", "--single-turn", "-i", "--interactive", "-if", "--interactive-first", "-mli", "--multiline-input", "--prefill-assistant"], Nothing, Refused(NO_CHAT, HOLD_CHAT)),
    entry(&["-sys", "--system-prompt", "-sysf", "--system-prompt-file", "--chat-template", "--chat-template-file", "--chat-template-kwargs", "--in-prefix", "--in-suffix"], Value, Refused(NO_CHAT, HOLD_CHAT)),
    entry(&["-rea", "--reasoning"], Switch, Harmless(NO_CHAT)),
    entry(&["--reasoning-format", "--reasoning-effort", "--reasoning-budget", "--reasoning-budget-message"], Value, Harmless(NO_CHAT)),
    entry(&["--reasoning-preserve", "--no-reasoning-preserve"], Nothing, Harmless(NO_CHAT)),
    entry(&["-r", "--reverse-prompt"], Value, Refused("a text ends at a token that ends texts, or after -n tokens", LEAVE)),
    entry(&["-bf", "--binary-file"], Value, Refused("a prompt is text in UTF-8", "name a text file with -f FILE")),
    entry(&["--display-prompt"], Nothing, Harmless("the prompt is shown unless --no-display-prompt is given")),
    entry(&["--verbose-prompt"], Nothing, Told("`sharpi-compile tokenize` shows the tokens of a prompt")),
    entry(&["-sp", "--special"], Nothing, Told("special tokens are shown in the prompt alone; --json has every id")),
    entry(&["-ptc", "--print-token-count"], Value, Harmless("the tokens are counted at the end")),
    entry(&["--spm-infill"], Nothing, Harmless(NO_CHAT)),

    // Sampling.
    entry(&["--presence-penalty", "--frequency-penalty", "--dry-multiplier", "--xtc-probability", "--dynatemp-range", "--mirostat"], Value, Unless(ZERO, NO_SAMPLER, SAMPLERS)),
    entry(&["--typical", "--typical-p"], Value, Unless(ONE, NO_SAMPLER, SAMPLERS)),
    entry(&["--top-nsigma", "--top-n-sigma", "--adaptive-target"], Value, Unless(&["-1", "-1.0", "-1.00"], NO_SAMPLER, SAMPLERS)),
    entry(&["--dry-base", "--dry-allowed-length", "--dry-penalty-last-n", "--dry-sequence-breaker", "--xtc-threshold", "--dynatemp-exp", "--mirostat-lr", "--mirostat-ent", "--adaptive-decay"], Value, Harmless("it tunes a way of choosing tokens that is not in use")),
    entry(&["--samplers", "--sampler-seq", "--sampling-seq"], Value, Refused("the order is fixed: penalties, top-k, top-p, min-p, temperature", SAMPLERS)),
    entry(&["-l", "--logit-bias"], Value, Refused("logits are taken as they are", SAMPLERS)),
    entry(&["-jf"], Value, As("--json-schema-file")),
    entry(&["--grammar", "--grammar-file", "-j", "--json-schema", "--json-schema-file"], Value, Refused(NO_GRAMMAR, LEAVE)),
    entry(&["-bs", "--backend-sampling", "--spec-draft-backend-sampling", "--no-spec-draft-backend-sampling"], Nothing, Harmless(NO_DEVICE)),

    // Drafting.
    entry(&["--spec-draft-p-split", "--draft-p-split"], Value, Harmless("a draft is one sequence")),
    entry(&["--spec-draft-sampling"], Value, Harmless("with --temp drafts are verified by rejection sampling, which keeps every probability")),
    entry(&["-lcs", "--lookup-cache-static", "-lcd", "--lookup-cache-dynamic"], Value, Refused(NO_NGRAM, DRAFT_MTP)),
    entry(&["--spec-ngram-mod-n-min", "--spec-ngram-mod-n-max", "--spec-ngram-mod-n-match", "--spec-ngram-size-n", "--spec-ngram-size-m", "--spec-ngram-min-hits"], Value, Harmless(NO_NGRAM)),
    entry(&["--dflash", "--eagle3", "--spec-default"], Nothing, Refused(NO_NGRAM, DRAFT_MTP)),

    // What is said.
    entry(&["-co", "--color", "--log-colors"], Switch, Harmless("texts have no colours")),
    entry(&["--perf", "--no-perf", "--show-timings", "--no-show-timings", "--simple-io", "--log-prefix", "--no-log-prefix", "--log-timestamps", "--no-log-timestamps", "--log-jsonl", "--no-log-jsonl"], Nothing, Harmless(LOGS)),
    entry(&["-lv", "--verbosity", "--log-verbosity"], Value, Harmless(LOGS)),
    entry(&["--log-file", "--log-prompts-dir"], Value, Told(LOGS)),
];
