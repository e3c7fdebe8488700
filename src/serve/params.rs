//! How an answer is to be made, in the names that the APIs share.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::app::App;
use super::error::ApiError;
use crate::drafting::DraftOptions;
use crate::engine::{GenerateOptions, Request, StopReason};

/// Most best tokens that come with each.
const MOST_TOP: usize = 100;
/// Most choices of one request.
const MOST_CHOICES: usize = 16;

/// One or several.
#[derive(Deserialize, Serialize, Clone, Debug, ToSchema)]
#[serde(untagged)]
pub(super) enum OneOrMore<T> {
    One(T),
    More(Vec<T>),
}

impl<T> OneOrMore<T> {
    pub(super) fn into_vec(self) -> Vec<T> {
        match self {
            OneOrMore::One(one) => vec![one],
            OneOrMore::More(more) => more,
        }
    }
}

#[derive(Deserialize, Serialize, Default, Clone, Debug, ToSchema)]
pub(super) struct StreamOptions {
    #[serde(default)]
    pub(super) include_usage: bool,
}

/// Fields that are the same in every API. What is not among them and changes what comes out, is
/// refused.
#[derive(Deserialize, Default, Clone, Debug, ToSchema)]
#[serde(default)]
pub(super) struct Params {
    temperature: Option<f32>,
    top_k: Option<i64>,
    top_p: Option<f32>,
    min_p: Option<f32>,
    repeat_penalty: Option<f32>,
    repeat_last_n: Option<i64>,
    presence_penalty: Option<f32>,
    frequency_penalty: Option<f32>,
    seed: Option<i64>,
    logit_bias: Option<Value>,
    #[serde(alias = "max_completion_tokens", alias = "n_predict")]
    max_tokens: Option<i64>,
    #[serde(alias = "stop_sequences")]
    stop: Option<OneOrMore<String>>,
    pub(super) ignore_eos: bool,
    pub(super) n: Option<usize>,
    pub(super) stream: bool,
    pub(super) stream_options: StreamOptions,
    logprobs: Option<Value>,
    top_logprobs: Option<usize>,
    n_probs: Option<usize>,
    cache_prompt: Option<bool>,
    /// Whether the answer comes with what proves it afterwards.
    pub(super) receipt: bool,
    #[serde(rename = "speculative.n_max")]
    draft: Option<usize>,
    #[serde(flatten)]
    #[schema(ignore)]
    pub(super) rest: Map<String, Value>,
}

/// What is not done, with the value at which it does nothing.
const REFUSED: &[(&str, &[f64])] = &[
    ("mirostat", &[0.0]),
    ("typical_p", &[1.0]),
    ("dynatemp_range", &[0.0]),
    ("dry_multiplier", &[0.0]),
    ("xtc_probability", &[0.0]),
    ("top_n_sigma", &[-1.0, 0.0]),
    ("best_of", &[1.0]),
    ("n_keep", &[0.0, -1.0]),
    ("n_discard", &[0.0]),
    ("min_keep", &[0.0]),
    ("echo", &[0.0]),
    ("suffix", &[]),
    ("grammar_lazy", &[0.0]),
    ("grammar_triggers", &[]),
    ("lora", &[]),
    ("samplers", &[]),
    ("image_data", &[]),
];

impl Params {
    /// Whether the best tokens are to be told, and how many.
    pub(super) fn top(&self) -> Option<usize> {
        let wanted = match &self.logprobs {
            Some(Value::Bool(wanted)) => wanted.then(|| self.top_logprobs.unwrap_or(0)),
            Some(value) => value.as_u64().map(|n| n as usize),
            None => self.n_probs.filter(|n| *n > 0),
        };
        wanted.map(|n| n.min(MOST_TOP))
    }

    /// The string that has ended a text, if one has.
    pub(super) fn stopped_by(&self, reason: StopReason) -> Option<String> {
        let stops = self.stop.clone().map_or(Vec::new(), OneOrMore::into_vec);
        match reason {
            StopReason::StopString(i) => stops.into_iter().nth(i),
            _ => None,
        }
    }

    pub(super) fn choices(&self) -> Result<usize, ApiError> {
        match self.n.unwrap_or(1) {
            n @ 1..=MOST_CHOICES => Ok(n),
            n => Err(ApiError::invalid(format!(
                "n is {n}, expected 1 to {MOST_CHOICES}"
            ))),
        }
    }

    /// What would change the answer and is not done.
    fn refuse(&self) -> Result<(), ApiError> {
        if let Some(value) = &self.logprobs
            && !(value.is_null() || value.is_boolean() || value.is_u64())
        {
            return Err(ApiError::invalid(
                "`logprobs` is neither true or false nor a number of tokens",
            ));
        }
        for (name, nothing) in REFUSED {
            let value = self.rest.get(*name);
            let idle = match value {
                None | Some(Value::Null | Value::Bool(false)) => true,
                Some(Value::Number(n)) => n.as_f64().is_some_and(|n| nothing.contains(&n)),
                Some(Value::String(text)) => text.is_empty(),
                Some(Value::Array(list)) => list.is_empty(),
                Some(_) => false,
            };
            if !idle {
                return Err(ApiError::unsupported(format!(
                    "`{name}` is not supported; leave it away"
                )));
            }
        }
        Ok(())
    }

