//! The ops of a block as they are written once, however often they stand in a graph: values are
//! counted from the block's first, names leave out its number.

use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;

use indexmap::{IndexMap, IndexSet};
use serde::{Serialize, Serializer};
use sharpi_compile::parts::{blocks, in_symbol, symbol_name, without_block};
use sharpi_ir::{Graph, NodeId, NodeKind, Operand, Symbols, Value};

/// Most ops of a section: a layout takes time, and is not read, beyond.
const MOST_OPS: usize = 120;

/// Letters of what stands beside the title of a box, as `step 123`.
const BADGE: usize = 10;

/// Ops of one block, or of none, that stand together in a graph.
pub(super) struct Section {
    pub(super) block: Option<usize>,
    pub(super) ops: Vec<NodeId>,
    /// The number of its first value.
    pub(super) base: usize,
}

/// A name, and whether ` blk.N.` or `-N` of the own block is left out.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Name {
    Whole(String),
    OfBlock(String),
}

/// What stands in an operand slot, as seen from the section.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Ref {
    /// A value by its number, counted from the section's first: negative if it is made before.
    Value(i64),
    Input(String),
    Weight(Name),
    State(Name),
}

#[derive(PartialEq, Eq, Hash, Serialize)]
pub(super) struct BodyOp {
    op: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attrs: Vec<(&'static str, String)>,
    #[serde(rename = "in")]
    pub(super) operands: Vec<Ref>,
    /// What each operand is to the op.
    slots: Vec<&'static str>,
    /// Type, by its number, and name of each result.
    out: Vec<(usize, Option<Name>)>,
}

#[derive(PartialEq, Eq, Hash, Serialize)]
pub(super) struct Body {
    pub(super) ops: Vec<BodyOp>,
    /// Of its values those that others read, or that are outputs.
    pub(super) exports: Vec<usize>,
}

/// Lines and most characters of an op's box.
#[derive(Clone, Copy, Default)]
pub(super) struct Extent {
    pub(super) lines: usize,
    pub(super) chars: usize,
}

/// Bodies of all stages, each once, with what their boxes have to hold.
#[derive(Default)]
pub(super) struct Bodies {
    all: IndexMap<Body, Vec<Extent>>,
    pub(super) types: IndexSet<String>,
}

/// A graph with what its sections are written with.
pub(super) struct Source<'a> {
    pub(super) graph: &'a Graph,
    pub(super) symbols: &'a Symbols,
    /// The number of each value that an op makes, as the textual form counts them.
    pub(super) numbers: HashMap<Value, usize>,
    pub(super) sections: Vec<Section>,
}

impl BodyOp {
    /// How many values it makes.
    pub(super) fn results(&self) -> usize {
        self.out.len()
    }
}

impl<'a> Source<'a> {
    pub(super) fn new(
        graph: &'a Graph,
        symbols: &'a Symbols,
        layers: Option<&RangeInclusive<usize>>,
    ) -> Source<'a> {
        let order = graph.order();
        let blocks = blocks(graph, symbols, &order);
        let mut numbers = HashMap::new();
        let mut sections: Vec<Section> = Vec::new();
        for &node in order.iter().filter(|n| graph.op(**n).is_some()) {
            let block = blocks.get(&node).copied();
            match sections.last_mut() {
                Some(last) if last.block == block && last.ops.len() < MOST_OPS => {
                    last.ops.push(node);
                }
                _ => sections.push(Section {
                    block,
                    ops: vec![node],
                    base: numbers.len(),
                }),
            }
            for v in graph.values(node) {
                numbers.insert(v, numbers.len());
            }
        }
        if let Some(layers) = layers {
            sections.retain(|s| s.block.is_some_and(|block| layers.contains(&block)));
        }
        Source {
            graph,
            symbols,
            numbers,
            sections,
        }
    }

    /// The ops that are shown, in order.
    pub(super) fn ops(&self) -> impl Iterator<Item = NodeId> {
        self.sections.iter().flat_map(|s| s.ops.iter().copied())
    }

    /// What is written in the box of an op: what it is, then a line for each weight and result.
    pub(super) fn lines(&self, node: NodeId) -> Vec<String> {
        let mut lines = vec![self.title(node)];
        for operand in self.graph.operands(node) {
            if let Operand::Weight(w) = operand
                && let Some((name, weight)) = self.symbols.weight_of(w)
            {
                let name = in_symbol(name).map_or(name, |(_, rest)| rest);
                lines.push(format!("{name} {}", weight.ty));
            }
        }
        for result in self.graph.results(node) {
            let name = result.name.as_deref().unwrap_or_default();
            lines.push(format!("{} {name}", result.ty).trim_end().to_string());
        }
        lines
    }

    /// The mnemonic, with the epilogue of a product.
    fn title(&self, node: NodeId) -> String {
        let Some(op) = self.graph.op(node) else {
            return String::new();
        };
        let epilogue = op.attrs().into_iter().find_map(|(name, attr)| {
            let case = matches!(name, "epilogue").then(|| attr.to_string())?;
            case.split(' ').next().map(str::to_string)
        });
        match epilogue {
            Some(epilogue) => format!("{} · {epilogue}", op.mnemonic()),
            None => op.mnemonic().to_string(),
        }
    }
}

