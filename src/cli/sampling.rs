//! How tokens are chosen.

use sharpi_compile::generate::SamplerOptions;

use super::notice;

#[derive(clap::Args)]
pub(super) struct SamplingArgs {
    /// Temperature; 0 always takes the most likely token [default: 0, of `chat` the file's own or 0.8]
    #[arg(long, value_name = "F", allow_negative_numbers = true, value_parser = number(|x| x >= 0.0, "0 or more"))]
    temp: Option<f32>,
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
    /// Makes recent tokens less likely, without --temp too; 1 leaves them alone [default: 1]
    #[arg(long, value_name = "F", allow_negative_numbers = true, value_parser = number(|x| x > 0.0, "above 0"))]
    repeat_penalty: Option<f32>,
    /// How many tokens are recent; -1 all, 0 none [default: 64]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(i64).range(-1..))]
    repeat_last_n: Option<i64>,
}

impl SamplingArgs {
    /// Options of a sampler, those of `defaults` where the command line does not say; draws a seed
    /// where none is given, and warns of what has no effect.
    pub(super) fn options(&self, defaults: SamplerOptions) -> SamplerOptions {
        let recent = |n| usize::try_from(n).unwrap_or(usize::MAX);
        let options = SamplerOptions::default()
            .temp(self.temp.unwrap_or(defaults.temp))
            .top_k(self.top_k.unwrap_or(defaults.top_k))
            .top_p(self.top_p.unwrap_or(defaults.top_p))
            .min_p(self.min_p.unwrap_or(defaults.min_p))
            .seed(self.seed().unwrap_or_else(draw_seed))
            .repeat_penalty(self.repeat_penalty.unwrap_or(defaults.repeat_penalty))
            .repeat_last_n(self.repeat_last_n.map_or(defaults.repeat_last_n, recent));
        self.warn_of_idle(&options);
        options
    }

    /// The seed, if one is given.
    pub(super) fn seed(&self) -> Option<u64> {
        self.seed.and_then(|seed| u64::try_from(seed).ok())
    }

    fn warn_of_idle(&self, options: &SamplerOptions) {
        let draws = [
            ("--top-k", self.top_k.is_some()),
            ("--top-p", self.top_p.is_some()),
            ("--min-p", self.min_p.is_some()),
            ("--seed", self.seed.is_some()),
        ];
        if options.temp == 0.0 {
            notice::idle_without(
                &draws,
                "without --temp above 0: the most likely token is taken",
            );
        }
        if options.repeat_penalty == 1.0 {
            let recent = [("--repeat-last-n", self.repeat_last_n.is_some())];
            notice::idle_without(&recent, "without --repeat-penalty");
        }
    }
}

/// A seed that is short enough to be typed again.
pub(super) fn draw_seed() -> u64 {
    rand::random::<u32>().into()
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
