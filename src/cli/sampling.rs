//! How tokens are chosen.

use sharpi_compile::generate::SamplerOptions;

use super::notice;

#[derive(clap::Args)]
pub(super) struct SamplingArgs {
    /// Temperature; 0 always takes the most likely token
    #[arg(long, value_name = "F", default_value_t = 0.0, allow_negative_numbers = true, value_parser = number(|x| x >= 0.0, "0 or more"))]
    temp: f32,
    /// Draw among the N most likely tokens; 0 among all [default: 40]
    #[arg(long, value_name = "N")]
    top_k: Option<usize>,
    /// Draw among the fewest tokens that have this probability together; 1 among all
    /// [default: 0.95]
    #[arg(long, value_name = "F", allow_negative_numbers = true, value_parser = number(|x| (0.0..=1.0).contains(&x), "0 to 1"))]
    top_p: Option<f32>,
    /// Drop tokens less likely than this fraction of the most likely one; 0 drops none
    /// [default: 0.05]
    #[arg(long, value_name = "F", allow_negative_numbers = true, value_parser = number(|x| (0.0..=1.0).contains(&x), "0 to 1"))]
    min_p: Option<f32>,
    /// Seed of the random numbers; -1 draws one [default: -1]
    #[arg(short, long, value_name = "SEED", allow_negative_numbers = true, value_parser = clap::value_parser!(i64).range(-1..))]
    seed: Option<i64>,
    /// Makes recent tokens less likely, without --temp too; 1 leaves them alone
    #[arg(long, value_name = "F", default_value_t = 1.0, allow_negative_numbers = true, value_parser = number(|x| x > 0.0, "above 0"))]
    repeat_penalty: f32,
    /// How many tokens are recent; -1 all, 0 none [default: 64]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(i64).range(-1..))]
    repeat_last_n: Option<i64>,
}

impl SamplingArgs {
    /// Options of a sampler; draws a seed where none is given, and warns of what has no effect.
    pub(super) fn options(&self) -> SamplerOptions {
        self.warn_of_idle();
        let defaults = SamplerOptions::default();
        let recent = |n| usize::try_from(n).unwrap_or(usize::MAX);
        SamplerOptions::default()
            .temp(self.temp)
            .top_k(self.top_k.unwrap_or(defaults.top_k))
            .top_p(self.top_p.unwrap_or(defaults.top_p))
            .min_p(self.min_p.unwrap_or(defaults.min_p))
            // A short one can be typed again.
            .seed(
                (self.seed.and_then(|seed| u64::try_from(seed).ok()))
                    .unwrap_or_else(|| rand::random::<u32>().into()),
            )
            .repeat_penalty(self.repeat_penalty)
            .repeat_last_n(self.repeat_last_n.map_or(defaults.repeat_last_n, recent))
    }

    fn warn_of_idle(&self) {
        let draws = [
            ("--top-k", self.top_k.is_some()),
            ("--top-p", self.top_p.is_some()),
            ("--min-p", self.min_p.is_some()),
            ("--seed", self.seed.is_some()),
        ];
        if self.temp == 0.0 {
            notice::idle_without(
                &draws,
                "without --temp above 0: the most likely token is taken",
            );
        }
        if self.repeat_penalty == 1.0 {
            let recent = [("--repeat-last-n", self.repeat_last_n.is_some())];
            notice::idle_without(&recent, "without --repeat-penalty");
        }
    }
}

/// A parser of finite numbers for which `accepts` holds.
fn number(
    accepts: fn(f32) -> bool,
    expected: &'static str,
) -> impl Fn(&str) -> Result<f32, String> + Clone {
    move |text| match text.parse() {
        Ok(x) if f32::is_finite(x) && accepts(x) => Ok(x),
        _ => Err(format!("expected a number, {expected}")),
    }
}
