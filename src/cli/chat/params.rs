//! How answers are made, as it can be changed in between.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sharpi_compile::generate::SamplerOptions;
use sharpi_ir::plain::Plain;

use crate::cli::failure::Failure;
use crate::cli::sampling::draw_seed;

/// Parameters by the names of the command line's options. -1 stands for what it stands for there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Params {
    temp: f32,
    top_k: usize,
    top_p: f32,
    min_p: f32,
    seed: i64,
    repeat_penalty: f32,
    repeat_last_n: i64,
    presence_penalty: f32,
    frequency_penalty: f32,
    n_predict: i64,
    think: Think,
}

/// Whether the model thinks before it answers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Think {
    /// As its template has it.
    Auto,
    On,
    Off,
}

/// What a parameter may be, and what it means.
struct Rule {
    name: &'static str,
    expected: &'static str,
    holds: fn(&Params) -> bool,
    means: &'static str,
}

const fn rule(
    name: &'static str,
    expected: &'static str,
    holds: fn(&Params) -> bool,
    means: &'static str,
) -> Rule {
    Rule {
        name,
        expected,
        holds,
        means,
    }
}

const RULES: [Rule; 11] = [
    rule(
        "temp",
        "0 or more",
        |p| p.temp >= 0.0,
        "temperature; 0 always takes the most likely token",
    ),
    rule(
        "top_k",
        "a whole number, 0 or more",
        |_| true,
        "draw among so many most likely tokens; 0 among all",
    ),
    rule(
        "top_p",
        "0 to 1",
        |p| (0.0..=1.0).contains(&p.top_p),
        "draw among the fewest tokens of this probability together",
    ),
    rule(
        "min_p",
        "0 to 1",
        |p| (0.0..=1.0).contains(&p.min_p),
        "drop tokens less likely than this fraction of the best",
    ),
    rule(
        "seed",
        "a whole number, -1 or more",
        |p| p.seed >= -1,
        "of the random numbers; -1 draws one for each answer",
    ),
    rule(
        "repeat_penalty",
        "above 0",
        |p| p.repeat_penalty > 0.0,
        "makes recent tokens less likely; 1 leaves them alone",
    ),
    rule(
        "repeat_last_n",
        "a whole number, -1 or more",
        |p| p.repeat_last_n >= -1,
        "how many tokens are recent; -1 all",
    ),
    rule(
        "presence_penalty",
        "a number",
        |_| true,
        "taken from the logit of each recent token",
    ),
    rule(
        "frequency_penalty",
        "a number",
        |_| true,
        "the same, as often as it occurs",
    ),
    rule(
        "n_predict",
        "a whole number, -1 or more",
        |p| p.n_predict >= -1,
        "most tokens of an answer; -1 as many as there is room for",
    ),
    rule(
        "think",
        "on, off or auto",
        |_| true,
        "whether the model thinks first; auto as its template has it",
    ),
];

impl Params {
    /// Those of the command line. Without a seed each answer draws one.
    pub(super) fn new(
        sampler: &SamplerOptions,
        seed: Option<u64>,
        n_predict: i64,
        think: Option<bool>,
    ) -> Params {
        Params {
            temp: sampler.temp,
            top_k: sampler.top_k,
            top_p: sampler.top_p,
            min_p: sampler.min_p,
            seed: seed.and_then(|seed| i64::try_from(seed).ok()).unwrap_or(-1),
            repeat_penalty: sampler.repeat_penalty,
            repeat_last_n: i64::try_from(sampler.repeat_last_n).unwrap_or(-1),
            presence_penalty: sampler.presence_penalty,
            frequency_penalty: sampler.frequency_penalty,
            n_predict,
            think: match think {
                None => Think::Auto,
                Some(true) => Think::On,
                Some(false) => Think::Off,
            },
        }
    }

    /// Options of a sampler, with a seed of its own where none is set.
    pub(super) fn sampler(&self) -> SamplerOptions {
        SamplerOptions::default()
            .temp(self.temp)
            .top_k(self.top_k)
            .top_p(self.top_p)
            .min_p(self.min_p)
            .seed(u64::try_from(self.seed).unwrap_or_else(|_| draw_seed()))
            .repeat_penalty(self.repeat_penalty)
            .repeat_last_n(usize::try_from(self.repeat_last_n).unwrap_or(usize::MAX))
            .presence_penalty(self.presence_penalty)
            .frequency_penalty(self.frequency_penalty)
    }

    /// Most tokens of an answer, if there is a bound.
    pub(super) fn max_tokens(&self) -> Option<usize> {
        usize::try_from(self.n_predict).ok()
    }

