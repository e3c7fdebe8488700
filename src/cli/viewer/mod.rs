//! The graph viewer: graphs at every stage as a page to look through, as a picture, and for Model
//! Explorer.

mod body;
mod costs;
mod document;
mod history;
mod html;
pub(super) mod kinds;
mod layout;
pub(super) mod measured;
mod model_explorer;
mod plan;
mod svg;

use std::io::{self, Write};
use std::ops::RangeInclusive;

use serde::Serialize;
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

impl<'a> Subject<'a> {
    /// The graphs of the last stage, as far as they are shown.
    fn last_graphs(&self) -> impl Iterator<Item = (&'a str, Source<'a>)> {
        let (only, layers) = (self.graph, self.layers);
        self.trace.last().into_iter().flat_map(move |last| {
            let graphs = last.module.graphs.iter();
            let wanted = graphs.filter(move |(name, _)| only.is_none_or(|only| only == *name));
            wanted.map(move |(name, graph)| {
                (
                    name.as_str(),
                    Source::new(graph, &last.module.symbols, layers),
                )
            })
        })
    }

    /// Whether there is no op to show at the last stage.
    pub(super) fn is_empty(&self) -> bool {
        self.last_graphs()
            .all(|(_, source)| source.sections.is_empty())
    }
}

/// The page.
pub(super) fn write_html(subject: &Subject<'_>, out: &mut impl Write) -> io::Result<()> {
    html::write(&document::Document::new(subject), out)
}

/// A picture of the last stage.
pub(super) fn write_svg(subject: &Subject<'_>, out: &mut impl Write) -> io::Result<()> {
    svg::write(subject, out)
}

/// The last stage for Model Explorer.
pub(super) fn model_explorer(subject: &Subject<'_>) -> impl Serialize {
    model_explorer::Collection::new(subject)
}
