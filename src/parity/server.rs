//! A running `llama-server`, as far as captures need it.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sharpi_ir::plain::line;
use ureq::http::Response;
use ureq::{Agent, Body};

/// How long a connection may take to come about. Answers may take much longer.
const CONNECT: Duration = Duration::from_secs(5);
/// Most bytes of an answer. A step with its probabilities has about 2 kB.
const ANSWER: u64 = 1 << 28;
/// Ids asked for at each step: more than are kept, as those that end a text are taken out.
const PROBABILITIES: usize = 16;

/// A server that answered and is llama.cpp's.
#[derive(Debug)]
pub struct LlamaServer {
    agent: Agent,
    url: String,
    timeout: Duration,
    model: String,
    build: String,
}

/// What is asked of a server: the greedy continuation of a prompt.
#[derive(Clone, Copy, Debug)]
pub struct Completion<'a> {
    /// Ids of the prompt.
    pub prompt: &'a [u32],
    /// Ids wanted.
    pub max_tokens: usize,
    /// Whether ids that end a text are never chosen.
    pub ignore_eos: bool,
    /// Whether the best ids of each step are wanted with their log probabilities.
    pub probabilities: bool,
}

/// What a server made of a prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct Completed {
    /// The ids that followed.
    pub ids: Vec<u32>,
    /// Whether the context was full before all ids were there.
    pub truncated: bool,
    /// For each step ids with their log probabilities, the best first, without those that were
    /// excluded from the choice. Ends before the first step of which the server does not tell them:
    /// one whose text stops within a character.
    pub best: Vec<Vec<(u32, f32)>>,
    /// Ids drafted and ids accepted; `None` where the server did not draft.
    pub drafts: Option<(usize, usize)>,
}

/// Why a server was of no use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The address is none that this program can talk to.
    #[error("`{url}` is not the address of a server: {message}", url = line(url), message = line(message))]
    Address {
        /// The address.
        url: String,
        /// What is wrong with it.
        message: String,
    },
    /// Nobody answers.
    #[error("no server answers at {url}: {message}", url = line(url), message = line(message))]
    Unreachable {
        /// The address.
        url: String,
        /// What the system said.
        message: String,
    },
    /// Somebody answers, but not llama.cpp.
    #[error("the server at {url} is not llama-server: {message}", url = line(url), message = line(message))]
    NotLlamaServer {
        /// The address.
        url: String,
        /// What gave it away.
        message: String,
    },
    /// The model is not there yet.
    #[error("the server at {url} is still loading its model", url = line(url))]
    Loading {
        /// The address.
        url: String,
    },
    /// The answer took too long.
    #[error("the server at {url} did not answer {path} within {} s", timeout.as_secs(), url = line(url))]
    TimedOut {
        /// The address.
        url: String,
        /// What was asked.
        path: &'static str,
        /// How long it was given.
        timeout: Duration,
    },
    /// The server did not want to.
    #[error("the server at {url} refused {path} with status {status}: {message}", url = line(url), message = line(message))]
    Refused {
        /// The address.
        url: String,
        /// What was asked.
        path: &'static str,
        /// Status of HTTP.
        status: u16,
        /// What the server said.
        message: String,
    },
    /// The answer lacks what was asked for.
    #[error("the answer of the server at {url} to {path} cannot be read: {message}", url = line(url), message = line(message))]
    Answer {
        /// The address.
        url: String,
        /// What was asked.
        path: &'static str,
        /// What is wrong with the answer.
        message: String,
    },
}

impl LlamaServer {
    /// Asks the server at `url`, such as `http://127.0.0.1:8080`, what it is. No answer may take
    /// longer than `timeout`.
    ///
    /// # Errors
    /// No server there, one of another kind, or one that is not ready.
    pub fn connect(url: &str, timeout: Duration) -> Result<LlamaServer, ServerError> {
        let url = url.trim_end_matches('/').to_string();
        if !url.starts_with("http://") {
            let message = "it must start with http://".into();
            return Err(ServerError::Address { url, message });
        }
        // A server to capture from is near: a proxy for the wide world does not reach it.
        let config = Agent::config_builder()
            .proxy(None)
            .timeout_connect(Some(CONNECT))
            .timeout_global(Some(timeout))
            .http_status_as_error(false);
        let mut server = LlamaServer {
            agent: config.build().new_agent(),
            url,
            timeout,
            model: String::new(),
            build: String::new(),
        };
        let props: Props = server.props()?;
        (server.model, server.build) = (props.model_path, props.build_info);
        Ok(server)
    }

    /// File of the model that the server runs.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Build of llama.cpp.
    pub fn build(&self) -> &str {
        &self.build
    }

    /// Ids of a text, special tokens recognised.
    ///
    /// # Errors
    /// A server that does not answer as llama.cpp does.
    pub fn tokenize(&self, text: &str) -> Result<Vec<u32>, ServerError> {
        let request = json!({"content": text, "add_special": true, "parse_special": true});
        let answer: Tokens = self.post("/tokenize", &request)?;
        Ok(answer.tokens)
    }

    /// Text of ids, special tokens included; what is no text is replaced.
    ///
    /// # Errors
    /// A server that does not answer as llama.cpp does.
    pub fn detokenize(&self, ids: &[u32]) -> Result<String, ServerError> {
        let answer: Text = self.post("/detokenize", &json!({"tokens": ids}))?;
        Ok(answer.content)
    }