impl Bodies {
    /// All bodies in the order of their numbers.
    pub(super) fn into_all(self) -> IndexMap<Body, Vec<Extent>> {
        self.all
    }

    /// The number of the body of a section.
    pub(super) fn add(&mut self, source: &Source<'_>, section: &Section) -> usize {
        let ops = section.ops.iter();
        let ops = ops.map(|node| self.op(source, section, *node)).collect();
        let exports = exports(source, section);
        let extents = section.ops.iter().map(|node| {
            let lines = source.lines(*node);
            // The title has larger letters, and the step beside it.
            let widths = lines.iter().enumerate().map(|(i, line)| match i {
                0 => line.chars().count() * 6 / 5 + BADGE,
                _ => line.chars().count(),
            });
            let chars = widths.max();
            Extent {
                lines: lines.len(),
                chars: chars.unwrap_or(0),
            }
        });
        let entry = self.all.entry(Body { ops, exports });
        let index = entry.index();
        // The same ops may have weights of other types elsewhere.
        let known = entry.or_insert_with(|| vec![Extent::default(); section.ops.len()]);
        for (known, here) in known.iter_mut().zip(extents) {
            known.lines = known.lines.max(here.lines);
            known.chars = known.chars.max(here.chars);
        }
        index
    }

    fn op(&mut self, source: &Source<'_>, section: &Section, node: NodeId) -> BodyOp {
        let Source { graph, symbols, .. } = *source;
        let operand = |o: Operand| match o {
            Operand::Value(v) => match (source.numbers.get(&v), graph.kind(v.node)) {
                (Some(n), _) => Ref::Value(*n as i64 - section.base as i64),
                (None, NodeKind::Input(name)) => Ref::Input(name.clone()),
                (None, NodeKind::Op(_)) => Ref::Input("?".into()),
            },
            Operand::Weight(_) => Ref::Weight(symbol(symbols, o, section.block)),
            Operand::State(_) => Ref::State(symbol(symbols, o, section.block)),
        };
        let operands: Vec<Ref> = graph.operands(node).into_iter().map(operand).collect();
        let op = graph.op(node);
        let slots = (0..operands.len()).filter_map(|slot| op?.operand(slot).map(|o| o.name));
        let slots = slots.collect();
        let out = graph.results(node).iter().map(|result| {
            let (ty, _) = self.types.insert_full(result.ty.to_string());
            (
                ty,
                result.name.as_deref().map(|n| of_value(n, section.block)),
            )
        });
        let out = out.collect();
        let attrs = op.map(|op| op.attrs()).unwrap_or_default();
        BodyOp {
            op: op.map_or("", |op| op.mnemonic()),
            attrs: attrs.into_iter().map(|(n, a)| (n, a.to_string())).collect(),
            operands,
            slots,
            out,
        }
    }
}

/// Which values of a section are read outside of it, by their place in it.
fn exports(source: &Source<'_>, section: &Section) -> Vec<usize> {
    let graph = source.graph;
    let inside: HashSet<NodeId> = section.ops.iter().copied().collect();
    let values = section.ops.iter().flat_map(|node| graph.values(*node));
    let read_outside = |(_, v): &(usize, Value)| {
        graph.is_output(*v)
            || graph
                .users(*v)
                .iter()
                .any(|(user, _)| !inside.contains(user))
    };
    let exported = values.enumerate().filter(read_outside);
    exported.map(|(place, _)| place).collect()
}

fn symbol(symbols: &Symbols, operand: Operand, block: Option<usize>) -> Name {
    let name = symbol_name(symbols, operand).unwrap_or("?");
    match in_symbol(name) {
        Some((n, rest)) if Some(n) == block && name == format!("blk.{n}.{rest}") => {
            Name::OfBlock(rest.into())
        }
        _ => Name::Whole(name.into()),
    }
}

fn of_value(name: &str, block: Option<usize>) -> Name {
    let stem = without_block(name);
    match block {
        Some(n) if name == format!("{stem}-{n}") => Name::OfBlock(stem.into()),
        _ => Name::Whole(name.into()),
    }
}

/// A name is a text, one without its block's number a list of it.
impl Serialize for Name {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Name::Whole(name) => name.serialize(to),
            Name::OfBlock(rest) => [rest].serialize(to),
        }
    }
}

/// A value is its number, anything else a pair of its kind and its name.
impl Serialize for Ref {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Ref::Value(place) => place.serialize(to),
            Ref::Input(name) => ("i", name).serialize(to),
            Ref::Weight(name) => ("w", name).serialize(to),
            Ref::State(name) => ("s", name).serialize(to),
        }
    }
}
