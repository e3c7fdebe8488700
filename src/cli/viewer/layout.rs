//! Where the boxes of a body lie: dagre's layered layout, once for each body.

use std::collections::BTreeSet;

use dagre::graph::{Graph, GraphOptions};
use dagre::{EdgeLabel, LayoutOptions, NodeLabel, Ranker};
use indexmap::{IndexMap, IndexSet};
use serde::Serialize;

use super::body::{Body, Extent, Name, Ref};

/// Measures of a box, in pixels of the page at its natural size; the page draws with the same.
pub(super) const LINE: f64 = 16.0;
pub(super) const CHAR: f64 = 6.7;
const PADDING: f64 = 10.0;
const LEAST: f64 = 84.0;
/// Characters after which a line is cut.
pub(super) const MOST_CHARS: usize = 46;
const PORT: (f64, f64) = (210.0, 20.0);
const STATE: (f64, f64) = (120.0, 22.0);
const EXPORT: (f64, f64) = (10.0, 6.0);
/// Around the boxes of a body.
const MARGIN: f64 = 14.0;

/// Boxes in the order of nodes: ops, then what comes from outside, then states, then exports.
#[derive(Serialize)]
pub(super) struct Layout {
    pub(super) size: [i64; 2],
    /// Left, top, width and height.
    pub(super) boxes: Vec<[i64; 4]>,
    /// What comes from outside, values and inputs.
    pub(super) imports: Vec<Ref>,
    pub(super) states: Vec<Name>,
    /// From, to, and the points between.
    pub(super) edges: Vec<(usize, usize, Vec<i64>)>,
}

impl Layout {
    pub(super) fn new(body: &Body, extents: &[Extent]) -> Layout {
        let wires = Wires::new(body);
        let mut sizes: Vec<(f64, f64)> = extents.iter().map(|e| size(*e)).collect();
        sizes.extend(wires.imports.iter().map(|_| PORT));
        sizes.extend(wires.states.keys().map(|_| STATE));
        sizes.extend(body.exports.iter().map(|_| EXPORT));
        let (boxes, edges, size) = placed(&sizes, &wires.edges);
        Layout {
            size,
            boxes,
            imports: wires.imports.into_iter().collect(),
            states: wires.states.into_keys().collect(),
            edges,
        }
    }
}

fn size(extent: Extent) -> (f64, f64) {
    let chars = extent.chars.min(MOST_CHARS) as f64;
    let width = (chars * CHAR + 2.0 * PADDING).max(LEAST);
    (width, extent.lines as f64 * LINE + PADDING)
}

/// Who is joined with whom, by numbers of nodes.
struct Wires {
    imports: IndexSet<Ref>,
    /// With the last op that uses each.
    states: IndexMap<Name, usize>,
    edges: BTreeSet<(usize, usize)>,
}

impl Wires {
    fn new(body: &Body) -> Wires {
        let (mut imports, mut states) = (IndexSet::new(), IndexMap::new());
        let makers = body.makers();
        for (op, made) in body.ops.iter().enumerate() {
            for operand in &made.operands {
                match operand {
                    Ref::Value(v) if *v >= 0 => {}
                    Ref::Value(_) | Ref::Input(_) => {
                        imports.insert(operand.clone());
                    }
                    Ref::State(name) => {
                        states.insert(name.clone(), op);
                    }
                    Ref::Weight(_) => {}
                }
            }
        }
        let first_import = body.ops.len();
        let first_state = first_import + imports.len();
        let first_export = first_state + states.len();
        let mut edges = BTreeSet::new();
        for (op, made) in body.ops.iter().enumerate() {
            for operand in &made.operands {
                let from = match operand {
                    Ref::Value(v) if *v >= 0 => makers.get(*v as usize).copied(),
                    _ => imports.get_index_of(operand).map(|i| first_import + i),
                };
                edges.extend(from.filter(|from| *from != op).map(|from| (from, op)));
            }
        }
        edges.extend(
            states
                .values()
                .enumerate()
                .map(|(i, op)| (*op, first_state + i)),
        );
        let exports = body.exports.iter().enumerate();
        edges.extend(exports.filter_map(|(i, v)| Some((*makers.get(*v)?, first_export + i))));
        Wires {
            imports,
            states,
            edges,
        }
    }
}

impl Body {
    /// The op that makes each value.
    fn makers(&self) -> Vec<usize> {
        let ops = self.ops.iter().enumerate();
        ops.flat_map(|(i, op)| vec![i; op.results()]).collect()
    }
}

type Placed = (Vec<[i64; 4]>, Vec<(usize, usize, Vec<i64>)>, [i64; 2]);

fn placed(sizes: &[(f64, f64)], edges: &BTreeSet<(usize, usize)>) -> Placed {
    let mut graph = Graph::with_options(GraphOptions {
        directed: true,
        multigraph: false,
        compound: false,
    });
    for (i, (width, height)) in sizes.iter().enumerate() {
        let label = NodeLabel {
            width: *width,
            height: *height,
            ..NodeLabel::default()
        };
        graph.set_node(i.to_string(), Some(label));
    }
    for (from, to) in edges {
        let label = Some(EdgeLabel::default());
        graph.set_edge(from.to_string(), to.to_string(), label, None);
    }
    let options = LayoutOptions {
        nodesep: 18.0,
        edgesep: 10.0,
        ranksep: 26.0,
        marginx: MARGIN,
        marginy: MARGIN,
        ranker: Ranker::TightTree,
        ..LayoutOptions::default()
    };
    dagre::layout(&mut graph, Some(options));
    let whole = |x: f64| x.round() as i64;
    let boxes: Vec<[i64; 4]> = (sizes.iter().enumerate())
        .map(|(i, (width, height))| {
            let at = graph.node(&i.to_string());
            let (x, y) = at.map_or((0.0, 0.0), |n| (n.x.unwrap_or(0.0), n.y.unwrap_or(0.0)));
            let (left, top) = (x - width / 2.0, y - height / 2.0);
            [
                whole(left),
                whole(top),
                width.ceil() as i64,
                height.ceil() as i64,
            ]
        })
        .collect();
    let drawn = edges.iter().map(|&(from, to)| {
        let label = graph.edge(&from.to_string(), &to.to_string(), None);
        let points = label.map(|label| &label.points[..]).unwrap_or_default();
        let points = points.iter().flat_map(|p| [whole(p.x), whole(p.y)]);
        (from, to, points.collect())
    });
    let drawn: Vec<_> = drawn.collect();
    let most = |side: usize| {
        boxes
            .iter()
            .map(|b| b[side] + b[side + 2])
            .max()
            .unwrap_or(0)
    };
    let size = [most(0) + whole(MARGIN), most(1) + whole(MARGIN)];
    (boxes, drawn, size)
}
