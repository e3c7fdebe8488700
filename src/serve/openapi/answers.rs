//! What endpoints answer. Clients of all APIs take fields that they do not know.
#![expect(dead_code, reason = "they are told, not made")]

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// OpenAI's answer to a conversation.
#[derive(Serialize, ToSchema)]
pub(super) struct Completion {
    id: String,
    object: String,
    created: u64,
    model: String,
    system_fingerprint: String,
    choices: Vec<Choice>,
    usage: Usage,
    timings: Option<Timings>,
}

#[derive(Serialize, ToSchema)]
struct Choice {
    index: usize,
    message: ChoiceMessage,
    logprobs: Option<Logprobs>,
    finish_reason: FinishReason,
    /// What proves the answer, if it was asked for.
    receipt: Option<Map<String, Value>>,
}

#[derive(Serialize, ToSchema)]
struct ChoiceMessage {
    role: String,
    #[schema(required = true)]
    content: Option<String>,
    /// What was thought before.
    reasoning_content: Option<String>,
    #[schema(required = false)]
    tool_calls: Vec<Call>,
}

#[derive(Serialize, ToSchema)]
struct Call {
    id: String,
    r#type: String,
    function: CalledFunction,
}

#[derive(Serialize, ToSchema)]
struct CalledFunction {
    name: String,
    /// A JSON object as text.
    arguments: String,
}

/// Why a text ended.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum FinishReason {
    Stop,
    Length,
    ToolCalls,
}

#[derive(Serialize, ToSchema)]
struct Logprobs {
    content: Vec<Logprob>,
}

/// How likely a token was.
#[derive(Serialize, ToSchema)]
struct Logprob {
    id: u32,
    token: String,
    bytes: Vec<u8>,
    logprob: f32,
    top_logprobs: Vec<TopLogprob>,
}

#[derive(Serialize, ToSchema)]
struct TopLogprob {
    id: u32,
    token: String,
    bytes: Vec<u8>,
    logprob: f32,
}

#[derive(Serialize, ToSchema)]
struct Usage {
    prompt_tokens: usize,
    completion_tokens: usize,
    total_tokens: usize,
    prompt_tokens_details: PromptDetails,
}

#[derive(Serialize, ToSchema)]
struct PromptDetails {
    /// Tokens that were remembered.
    cached_tokens: usize,
}

/// What an answer took, as llama-server tells it.
#[derive(Serialize, ToSchema)]
struct Timings {
    cache_n: usize,
    prompt_n: usize,
    prompt_ms: f64,
    prompt_per_token_ms: f64,
    prompt_per_second: f64,
    predicted_n: usize,
    predicted_ms: f64,
    predicted_per_token_ms: f64,
    predicted_per_second: f64,
    draft_n: Option<usize>,
    draft_n_accepted: Option<usize>,
}

/// OpenAI's continuation of a prompt.
#[derive(Serialize, ToSchema)]
pub(super) struct TextCompletion {
    id: String,
    object: String,
    created: u64,
    model: String,
    system_fingerprint: String,
    choices: Vec<TextChoice>,
    usage: Usage,
    timings: Option<Timings>,
}

#[derive(Serialize, ToSchema)]
struct TextChoice {
    index: usize,
    text: String,
    logprobs: Option<TextLogprobs>,
    finish_reason: FinishReason,
    /// What proves the answer, if it was asked for.
    receipt: Option<Map<String, Value>>,
}

/// How likely tokens were: OpenAI's lists, and llama-server's `content`.
#[derive(Serialize, ToSchema)]
struct TextLogprobs {
    text_offset: Vec<usize>,
    tokens: Vec<String>,
    token_logprobs: Vec<f32>,
    top_logprobs: Vec<Map<String, Value>>,
    content: Vec<Logprob>,
}

