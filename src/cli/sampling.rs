//! How tokens are chosen.

use sharpi_compile::generate::SamplerOptions;

#[derive(clap::Args)]
#[command(next_help_heading = "Sampling (llama.cpp's defaults, once --temp is above 0)")]
pub(super) struct SamplingArgs {
    /// Temperature; 0 always takes the most likely token
    #[arg(long, value_name = "F", default_value_t = 0.0, allow_negative_numbers = true, value_parser = number(|x| x >= 0.0, "0 or more"))]
    temp: f32,
    /// Draw among the N most likely tokens; 0 among all
    #[arg(long, value_name = "N", default_value_t = 40)]
    top_k: usize,
    /// Draw among the fewest tokens that have this probability together; 1 among all
    #[arg(long, value_name = "F", default_value_t = 0.95, allow_negative_numbers = true, value_parser = number(|x| (0.0..=1.0).contains(&x), "0 to 1"))]
    top_p: f32,
    /// Drop tokens less likely than this fraction of the most likely one; 0 drops none
    #[arg(long, value_name = "F", default_value_t = 0.05, allow_negative_numbers = true, value_parser = number(|x| (0.0..=1.0).contains(&x), "0 to 1"))]
    min_p: f32,
    /// Seed of the random numbers; -1 draws one
    #[arg(short, long, value_name = "SEED", default_value_t = -1, allow_negative_numbers = true, value_parser = clap::value_parser!(i64).range(-1..))]
    seed: i64,
    /// Makes the tokens of the last 64 less likely; 1 leaves them alone
    #[arg(long, value_name = "F", default_value_t = 1.0, allow_negative_numbers = true, value_parser = number(|x| x > 0.0, "above 0"))]
    repeat_penalty: f32,
}

impl SamplingArgs {
    pub(super) fn options(&self) -> SamplerOptions {
        SamplerOptions {
            temp: self.temp,
            top_k: self.top_k,
            top_p: self.top_p,
            min_p: self.min_p,
            seed: u64::try_from(self.seed).unwrap_or_else(|_| rand::random()),
            repeat_penalty: self.repeat_penalty,
            ..SamplerOptions::default()
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
