//! The graph viewer: graphs at every stage as a page to look through, as a picture, and for Model
//! Explorer.

mod body;
mod costs;
mod document;
mod history;
mod html;
mod layout;
pub(super) mod measured;
mod plan;

use std::io::{self, Write};
use std::ops::RangeInclusive;

use sharpi_passes::Traced;

use body::Source;

pub(super) use costs::Machine;
pub(super) use measured::Measured;

/// What is shown.
pub(super) struct Subject<'a> {
    /// What the model is called.
    pub(super) title: &'a str,
    /// The stages.
    pub(super) trace: &'a [Traced],
    /// One graph alone.
    pub(super) graph: Option<&'a str>,
    /// Ops of these blocks alone.
    pub(super) layers: Option<&'a RangeInclusive<usize>>,
    /// Whether equal blocks are shown once, until they are unfolded.
    pub(super) folded: bool,
    /// What times at best are worked out for.
    pub(super) machine: Option<Machine>,
    pub(super) measured: Option<Measured>,
}

impl Subject<'_> {
    /// Whether there is no op to show at the last stage.
    pub(super) fn is_empty(&self) -> bool {
        let graphs = self.trace.last().into_iter().flat_map(|last| {
            let symbols = &last.module.symbols;
            let graphs = last.module.graphs.iter();
            let wanted = graphs.filter(|(name, _)| self.graph.is_none_or(|only| only == *name));
            wanted.map(move |(_, graph)| Source::new(graph, symbols, self.layers))
        });
        graphs.into_iter().all(|source| source.sections.is_empty())
    }
}

/// The page.
pub(super) fn write_html(subject: &Subject<'_>, out: &mut impl Write) -> io::Result<()> {
    html::write(&document::Document::new(subject), out)
}