/// llama-server's continuation of a prompt.
#[derive(Serialize, ToSchema)]
pub(super) struct OwnCompletion {
    index: usize,
    content: String,
    tokens: Vec<u32>,
    stop: bool,
    model: String,
    tokens_predicted: usize,
    tokens_evaluated: usize,
    tokens_cached: usize,
    truncated: bool,
    stop_type: StopType,
    stopping_word: Option<String>,
    timings: Timings,
    #[schema(required = false)]
    completion_probabilities: Vec<Logprob>,
    /// What proves the answer, if it was asked for.
    receipt: Option<Map<String, Value>>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum StopType {
    Eos,
    Word,
    Limit,
}

/// OpenAI's response.
#[derive(Serialize, ToSchema)]
pub(super) struct ResponseObject {
    id: String,
    object: String,
    created_at: u64,
    status: ResponseStatus,
    #[schema(required = true)]
    error: Option<Map<String, Value>>,
    #[schema(required = true)]
    incomplete_details: Option<Map<String, Value>>,
    model: String,
    output: Vec<Item>,
    usage: ResponseUsage,
    /// What proves the answer, if it was asked for.
    receipt: Option<Map<String, Value>>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ResponseStatus {
    Completed,
    Incomplete,
    Failed,
    InProgress,
}

/// Reasoning, a message, or a call of a tool, by `type`.
#[derive(Serialize, ToSchema)]
struct Item {
    id: String,
    r#type: String,
    status: ResponseStatus,
    #[schema(required = false)]
    content: Vec<Map<String, Value>>,
    call_id: Option<String>,
    name: Option<String>,
    arguments: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct ResponseUsage {
    input_tokens: usize,
    input_tokens_details: Map<String, Value>,
    output_tokens: usize,
    output_tokens_details: Map<String, Value>,
    total_tokens: usize,
}

/// Anthropic's message.
#[derive(Serialize, ToSchema)]
pub(super) struct MessageObject {
    id: String,
    r#type: String,
    role: String,
    model: String,
    content: Vec<Block>,
    stop_reason: StopReason,
    #[schema(required = true)]
    stop_sequence: Option<String>,
    usage: MessageUsage,
    /// What proves the answer, if it was asked for.
    receipt: Option<Map<String, Value>>,
}

#[derive(Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block {
    Thinking {
        thinking: String,
        signature: String,
    },
    Text {
        text: String,
    },
    ToolUse {
        id: String,
        name: String,
        input: Map<String, Value>,
    },
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum StopReason {
    EndTurn,
    MaxTokens,
    StopSequence,
    ToolUse,
}

#[derive(Serialize, ToSchema)]
struct MessageUsage {
    input_tokens: usize,
    cache_read_input_tokens: usize,
    cache_creation_input_tokens: usize,
    output_tokens: usize,
}

#[derive(Serialize, ToSchema)]
pub(super) struct TokenCount {
    input_tokens: usize,
}

/// Ids, or with `with_pieces` ids and their texts.
#[derive(Serialize, ToSchema)]
pub(super) struct Tokens {
    tokens: Vec<Value>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Detokenized {
    content: String,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Templated {
    prompt: String,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Health {
    status: String,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Models {
    object: String,
    data: Vec<ModelObject>,
    models: Vec<Map<String, Value>>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct ModelObject {
    id: String,
    object: String,
    created: u64,
    owned_by: String,
    meta: Map<String, Value>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Props {
    default_generation_settings: Map<String, Value>,
    total_slots: usize,
    model_alias: String,
    chat_template: String,
    bos_token: String,
    eos_token: String,
    build_info: String,
}

/// A place for a request that runs.
#[derive(Serialize, ToSchema)]
pub(super) struct Slot {
    id: usize,
    n_ctx: usize,
    is_processing: bool,
    speculative: bool,
    id_task: Option<u64>,
    n_prompt_tokens: Option<usize>,
    n_prompt_tokens_processed: Option<usize>,
    n_prompt_tokens_cache: Option<usize>,
    n_past: Option<usize>,
    n_decoded: Option<usize>,
    params: Option<Map<String, Value>>,
    next_token: Option<Vec<Map<String, Value>>>,
}

/// An OpenAPI document.
#[derive(Serialize, ToSchema)]
pub(super) struct Document {
    openapi: String,
    info: Map<String, Value>,
    paths: Map<String, Value>,
}

/// What went wrong, as OpenAI and llama-server tell it.
#[derive(Serialize, ToSchema)]
pub(super) struct Failure {
    error: FailureBody,
}

#[derive(Serialize, ToSchema)]
struct FailureBody {
    code: u16,
    message: String,
    r#type: String,
    param: Option<String>,
}

/// What went wrong, as Anthropic tells it.
#[derive(Serialize, ToSchema)]
pub(super) struct AnthropicFailure {
    r#type: String,
    error: AnthropicFailureBody,
}

#[derive(Serialize, ToSchema)]
struct AnthropicFailureBody {
    r#type: String,
    message: String,
}
