//! Which elements RoPE turns together, and how its angles are stretched beyond the context that a
//! model was trained on.

use smallvec::SmallVec;

use crate::attr::{Attr, AttrValue};

/// Stretched angles of RoPE. The angle θ of pair `i` becomes `s·θ·(1 − m) + θ·m` with
/// `m = ext_factor · (1 − clamp((i − low) / (high − low)))`, and what has turned is multiplied by
/// the magnitude: linear scaling where `ext_factor` is 0, else YaRN. Before that a pair's angle is
/// divided by its factor, if there are factors, as in Llama 3.
#[derive(Clone, PartialEq, Debug)]
pub struct RopeScaling {
    /// `s`, by which an angle is interpolated.
    pub freq_scale: f32,
    /// How much of the plain angle the pairs before the ramp keep.
    pub ext_factor: f32,
    /// Pair up to which angles are plain.
    pub low: f32,
    /// Pair from which on angles are interpolated.
    pub high: f32,
    /// Factor of what has turned.
    pub magnitude: f32,
    /// Pairs that never turn, in ascending order.
    pub still: Vec<u32>,
    /// What the angle of each pair is divided by; none for 1.
    pub factors: Vec<f32>,
    /// Whether pair `i` is the elements `2i` and `2i + 1`, and not `i` and `i + n_rot/2`.
    pub neighbours: bool,
}

impl Default for RopeScaling {
    fn default() -> RopeScaling {
        RopeScaling {
            freq_scale: 1.0,
            ext_factor: 0.0,
            low: 0.0,
            high: 0.0,
            magnitude: 1.0,
            still: Vec::new(),
            factors: Vec::new(),
            neighbours: false,
        }
    }
}

impl RopeScaling {
    /// The numbers with their names.
    fn floats(&mut self) -> [(&'static str, &mut f32); 5] {
        [
            ("freq_scale", &mut self.freq_scale),
            ("ext_factor", &mut self.ext_factor),
            ("low", &mut self.low),
            ("high", &mut self.high),
            ("magnitude", &mut self.magnitude),
        ]
    }
}

const STILL: &str = "still";
const FACTORS: &str = "factors";
const NEIGHBOURS: &str = "neighbours";

impl AttrValue for RopeScaling {
    const KIND: &'static str = "a group of `freq_scale`, `ext_factor`, `low`, `high`, `magnitude` (floats), `still` (pairs), `factors` (floats) and `neighbours` (1), or nothing";

    /// What differs from the default; nothing where nothing does.
    fn to_attr(&self) -> Option<Attr> {
        let (mut own, mut plain) = (self.clone(), RopeScaling::default());
        let both = own.floats().into_iter().zip(plain.floats());
        let other = both.filter(|((_, own), (_, plain))| own.to_bits() != plain.to_bits());
        let mut fields: Vec<(String, Attr)> = other
            .map(|((name, own), _)| (name.to_string(), Attr::Float(*own)))
            .collect();
        if !self.still.is_empty() {
            fields.push((
                STILL.into(),
                Attr::Ints(self.still.iter().copied().collect()),
            ));
        }
        if !self.factors.is_empty() {
            fields.push((FACTORS.into(), Attr::Floats(self.factors.clone())));
        }
        if self.neighbours {
            fields.push((NEIGHBOURS.into(), Attr::Int(1)));
        }
        (!fields.is_empty()).then_some(Attr::Group(fields))
    }

    fn from_attr(attr: Option<&Attr>) -> Option<RopeScaling> {
        let mut scaling = RopeScaling::default();
        let fields = match attr {
            None => return Some(scaling),
            Some(Attr::Group(fields)) => fields,
            Some(
                Attr::Int(_)
                | Attr::Float(_)
                | Attr::Ints(_)
                | Attr::Floats(_)
                | Attr::DType(_)
                | Attr::Parts(_)
                | Attr::Case(..),
            ) => return None,
        };
        for (name, attr) in fields {
            match (name.as_str(), attr) {
                (STILL, _) => {
                    scaling.still = <SmallVec<[u32; 4]>>::from_attr(Some(attr))?.to_vec();
                    continue;
                }
                (FACTORS, Attr::Floats(factors)) => {
                    scaling.factors = factors.clone();
                    continue;
                }
                (NEIGHBOURS, Attr::Int(1)) => {
                    scaling.neighbours = true;
                    continue;
                }
                _ => {}
            }
            let mut floats = scaling.floats().into_iter();
            let (_, field) = floats.find(|(known, _)| known == name)?;
            *field = f32::from_attr(Some(attr))?;
        }
        Some(scaling)
    }
}
