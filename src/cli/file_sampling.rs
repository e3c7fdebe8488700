//! How the file of a model wants tokens to be chosen.

use sharpi_compile::Model;
use sharpi_compile::generate::SamplerOptions;
use sharpi_compile::gguf::Value;

use super::notice;

/// As llama-server has it where the file says nothing.
const TEMPERATURE: f32 = 0.8;
/// Where the options stand in the file.
const PREFIX: &str = "general.sampling.";
/// What is not done, with what it does nothing at.
const UNKNOWN: [(&str, f64); 2] = [("xtc_probability", 0.0), ("mirostat", 0.0)];

/// The options that the file names, and llama-server's for all others. A value that cannot be is told
/// and left out.
pub(super) fn sampler(model: &Model) -> SamplerOptions {
    type Accepts = fn(f64) -> bool;
    let value = |name: &str| model.gguf().get(&format!("{PREFIX}{name}"));
    let number = |name: &str, accepts: Accepts| {
        let value = value(name)?;
        let number = value.as_f64().or_else(|| Some(value.as_i64()? as f64));
        let number = number.filter(|x| x.is_finite() && accepts(*x));
        if number.is_none() {
            notice::warn(format_args!(
                "{PREFIX}{name} of the file cannot be, and is left out"
            ));
        }
        number
    };
    let part = |x: f64| (0.0..=1.0).contains(&x);
    let mut options = SamplerOptions::default().temp(TEMPERATURE);
    let numbers: [(&str, Accepts, &mut f32); 4] = [
        ("temp", |x| x >= 0.0, &mut options.temp),
        ("top_p", part, &mut options.top_p),
        ("min_p", part, &mut options.min_p),
        ("penalty_repeat", |x| x > 0.0, &mut options.repeat_penalty),
    ];
    for (name, accepts, to) in numbers {
        if let Some(x) = number(name, accepts) {
            *to = x as f32;
        }
    }
    if let Some(k) = number("top_k", |x| x.fract() == 0.0) {
        options.top_k = k.max(0.0) as usize;
    }
    if let Some(n) = number("penalty_last_n", |x| x.fract() == 0.0 && x >= -1.0) {
        options.repeat_last_n = if n < 0.0 { usize::MAX } else { n as usize };
    }
    for (name, idle) in UNKNOWN {
        if number(name, |_| true).is_some_and(|x| x != idle) {
            not_done(name);
        }
    }
    if let Some(Value::Str(_)) = value("sequence") {
        not_done("sequence");
    }
    options
}

fn not_done(name: &str) {
    notice::warn(format_args!(
        "the file asks for {PREFIX}{name}, which is not done here: tokens are chosen without it"
    ));
}
