//! How many drafts hold, by their place in the draft.

/// How fast old drafts are forgotten.
const DECAY: f64 = 0.98;
/// Acceptance of the first place before anything is known, and how many drafts that weighs.
const PRIOR: f64 = 0.7;
const PRIOR_WEIGHT: f64 = 2.0;

/// Drafts that held and that were looked at, by place.
#[derive(Clone, Debug)]
pub(crate) struct Acceptance(Vec<(f64, f64)>);

impl Acceptance {
    /// Of drafts of up to `most` tokens.
    pub(crate) fn new(most: usize) -> Acceptance {
        Acceptance(vec![(0.0, 0.0); most])
    }

    /// Takes in that of so many drafted tokens the first `accepted` held.
    pub(crate) fn learn(&mut self, drafted: usize, accepted: usize) {
        let drafted = drafted.min(self.0.len());
        for (place, (held, seen)) in self.0[..drafted].iter_mut().enumerate() {
            if place <= accepted {
                let holds = f64::from(u8::from(place < accepted));
                (*held, *seen) = (DECAY * *held + holds, DECAY * *seen + 1.0);
            }
        }
    }

    /// By place, the part of the drafts that hold if those before them do. A place of which little
    /// is known is taken to be like the one before.
    pub(crate) fn by_place(&self) -> impl Iterator<Item = f64> {
        self.0.iter().scan(PRIOR, |before, (held, seen)| {
            *before = (held + PRIOR_WEIGHT * *before) / (seen + PRIOR_WEIGHT);
            Some(*before)
        })
    }
}