    /// Whether the model is to think, if the template does not decide.
    pub(super) fn think(&self) -> Option<bool> {
        match self.think {
            Think::Auto => None,
            Think::On => Some(true),
            Think::Off => Some(false),
        }
    }

    /// The first parameter that is out of its range, and what is expected.
    pub(super) fn fault(&self) -> Option<(&'static str, &'static str)> {
        let floats = [
            ("temp", self.temp),
            ("repeat_penalty", self.repeat_penalty),
            ("presence_penalty", self.presence_penalty),
            ("frequency_penalty", self.frequency_penalty),
        ];
        let endless = floats.iter().find(|(_, x)| !x.is_finite());
        let endless = endless.map(|(name, _)| (*name, "a finite number"));
        let wrong = RULES.iter().find(|rule| !(rule.holds)(self));
        endless.or(wrong.map(|rule| (rule.name, rule.expected)))
    }

    /// All of them, or the one that is named: a line each.
    pub(super) fn shown(&self, name: Option<&str>) -> Result<String, Failure> {
        let only = name.map(find).transpose()?;
        let values = self.values();
        let rules = RULES.iter();
        let rules = rules.filter(|rule| only.is_none_or(|only| only.name == rule.name));
        let lines = rules.map(|rule| {
            let value = match &values[rule.name] {
                Value::String(word) => word.clone(),
                value => value.to_string(),
            };
            format!("{:18} {value:6}  {}", rule.name, rule.means)
        });
        Ok(lines.collect::<Vec<_>>().join("\n"))
    }

    /// Changes one.
    ///
    /// # Errors
    /// A name that there is not, with the nearest; a value that it cannot have.
    pub(super) fn set(&mut self, name: &str, value: &str) -> Result<(), Failure> {
        let rule = find(name)?;
        let read = serde_json::from_str(value);
        let read = read.unwrap_or_else(|_| Value::String(value.into()));
        let mut values = self.values();
        values.insert(rule.name.into(), read);
        // As text, so that numbers are rounded once.
        let changed = serde_json::from_str(&Value::Object(values).to_string());
        match changed {
            Ok(changed) if Params::fault(&changed).is_none() => {
                *self = changed;
                Ok(())
            }
            _ => Err(Failure::usage(
                format!(
                    "{} cannot be `{}`, expected {}",
                    rule.name,
                    Plain(value),
                    rule.expected
                ),
                format!("{}: {}", rule.name, rule.means),
            )),
        }
    }

    fn values(&self) -> Map<String, Value> {
        // As text, in which an f32 has its own few digits.
        let text = serde_json::to_string(self).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }
}

fn find(name: &str) -> Result<&'static Rule, Failure> {
    let meant = name.trim_start_matches('-').replace('-', "_");
    RULES.iter().find(|rule| rule.name == meant).ok_or_else(|| {
        let alike = |rule: &&Rule| strsim::damerau_levenshtein(rule.name, &meant);
        let nearest = RULES
            .iter()
            .min_by_key(alike)
            .filter(|rule| alike(rule) <= 2);
        let nearest = nearest.map_or(String::new(), |rule| {
            format!("`{}` is the nearest; ", rule.name)
        });
        Failure::usage(
            format!("there is no parameter {}", Plain(name)),
            format!("{nearest}/params lists them"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params() -> Params {
        Params::new(&SamplerOptions::default().temp(0.8), Some(7), -1, None)
    }

    #[test]
    fn each_parameter_has_a_rule_and_is_shown_with_its_own_digits() {
        let shown = params().shown(None).unwrap_or_default();
        let names: Vec<&str> = RULES.iter().map(|rule| rule.name).collect();
        assert_eq!(params().values().len(), names.len());
        for name in names {
            assert!(params().values().contains_key(name), "{name}");
            assert!(shown.contains(&format!("{name} ")), "{shown}");
        }
        assert!(shown.contains("temp               0.8     "), "{shown}");
    }

    #[test]
    fn values_are_set_within_their_ranges_alone() {
        let mut p = params();
        for (name, value) in [
            ("temp", "0.1"),
            ("top-k", "3"),
            ("think", "off"),
            ("seed", "-1"),
        ] {
            assert!(p.set(name, value).is_ok(), "{name}");
        }
        assert_eq!((p.temp, p.top_k, p.think()), (0.1, 3, Some(false)));
        let before = p.clone();
        for (name, value) in [
            ("temp", "-1"),
            ("temp", "1e300"),
            ("temp", "warm"),
            ("top_k", "1.5"),
            ("top_p", "2"),
            ("seed", "-2"),
            ("think", "maybe"),
            ("tmep", "1"),
        ] {
            assert!(p.set(name, value).is_err(), "{name} {value}");
        }
        assert_eq!(p, before);
    }
}
