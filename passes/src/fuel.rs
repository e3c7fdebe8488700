//! How many rewrites may still be made: to find the one that breaks something by halving.

/// Rewrites that the optional passes of a run may still make, counted over all graphs. Those of
/// required passes are free, so that the module runs however little there is.
#[derive(Clone, Debug, Default)]
pub struct Fuel {
    left: Option<usize>,
    last: Option<LastRewrite>,
}

/// The rewrite that took the last of the fuel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LastRewrite {
    /// The pass.
    pub pass: &'static str,
    /// The graph.
    pub graph: String,
    /// The rule that fired.
    pub rule: &'static str,
    /// The op at which it fired, as the line of the graph before the rewrite begins.
    pub node: String,
}

impl Fuel {
    /// For that many rewrites; `None` is for as many as are to be made.
    pub fn new(rewrites: Option<usize>) -> Fuel {
        let (left, last) = (rewrites, None);
        Fuel { left, last }
    }

    /// Whether no rewrite may be made.
    pub(crate) fn is_empty(&self) -> bool {
        self.left == Some(0)
    }

    /// Takes the fuel of a rewrite that is about to be made. Of the last one it asks who made it.
    pub(crate) fn take(&mut self, maker: impl FnOnce() -> LastRewrite) {
        if let Some(left) = &mut self.left {
            *left -= 1;
            if *left == 0 {
                self.last = Some(maker());
            }
        }
    }

    /// The rewrite that took the last of it, if any did.
    pub(crate) fn last(self) -> Option<LastRewrite> {
        self.last
    }
}
