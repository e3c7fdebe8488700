//! How RoPE turns, as the metadata asks for it: scaling as llama.cpp makes it of the keys, in its
//! own steps of f32.

use sharpi_ir::RopeScaling;

use crate::gguf::GgmlType;

use super::LowerError;
use super::arch::AttentionKind;
use super::keys::Keys;
use super::source::Source;

/// Factors of Llama 3's RoPE.
const FACTORS: &str = "rope_freqs.weight";

/// What is scaled, and the context for which the model was trained.
pub(super) struct Rope {
    pub(super) n_rot: usize,
    pub(super) freq_base: f32,
    pub(super) context_length: usize,
}

/// `rope.scaling.type`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    None,
    Linear,
    Yarn,
}

impl Rope {
    /// What the architecture does, and what `rope.scaling.*`, `rope.dimension_sections` and
    /// `rope_freqs.weight` ask for.
    pub(super) fn scaling(
        &self,
        keys: &Keys,
        attention: &AttentionKind,
    ) -> Result<RopeScaling, LowerError> {
        let kind = kind(keys)?;
        let freq_scale = match factor(keys)? {
            _ if kind == Kind::None => 1.0,
            0.0 => 1.0,
            factor => 1.0 / factor,
        };
        let yarn = match kind {
            Kind::Yarn => 1.0,
            Kind::None | Kind::Linear => 0.0,
        };
        // Below 0 it is not set.
        let ext_factor = keys.optional_float("rope.scaling.yarn_ext_factor")?;
        let ext_factor = ext_factor.filter(|x| *x >= 0.0).unwrap_or(yarn);
        let magnitude = magnitude(keys, freq_scale, ext_factor)?;
        let (low, high) = self.ramp(keys, ext_factor)?;
        Ok(RopeScaling {
            freq_scale,
            ext_factor,
            low,
            high,
            magnitude,
            still: self.still(keys)?,
            factors: match attention.factors {
                true => self.factors(keys.source())?,
                false => Vec::new(),
            },
            neighbours: attention.neighbours,
        })
    }

    /// What divides the angle of each pair; none where the file does not say it.
    fn factors(&self, source: &Source) -> Result<Vec<f32>, LowerError> {
        let Some(tensor) = source.tensor(FACTORS) else {
            return Ok(Vec::new());
        };
        if tensor.ty != GgmlType::F32 {
            return Err(LowerError::TensorType {
                name: FACTORS.into(),
                found: tensor.ty.name().into(),
                supported: GgmlType::F32.name().into(),
            });
        }
        let pairs = self.n_rot / 2;
        if tensor.dims[..] != [pairs as u64] {
            return Err(LowerError::TensorShape {
                name: FACTORS.into(),
                found: tensor.dims.clone(),
                expected: format!("[{pairs}]"),
            });
        }
        let (bytes, _) = source.gguf().data(tensor).as_chunks();
        let factors: Vec<f32> = bytes.iter().map(|x| f32::from_le_bytes(*x)).collect();
        match factors.iter().find(|x| !x.is_finite() || **x <= 0.0) {
            None => Ok(factors),
            Some(found) => Err(LowerError::RopeFactor {
                name: FACTORS.into(),
                found: *found,
            }),
        }
    }

    /// The pairs between which YaRN goes over from plain to interpolated angles: those that turn
    /// `beta_fast` and `beta_slow` times within the original context.
    fn ramp(&self, keys: &Keys, ext_factor: f32) -> Result<(f32, f32), LowerError> {
        let beta = |key: &str, default: f32| match keys.optional_float(key)? {
            None => Ok(default),
            Some(turns) if turns > 0.0 || ext_factor == 0.0 => Ok(turns),
            Some(_) => Err(keys.conflict(key, "a number above 0")),
        };
        let fast = beta("rope.scaling.yarn_beta_fast", 32.0)?;
        let slow = beta("rope.scaling.yarn_beta_slow", 1.0)?;
        let original = keys.optional_count("rope.scaling.original_context_length")?;
        let context = original.filter(|n| *n > 0).unwrap_or(self.context_length);
        if ext_factor == 0.0 {
            return Ok((0.0, 0.0));
        }
        let n = self.n_rot as f32;
        let pair = |turns: f32| {
            let wavelength = context as f32 / (turns * 2.0 * std::f32::consts::PI);
            n * wavelength.ln() / (2.0 * self.freq_base.ln())
        };
        // A base of 1 gives no pair, or one without end: then all pairs stand on one side.
        let (low, high) = (
            pair(fast).floor().clamp(0.0, n),
            pair(slow).ceil().clamp(-1.0, n - 1.0),
        );
        match low.is_nan() || high.is_nan() {
            true => Err(keys.conflict("rope.freq_base", "a base from which pairs follow")),
            false => Ok((low, high)),
        }
    }

