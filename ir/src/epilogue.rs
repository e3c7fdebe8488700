//! What fused ops do to a result before they write it.

use crate::attr::{Attr, AttrValue};
use crate::rope::RopeScaling;
use crate::types::DType;

/// What the products of a `product` go through before they are written.
#[derive(Clone, PartialEq, Debug, Default)]
pub enum Epilogue {
    /// Nothing: each is a result.
    #[default]
    None,
    /// `silu(first) · second`, rounded to an activation format.
    Swiglu {
        /// The format.
        to: DType,
    },
    /// The sum with a residual.
    Add,
    /// `silu(by · product)`, rounded to an activation format.
    Silu {
        /// The factor.
        by: f32,
        /// The format.
        to: DType,
    },
    /// SiLU of the causal convolution over time.
    ConvSilu,
    /// The first are keys, the second values, each with a bias, if they have them. Keys are normed by
    /// heads, if there is an `eps` of a norm, and rotated; both are written into a cache.
    Store {
        /// Whether biases are added first.
        bias: Bias,
        /// `eps` of the keys' norm.
        norm_eps: Option<f32>,
        /// As of `rope`, or 0 for keys that do not turn.
        n_rot: u32,
        /// As of `rope`.
        freq_base: f32,
        /// As of `rope`.
        scaling: RopeScaling,
    },
}

impl Epilogue {
    pub(crate) fn adds(&self) -> bool {
        *self == Epilogue::Add
    }

    pub(crate) fn convolves(&self) -> bool {
        *self == Epilogue::ConvSilu
    }

    pub(crate) fn stores(&self) -> bool {
        matches!(self, Epilogue::Store { .. })
    }

    pub(crate) fn biases(&self) -> bool {
        matches!(
            self,
            Epilogue::Store {
                bias: Bias::Added,
                ..
            }
        )
    }

    pub(crate) fn norms_keys(&self) -> bool {
        matches!(
            self,
            Epilogue::Store {
                norm_eps: Some(_),
                ..
            }
        )
    }
}

impl AttrValue for Epilogue {
    const KIND: &'static str = "`swiglu {to}`, `add`, `silu {by, to}`, `conv_silu` or `store {bias, norm_eps, n_rot, freq_base, scaling}`, or nothing";

    fn to_attr(&self) -> Option<Attr> {
        let (name, fields) = match self {
            Epilogue::None => return None,
            Epilogue::Swiglu { to } => ("swiglu", vec![("to", to.to_attr())]),
            Epilogue::Add => ("add", Vec::new()),
            Epilogue::Silu { by, to } => ("silu", vec![("by", by.to_attr()), ("to", to.to_attr())]),
            Epilogue::ConvSilu => ("conv_silu", Vec::new()),
            Epilogue::Store {
                bias,
                norm_eps,
                n_rot,
                freq_base,
                scaling,
            } => {
                let fields = vec![
                    ("bias", bias.to_attr()),
                    ("norm_eps", norm_eps.to_attr()),
                    ("n_rot", n_rot.to_attr()),
                    ("freq_base", freq_base.to_attr()),
                    ("scaling", scaling.to_attr()),
                ];
                ("store", fields)
            }
        };
        let fields = fields.into_iter();
        let there = fields.filter_map(|(name, attr)| Some((name.to_string(), attr?)));
        Some(Attr::Case(name.into(), there.collect()))
    }

    fn from_attr(attr: Option<&Attr>) -> Option<Epilogue> {
        let Some(attr) = attr else {
            return Some(Epilogue::None);
        };
        let Attr::Case(name, fields) = attr else {
            return None;
        };
        let only = |known: &[&str]| fields.iter().all(|(n, _)| known.contains(&n.as_str()));
        match name.as_str() {
            "swiglu" if only(&["to"]) => Some(Epilogue::Swiglu {
                to: field(fields, "to")?,
            }),
            "add" if only(&[]) => Some(Epilogue::Add),
            "silu" if only(&["by", "to"]) => Some(Epilogue::Silu {
                by: field(fields, "by")?,
                to: field(fields, "to")?,
            }),
            "conv_silu" if only(&[]) => Some(Epilogue::ConvSilu),
            "store" if only(&["bias", "norm_eps", "n_rot", "freq_base", "scaling"]) => {
                Some(Epilogue::Store {
                    bias: field(fields, "bias")?,
                    norm_eps: field(fields, "norm_eps")?,
                    n_rot: field(fields, "n_rot")?,
                    freq_base: field(fields, "freq_base")?,
                    scaling: field(fields, "scaling")?,
                })
            }
            _ => None,
        }
    }
}