    /// A request for the engine. `choice` is the number of the choice, each of which has a seed of
    /// its own.
    pub(super) fn request(
        &self,
        app: &App,
        prompt: Vec<u32>,
        choice: usize,
    ) -> Result<Request, ApiError> {
        self.refuse()?;
        let mut sampler = app.options.sampler.clone();
        let set = |to: &mut f32, name: &str, value: Option<f32>, least: f32| match value {
            Some(value) if value.is_nan() || value < least => Err(ApiError::invalid(format!(
                "{name} is {value}, expected {least} or more"
            ))),
            Some(value) => {
                *to = value;
                Ok(())
            }
            None => Ok(()),
        };
        set(&mut sampler.temp, "temperature", self.temperature, 0.0)?;
        set(&mut sampler.top_p, "top_p", self.top_p, 0.0)?;
        set(&mut sampler.min_p, "min_p", self.min_p, 0.0)?;
        set(
            &mut sampler.repeat_penalty,
            "repeat_penalty",
            self.repeat_penalty,
            f32::MIN_POSITIVE,
        )?;
        set(
            &mut sampler.presence_penalty,
            "presence_penalty",
            self.presence_penalty,
            f32::MIN,
        )?;
        set(
            &mut sampler.frequency_penalty,
            "frequency_penalty",
            self.frequency_penalty,
            f32::MIN,
        )?;
        if let Some(k) = self.top_k {
            sampler.top_k = usize::try_from(k).unwrap_or(0);
        }
        if let Some(n) = self.repeat_last_n {
            sampler.repeat_last_n = usize::try_from(n).unwrap_or(usize::MAX);
        }
        if let Some(bias) = &self.logit_bias {
            sampler.logit_bias = biases(app, bias)?;
        }
        let seed = self.seed.and_then(|seed| u64::try_from(seed).ok());
        sampler.seed = seed
            .unwrap_or_else(rand::random)
            .wrapping_add(choice as u64);
        let max_tokens = match self.max_tokens {
            None => app.options.max_tokens,
            Some(n) => usize::try_from(n).ok(),
        };
        let options = GenerateOptions::default()
            .max_tokens(max_tokens)
            .end_of_text(app.tokenizer.end_of_text_ids().to_vec())
            .ignore_eos(self.ignore_eos)
            // The chosen one's probability comes with at least one best.
            .logits_top(self.top().map_or(0, |n| n.max(1)));
        let stop = self.stop.clone().map_or(Vec::new(), OneOrMore::into_vec);
        let draft = match self.draft {
            None => app.options.draft,
            Some(0) => None,
            Some(n_max) => Some(DraftOptions::default().n_max(n_max)),
        };
        Ok(Request::default()
            .prompt(prompt)
            .options(options)
            .sampler(sampler)
            .stop(stop)
            .draft(draft.filter(|_| app.engine.can_draft()))
            .remember(self.cache_prompt.unwrap_or(true)))
    }
}

/// Biases as OpenAI writes them, `{"15": -100}`, or as llama-server does, `[[15, -100], ["no", false]]`.
fn biases(app: &App, bias: &Value) -> Result<Vec<(u32, f32)>, ApiError> {
    let fault =
        || ApiError::invalid("logit_bias is neither {\"ID\": BIAS} nor [[ID or TEXT, BIAS]]");
    let number = |value: &Value| match value {
        Value::Bool(false) => Some(f32::NEG_INFINITY),
        value => value.as_f64().map(|x| x as f32),
    };
    let ids = |key: &Value| match key {
        Value::Number(id) => id
            .as_u64()
            .and_then(|id| Some(vec![u32::try_from(id).ok()?])),
        Value::String(text) => match text.parse() {
            Ok(id) => Some(vec![id]),
            Err(_) => Some(app.tokenizer.encode(text, true)),
        },
        _ => None,
    };
    let mut all = Vec::new();
    let mut add = |key: &Value, value: &Value| {
        let (ids, bias) = ids(key).zip(number(value)).ok_or_else(fault)?;
        all.extend(ids.into_iter().map(|id| (id, bias)));
        Ok::<(), ApiError>(())
    };
    match bias {
        Value::Null => {}
        Value::Object(map) => {
            for (key, value) in map {
                add(&Value::String(key.clone()), value)?;
            }
        }
        Value::Array(pairs) => {
            for pair in pairs {
                match pair.as_array().map(Vec::as_slice) {
                    Some([key, value]) => add(key, value)?,
                    _ => return Err(fault()),
                }
            }
        }
        _ => return Err(fault()),
    }
    Ok(all)
}