    /// Pairs take their angles by turns from a token's positions in time, height and width, and
    /// what is over from a fourth: of text the first three are the same, and the fourth is 0.
    fn still(&self, keys: &Keys) -> Result<Vec<u32>, LowerError> {
        let key = "rope.dimension_sections";
        let Some((_, value)) = keys.find(key) else {
            return Ok(Vec::new());
        };
        let sections = match value.as_array() {
            Some(array) => array.to_u64s(),
            None => value.as_u64().map(|n| vec![n; 4]),
        };
        let expected = "three or four whole numbers, not all 0";
        let sections = match sections.as_deref() {
            Some(&[t, h, w]) => [t, h, w, 0],
            Some(&[t, h, w, other]) => [t, h, w, other],
            Some(_) | None => return Err(keys.conflict(key, expected)),
        };
        let all = sections.iter().fold(0u64, |all, n| all.saturating_add(*n));
        if sections[..3] == [0; 3] {
            return Err(keys.conflict(key, expected));
        }
        let turns = |pair: u64| {
            let at = pair % all;
            at < sections[(at % 3) as usize].saturating_mul(3)
        };
        let pairs = 0..self.n_rot as u32 / 2;
        Ok(pairs.filter(|pair| !turns(u64::from(*pair))).collect())
    }
}

/// Linear where the file says nothing, which without a factor is none.
fn kind(keys: &Keys) -> Result<Kind, LowerError> {
    let key = "rope.scaling.type";
    let Some((_, value)) = keys.find(key) else {
        return Ok(Kind::Linear);
    };
    match value.as_str() {
        Some("none") => Ok(Kind::None),
        Some("linear") => Ok(Kind::Linear),
        Some("yarn") => Ok(Kind::Yarn),
        Some(_) | None => {
            let found = keys.conflict(key, "`none`, `linear` or `yarn`");
            Err(LowerError::NotCarriedOut(Box::new(found)))
        }
    }
}

/// 0 for none; under its old name where it has no other.
fn factor(keys: &Keys) -> Result<f32, LowerError> {
    let old = keys.optional_float("rope.scale_linear")?;
    let new = keys.optional_float("rope.scaling.factor")?;
    let (key, factor) = match new {
        Some(factor) => ("rope.scaling.factor", factor),
        None => ("rope.scale_linear", old.unwrap_or(0.0)),
    };
    match factor {
        0.0 => Ok(0.0),
        // The inverse is to be finite too.
        factor if factor > 0.0 && (1.0 / factor).is_finite() => Ok(factor),
        _ => Err(keys.conflict(key, "0 for none, or a factor above 0")),
    }
}

/// What YaRN multiplies queries and keys with, `1 + ln(factor) / 10`, times `attn_factor`.
fn magnitude(keys: &Keys, freq_scale: f32, ext_factor: f32) -> Result<f32, LowerError> {
    let own = keys.optional_float("rope.scaling.yarn_attn_factor")?;
    let factor = keys.optional_float("rope.scaling.attn_factor")?;
    let factor = factor.unwrap_or(1.0);
    if ext_factor == 0.0 {
        return finite(keys, own.unwrap_or(1.0) * factor);
    }
    // The reference sets the magnitude, divides by it for the kernel that multiplies by it once
    // more, and rounds at each step; only the kernel is compiled with fused products.
    let stretch = 1.0 / freq_scale;
    let log = stretch.ln();
    let wanted = match stretch <= 1.0 {
        true => 1.0,
        false => 0.1 * log + 1.0,
    };
    let set = wanted * (1.0 / (1.0 + 0.1 * log)) * factor;
    finite(keys, set * 0.1f32.mul_add((1.0 / freq_scale).ln(), 1.0))
}

fn finite(keys: &Keys, magnitude: f32) -> Result<f32, LowerError> {
    match magnitude.is_finite() {
        true => Ok(magnitude),
        false => Err(keys.conflict(
            "rope.scaling.attn_factor",
            "a factor of which the magnitude of queries and keys is finite",
        )),
    }
}
