//! Rotation of heads, and attention over a cache: `[T, H, D]`.

use sharpi_ir::RopeScaling;

use crate::indexer::Chosen;
use crate::states::Cache;
use crate::tensor::Tensor;

/// How heads are turned.
pub(crate) struct Angles<'a> {
    pub(crate) n_rot: u32,
    pub(crate) freq_base: f32,
    pub(crate) scaling: &'a RopeScaling,
}

impl Angles<'_> {
    /// By how much pair `i` turns at a position.
    fn of(&self, i: u32, position: f64) -> f64 {
        let RopeScaling {
            freq_scale,
            ext_factor,
            low,
            high,
            still,
            factors,
            ..
        } = self.scaling;
        if still.contains(&i) {
            return 0.0;
        }
        let exponent = -2.0 * f64::from(i) / f64::from(self.n_rot);
        let factor = factors.get(i as usize).map_or(1.0, |x| f64::from(*x));
        let plain = position * f64::from(self.freq_base).powf(exponent) / factor;
        let scaled = f64::from(*freq_scale) * plain;
        // A ramp is at least a thousandth wide, so that there is always a place on it.
        let width = (f64::from(*high) - f64::from(*low)).max(0.001);
        let along = ((f64::from(i) - f64::from(*low)) / width).clamp(0.0, 1.0);
        let kept = f64::from(*ext_factor) * (1.0 - along);
        scaled * (1.0 - kept) + plain * kept
    }
}

pub(crate) fn rope(x: &Tensor, pos: &Tensor, angles: &Angles<'_>) -> Tensor {
    let (heads, magnitude) = (x.dims()[1], f64::from(angles.scaling.magnitude));
    let half = angles.n_rot as usize / 2;
    let mut data = x.data().to_vec();
    for (row, head) in data.chunks_exact_mut(x.last()).enumerate() {
        let position = pos.data()[row / heads];
        for i in 0..half {
            let (sin, cos) = angles.of(i as u32, position).sin_cos();
            let (first, second) = match angles.scaling.neighbours {
                true => (2 * i, 2 * i + 1),
                false => (i, i + half),
            };
            let (a, b) = (head[first], head[second]);
            head[first] = (a * cos - b * sin) * magnitude;
            head[second] = (a * sin + b * cos) * magnitude;
        }
    }
    Tensor::from_fn(x.dims().to_vec(), |i| data[i])
}

pub(crate) fn kv_store(
    k: &Tensor,
    v: &Tensor,
    pos: &Tensor,
    cache: &mut Cache,
) -> Result<(), String> {
    (0..pos.data().len()).try_for_each(|t| {
        let at = pos.index(t, usize::MAX)?;
        cache.store(at, k.entry(t), v.entry(t))
    })
}

pub(crate) fn attention(
    q: &Tensor,
    pos: &Tensor,
    cache: &Cache,
    (scale, chosen): (f32, Option<Chosen<'_>>),
) -> Result<Tensor, String> {
    let heads = q.dims()[1];
    let mut data = Vec::new();
    for (row, query) in q.rows().enumerate() {
        let (t, head) = (row / heads, row % heads);
        let last = pos.index(t, usize::MAX)?;
        let kv_head = head / (heads / cache.heads);
        let query = cache.query(query)?;
        let sees = |at: usize| chosen.is_none_or(|chosen| chosen.sees(t, last, at));
        data.extend(attend(&query, kv_head, (last, &sees), cache, scale));
    }
    Tensor::new(q.dims(), data)
}

/// One query over those positions up to `last` that it sees.
fn attend(
    query: &[f64],
    head: usize,
    (last, sees): (usize, &dyn Fn(usize) -> bool),
    cache: &Cache,
    scale: f32,
) -> Vec<f64> {
    let seen = (0..=last).filter(|at| sees(*at));
    let rows: Vec<[Vec<f64>; 2]> = seen.map(|at| cache.head(at, head)).collect();
    let scores = rows.iter().map(|[key, _]| {
        let dot: f64 = query.iter().zip(key).map(|(q, k)| q * k).sum();
        dot * f64::from(scale)
    });
    let scores: Vec<f64> = scores.collect();
    let max = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut sum = 0.0;
    let mut out = vec![0.0; cache.dim];
    for (score, [_, value]) in scores.iter().zip(&rows) {
        let weight = (score - max).exp();
        sum += weight;
        (out.iter_mut().zip(value)).for_each(|(out, v)| *out += weight * v);
    }
    out.iter().map(|x| x / sum).collect()
}