fn field<A: AttrValue>(fields: &[(String, Attr)], name: &str) -> Option<A> {
    let found = fields.iter().find(|(n, _)| n == name);
    A::from_attr(found.map(|(_, attr)| attr))
}

/// An attribute that is one word of several, or left out for the first.
macro_rules! word {
    ($(#[$doc:meta])* $Name:ident = $kind:literal { $(#[$default:meta])* $Default:ident, $($(#[$of:meta])* $Word:ident = $word:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
        pub enum $Name {
            $(#[$default])*
            #[default]
            $Default,
            $($(#[$of])* $Word,)*
        }

        impl AttrValue for $Name {
            const KIND: &'static str = $kind;

            fn to_attr(&self) -> Option<Attr> {
                match self {
                    $Name::$Default => None,
                    $($Name::$Word => Some(Attr::Case($word.into(), Vec::new())),)*
                }
            }

            fn from_attr(attr: Option<&Attr>) -> Option<$Name> {
                match attr {
                    None => Some($Name::$Default),
                    Some(Attr::Case(name, fields)) if fields.is_empty() => match name.as_str() {
                        $($word => Some($Name::$Word),)*
                        _ => None,
                    },
                    Some(_) => None,
                }
            }
        }
    };
}

word! {
    /// Whether an attention's result is gated.
    OutputGate = "`sigmoid`, or nothing" {
        /// It is not.
        None,
        /// By the sigmoid of as many values as a head's query has, which stand behind that.
        Sigmoid = "sigmoid",
    }
}

word! {
    /// Whether vectors are added to what projections give.
    Bias = "`added`, or nothing" {
        /// They are not.
        None,
        /// One to each.
        Added = "added",
    }
}

word! {
    /// Which of `Hk` k-heads a v-head of `Hv` uses.
    KeyHeads = "`grouped`, or nothing" {
        /// `h mod Hk`: v-heads take the k-heads by turns.
        ByTurns,
        /// `h / (Hv / Hk)`: as many v-heads one after another share a k-head.
        Grouped = "grouped",
    }
}

impl KeyHeads {
    /// The k-head of v-head `head`.
    pub fn of(self, head: usize, k_heads: usize, heads: usize) -> usize {
        match self {
            KeyHeads::ByTurns => head % k_heads,
            KeyHeads::Grouped => head / (heads / k_heads),
        }
    }
}

word! {
    /// What makes weights of a router's logits.
    Gating = "`sigmoid`, or nothing" {
        /// Softmax over all experts.
        Softmax,
        /// A sigmoid of each.
        Sigmoid = "sigmoid",
    }
}

word! {
    /// The expert that takes every token, beside those that are chosen.
    SharedExpert = "`plain` or `gated`, or nothing" {
        /// There is none.
        None,
        /// Its result is added as it is,
        Plain = "plain",
        /// or times the sigmoid of one value for each token.
        Gated = "gated",
    }
}

word! {
    /// What gates the heads that a scan has made, behind their norm.
    ScanGate = "`sigmoid`, or nothing" {
        /// SiLU.
        Silu,
        /// A sigmoid.
        Sigmoid = "sigmoid",
    }
}

word! {
    /// What a sum of experts is added to.
    Onto = "`nothing`, or nothing at all" {
        /// A residual.
        Residual,
        /// To nothing: it is the result.
        Nothing = "nothing",
    }
}

word! {
    /// How products are added up.
    Sums = "`rounded`, or nothing" {
        /// Each product and its sum are rounded once, together.
        Fused,
        /// Products are rounded before they are added.
        Rounded = "rounded",
    }
}
