//! Options as a receipt writes them: all of them, each number exactly.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::sampling::SamplerOptions;

/// The fields of [`SamplerOptions`].
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    temp: Number,
    top_k: usize,
    top_p: Number,
    min_p: Number,
    seed: u64,
    repeat_penalty: Number,
    repeat_last_n: usize,
    presence_penalty: Number,
    frequency_penalty: Number,
    logit_bias: Vec<(u32, Number)>,
}

/// JSON has no infinite numbers, and biases are.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(untagged)]
enum Number {
    Finite(f32),
    Other(Infinite),
}

#[derive(Clone, Copy, Serialize, Deserialize)]
enum Infinite {
    #[serde(rename = "inf")]
    Plus,
    #[serde(rename = "-inf")]
    Minus,
    #[serde(rename = "nan")]
    Nan,
}

impl From<f32> for Number {
    fn from(number: f32) -> Number {
        match number {
            f32::INFINITY => Number::Other(Infinite::Plus),
            f32::NEG_INFINITY => Number::Other(Infinite::Minus),
            _ if number.is_nan() => Number::Other(Infinite::Nan),
            _ => Number::Finite(number),
        }
    }
}

impl From<Number> for f32 {
    fn from(number: Number) -> f32 {
        match number {
            Number::Finite(number) => number,
            Number::Other(Infinite::Plus) => f32::INFINITY,
            Number::Other(Infinite::Minus) => f32::NEG_INFINITY,
            Number::Other(Infinite::Nan) => f32::NAN,
        }
    }
}

pub(super) mod sampler {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(
        options: &SamplerOptions,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        // Named one by one, so that none is forgotten that comes to be.
        let SamplerOptions {
            temp,
            top_k,
            top_p,
            min_p,
            seed,
            repeat_penalty,
            repeat_last_n,
            presence_penalty,
            frequency_penalty,
            ref logit_bias,
        } = *options;
        let bias = logit_bias.iter().map(|(id, bias)| (*id, (*bias).into()));
        let written = Written {
            temp: temp.into(),
            top_k,
            top_p: top_p.into(),
            min_p: min_p.into(),
            seed,
            repeat_penalty: repeat_penalty.into(),
            repeat_last_n,
            presence_penalty: presence_penalty.into(),
            frequency_penalty: frequency_penalty.into(),
            logit_bias: bias.collect(),
        };
        written.serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<SamplerOptions, D::Error> {
        let written = Written::deserialize(from)?;
        let bias = written.logit_bias.into_iter();
        Ok(SamplerOptions {
            temp: written.temp.into(),
            top_k: written.top_k,
            top_p: written.top_p.into(),
            min_p: written.min_p.into(),
            seed: written.seed,
            repeat_penalty: written.repeat_penalty.into(),
            repeat_last_n: written.repeat_last_n,
            presence_penalty: written.presence_penalty.into(),
            frequency_penalty: written.frequency_penalty.into(),
            logit_bias: bias.map(|(id, bias)| (id, bias.into())).collect(),
        })
    }
}