    /// Continues a prompt greedily.
    ///
    /// # Errors
    /// A server that refuses, takes too long or does not answer as llama.cpp does.
    pub fn complete(&self, wanted: &Completion<'_>) -> Result<Completed, ServerError> {
        let request = json!({
            "prompt": wanted.prompt,
            "n_predict": wanted.max_tokens,
            // Only the best id is left to choose from. An empty list would sample.
            "samplers": ["top_k"],
            "top_k": 1,
            "temperature": 0.0,
            "n_probs": if wanted.probabilities { PROBABILITIES } else { 0 },
            "return_tokens": true,
            "cache_prompt": false,
            "ignore_eos": wanted.ignore_eos,
            "stream": false,
        });
        let answer: Answer = self.post("/completion", &request)?;
        Ok(answer.completed())
    }

    fn props(&self) -> Result<Props, ServerError> {
        let answer = self.agent.get(self.at("/props")).call();
        self.read("/props", answer).map_err(|error| match error {
            ServerError::Answer { url, message, .. } => {
                ServerError::NotLlamaServer { url, message }
            }
            ServerError::Refused {
                url,
                status,
                message,
                ..
            } => ServerError::NotLlamaServer {
                url,
                message: format!("/props has status {status}: {message}"),
            },
            error => error,
        })
    }

    fn post<T: DeserializeOwned>(
        &self,
        path: &'static str,
        request: &impl Serialize,
    ) -> Result<T, ServerError> {
        self.read(path, self.agent.post(self.at(path)).send_json(request))
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    fn read<T: DeserializeOwned>(
        &self,
        path: &'static str,
        answer: Result<Response<Body>, ureq::Error>,
    ) -> Result<T, ServerError> {
        let mut answer = answer.map_err(|error| self.failed(path, error))?;
        let status = answer.status();
        let body = answer.body_mut().with_config().limit(ANSWER).read_to_vec();
        let body = body.map_err(|error| self.failed(path, error))?;
        let url = self.url.clone();
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|error| ServerError::Answer {
                url,
                path,
                message: error.to_string(),
            });
        }
        match status.as_u16() {
            503 => Err(ServerError::Loading { url }),
            status => Err(ServerError::Refused {
                url,
                path,
                status,
                message: refusal(&body),
            }),
        }
    }

    fn failed(&self, path: &'static str, error: ureq::Error) -> ServerError {
        let (url, message) = (self.url.clone(), error.to_string());
        match error {
            ureq::Error::Timeout(ureq::Timeout::Connect)
            | ureq::Error::Io(_)
            | ureq::Error::ConnectionFailed
            | ureq::Error::HostNotFound => ServerError::Unreachable { url, message },
            ureq::Error::Timeout(_) => ServerError::TimedOut {
                url,
                path,
                timeout: self.timeout,
            },
            ureq::Error::BadUri(_) | ureq::Error::Http(_) => ServerError::Address { url, message },
            ureq::Error::Protocol(_) => ServerError::NotLlamaServer { url, message },
            _ => ServerError::Answer { url, path, message },
        }
    }
}

/// What a server said with its refusal: llama-server sends a message in JSON.
fn refusal(body: &[u8]) -> String {
    let message = serde_json::from_slice(body).ok();
    let message = message.and_then(|body: Value| Some(body["error"]["message"].as_str()?.into()));
    message.unwrap_or_else(|| "it gave no reason".into())
}

#[derive(Deserialize)]
struct Props {
    model_path: String,
    build_info: String,
}

#[derive(Deserialize)]
struct Tokens {
    tokens: Vec<u32>,
}

#[derive(Deserialize)]
struct Text {
    content: String,
}

#[derive(Deserialize)]
struct Answer {
    tokens: Vec<u32>,
    truncated: bool,
    timings: Timings,
    generation_settings: Settings,
    #[serde(default)]
    completion_probabilities: Vec<Step>,
}

#[derive(Deserialize)]
struct Timings {
    draft_n: Option<usize>,
    draft_n_accepted: Option<usize>,
}

#[derive(Deserialize)]
struct Settings {
    logit_bias: Vec<Bias>,
}

#[derive(Deserialize)]
struct Bias {
    token: u32,
    /// Minus infinity is written as null.
    bias: Option<f32>,
}

#[derive(Deserialize)]
struct Step {
    id: u32,
    top_logprobs: Vec<Probability>,
}

#[derive(Deserialize)]
struct Probability {
    id: u32,
    logprob: f32,
}

impl Answer {
    fn completed(self) -> Completed {
        let biases = self.generation_settings.logit_bias.iter();
        let excluded: Vec<u32> = biases
            .filter(|bias| bias.bias.is_none())
            .map(|bias| bias.token)
            .collect();
        let best = |step: Step| {
            let kept = step.top_logprobs.into_iter();
            let kept = kept.filter(|best| !excluded.contains(&best.id));
            kept.map(|best| (best.id, best.logprob)).collect()
        };
        let steps = self.completion_probabilities.into_iter();
        let in_step = steps
            .zip(&self.tokens)
            .take_while(|(step, id)| step.id == **id);
        Completed {
            best: in_step.map(|(step, _)| best(step)).collect(),
            drafts: self.timings.draft_n.zip(self.timings.draft_n_accepted),
            ids: self.tokens,
            truncated: self.truncated,
        }
    }
}
