//! What was counted, for people: llama-perplexity's lines and digits, so that the two can be laid
//! side by side.

use std::io::Write;

use sharpi_compile::perplexity::{Chunks, Divergence, quantile};
use sharpi_compile::tokenizer::Tokenizer;

use super::count::Count;
use super::json::Largest;
use crate::cli::failure::Failure;

const HEAD: &str = "chunk             PPL               ln(PPL(Q)/PPL(base))          KL Divergence              Δp RMS            Same top p";

/// Parts of the positions whose quantiles are told, from the largest divergence down.
pub(super) const PARTS: [f64; 11] = [
    1.0, 0.999, 0.99, 0.95, 0.9, 0.5, 0.1, 0.05, 0.01, 0.001, 0.0,
];
/// Those of the changes of probability.
const GAINED_PARTS: [f64; 13] = [
    1.0, 0.999, 0.99, 0.95, 0.9, 0.75, 0.5, 0.25, 0.1, 0.05, 0.01, 0.001, 0.0,
];

/// What is known after a chunk.
pub(super) fn chunk(count: &Count, chunk: usize, out: &mut impl Write) -> Result<(), Failure> {
    let after = count.after()[chunk];
    let (value, error) = after.perplexity;
    let Some(apart) = after.divergence else {
        return Ok(write!(out, "[{}]{value:.4},", chunk + 1)?);
    };
    if chunk == 0 {
        writeln!(out, "{HEAD}")?;
    }
    let ((ratio, ratio_error), (kl, kl_error)) = (apart.log_ratio, apart.kl);
    write!(out, "{:4}    {value:9.4} ± {error:9.4}", chunk + 1)?;
    write!(out, "    {ratio:10.5} ± {ratio_error:10.5}")?;
    write!(out, "    {kl:10.5} ± {kl_error:10.5}")?;
    for (part, error) in [apart.gained_rms, apart.same_best] {
        write!(out, "    {:6.3} ± {:6.3} %", 100.0 * part, 100.0 * error)?;
    }
    Ok(writeln!(out)?)
}

/// What is known in the end.
pub(super) fn summary(
    count: &Count,
    chunks: &Chunks,
    tokenizer: &Tokenizer,
    out: &mut impl Write,
) -> Result<(), Failure> {
    if count.chunks() == 0 {
        return Ok(());
    }
    let Some(divergence) = count.divergence() else {
        let (value, error) = (count.value(), count.perplexity().error());
        writeln!(out)?;
        return Ok(writeln!(
            out,
            "Final estimate: PPL = {value:.4} +/- {error:.5}"
        )?);
    };
    perplexities(divergence, out)?;
    divergences(divergence, out)?;
    probabilities(divergence, out)?;
    match Largest::of(divergence, chunks, tokenizer) {
        Some(largest) => write_largest(&largest, out),
        None => Ok(()),
    }
}

fn perplexities(divergence: &Divergence, out: &mut impl Write) -> Result<(), Failure> {
    let (own, base) = divergence.perplexities();
    let (ratio, ratio_error) = divergence.log_ratio();
    writeln!(out, "\n====== Perplexity statistics ======")?;
    let mut line = |what: &str, value: f64, error: f64| {
        writeln!(out, "{what:<30}: {value:10.6} ± {error:10.6}")
    };
    line("Mean PPL(Q)", own.value(), own.error())?;
    line("Mean PPL(base)", base.value(), base.error())?;
    line("Mean ln(PPL(Q)/PPL(base))", ratio, ratio_error)?;
    line(
        "Mean PPL(Q)/PPL(base)",
        ratio.exp(),
        ratio.exp() * ratio_error,
    )?;
    if let Some(correlation) = divergence.correlation() {
        let percent = 100.0 * correlation;
        writeln!(out, "Cor(ln(PPL(Q)), ln(PPL(base))): {percent:6.2}%")?;
    }
    Ok(())
}

fn divergences(divergence: &Divergence, out: &mut impl Write) -> Result<(), Failure> {
    let (mean, sorted) = (divergence.mean(), divergence.sorted());
    writeln!(out, "\n====== KL divergence statistics ======")?;
    let (value, error) = (mean.value(), mean.error());
    writeln!(out, "Mean    KLD: {value:10.6} ± {error:10.6}")?;
    for part in PARTS {
        let value = quantile(&sorted, part).unwrap_or_default();
        writeln!(out, "{} KLD: {value:10.6}", label(part))?;
    }
    Ok(())
}

fn probabilities(divergence: &Divergence, out: &mut impl Write) -> Result<(), Failure> {
    let (mean, sorted) = (divergence.gained(), divergence.sorted_gains());
    writeln!(out, "\n====== Token probability statistics ======")?;
    let percents = |(value, error): (f64, f64)| (100.0 * value, 100.0 * error);
    let (value, error) = percents((mean.value(), mean.error()));
    writeln!(out, "Mean    Δp: {value:6.3} ± {error:5.3} %")?;
    for part in GAINED_PARTS {
        let value = 100.0 * quantile(&sorted, part).unwrap_or_default();
        writeln!(out, "{} Δp: {value:6.3}%", label(part))?;
    }
    let (value, error) = percents(divergence.gained_rms());
    writeln!(out, "RMS Δp    : {value:6.3} ± {error:5.3} %")?;
    let (value, error) = percents(divergence.same_best());
    Ok(writeln!(out, "Same top p: {value:6.3} ± {error:5.3} %")?)
}

fn label(part: f64) -> String {
    match part {
        1.0 => "Maximum".into(),
        0.5 => "Median ".into(),
        0.0 => "Minimum".into(),
        part => format!("{:4.1}%  ", 100.0 * part),
    }
}

fn write_largest(largest: &Largest, out: &mut impl Write) -> Result<(), Failure> {
    let Largest { here, base, .. } = largest;
    let (chunk, token, position) = (largest.chunk, largest.token, largest.position);
    let percent = |p: f64| 100.0 * p;
    writeln!(out, "\n====== Largest KL divergence ======")?;
    writeln!(
        out,
        "chunk {chunk}, token {token}, which is token {position} of the text: {:.6}",
        largest.kl
    )?;
    // Quoted, so that no control character of a vocabulary gets to a terminal.
    writeln!(out, "behind {:?}", largest.text)?;
    writeln!(
        out,
        "comes  {:?}: {:.3} % here, {:.3} % in the base",
        largest.next,
        percent(here.next),
        percent(base.next)
    )?;
    writeln!(
        out,
        "likeliest: {:?} with {:.3} % here, {:?} with {:.3} % in the base",
        here.best,
        percent(here.best_probability),
        base.best,
        percent(base.best_probability)
    )?;
    Ok(())
}
