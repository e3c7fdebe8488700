//! The ops of one graph with their costs, block by block, equal blocks together if wanted.

use std::collections::HashMap;

use sharpi_compile::cost::{Cost, RunShape, of, of_graph};
use sharpi_compile::parts::{blocks, used};
use sharpi_ir::Module;

/// A graph in a run of one shape.
pub(super) struct Costed<'a> {
    pub(super) graph: &'a str,
    pub(super) shape: RunShape,
    /// In the order of the graph.
    pub(super) sections: Vec<Section>,
}

/// The ops of a block, or of several with the same ops; or ops of no block that stand together.
#[derive(Clone)]
pub(super) struct Section {
    pub(super) blocks: Vec<usize>,
    pub(super) ops: Vec<OpCost>,
}

/// An op, or the same op of several blocks together.
#[derive(Clone)]
pub(super) struct OpCost {
    pub(super) op: &'static str,
    /// What of the model it uses, without the block.
    pub(super) symbols: Vec<String>,
    pub(super) spent: Spent,
}

/// A cost and the least time that it takes.
#[derive(Clone, Copy, Default)]
pub(super) struct Spent {
    pub(super) cost: Cost,
    pub(super) seconds: f64,
}

impl Spent {
    fn add(&mut self, other: &Spent) {
        self.cost = self.cost + other.cost;
        self.seconds += other.seconds;
    }

    pub(super) fn sum<'a>(all: impl Iterator<Item = &'a Spent>) -> Spent {
        all.fold(Spent::default(), |mut sum, one| {
            sum.add(one);
            sum
        })
    }
}

impl<'a> Costed<'a> {
    pub(super) fn new(
        module: &'a Module,
        name: &'a str,
        shape: RunShape,
        seconds: &dyn Fn(&Cost, f64) -> f64,
    ) -> Costed<'a> {
        let (graph, symbols) = (&module.graphs[name], &module.symbols);
        let bytes = of_graph(graph, symbols, &shape).resident_bytes();
        let order = graph.order();
        let block_of = blocks(graph, symbols, &order);
        let mut sections: Vec<Section> = Vec::new();
        let mut section_of: HashMap<usize, usize> = HashMap::new();
        let mut last = None;
        for node in order {
            let Some(op) = graph.op(node) else { continue };
            let block = block_of.get(&node).copied();
            let cost = of(graph, node, symbols, &shape);
            let op = OpCost {
                op: op.mnemonic(),
                symbols: used(graph, symbols, node),
                spent: Spent {
                    cost,
                    seconds: seconds(&cost, bytes),
                },
            };
            let found = match block {
                Some(block) => section_of.get(&block).copied(),
                None if last == Some(None) => Some(sections.len() - 1),
                None => None,
            };
            let at = found.unwrap_or(sections.len());
            if at == sections.len() {
                section_of.extend(block.map(|block| (block, at)));
                let (blocks, ops) = (block.into_iter().collect(), Vec::new());
                sections.push(Section { blocks, ops });
            }
            sections[at].ops.push(op);
            last = Some(block);
        }
        Costed {
            graph: name,
            shape,
            sections,
        }
    }

    /// Blocks with the same ops as one section, at the place of the first of them.
    pub(super) fn folded(&self) -> Vec<Section> {
        let mut folded: Vec<Section> = Vec::new();
        for section in &self.sections {
            let same = |f: &&mut Section| !f.blocks.is_empty() && f.key().eq(section.key());
            match folded.iter_mut().find(same) {
                Some(first) if !section.blocks.is_empty() => first.add(section),
                Some(_) | None => folded.push(section.clone()),
            }
        }
        folded
    }

    pub(super) fn total(&self) -> Spent {
        Spent::sum(self.sections.iter().flat_map(Section::spent))
    }
}

impl Section {
    fn key(&self) -> impl Iterator<Item = (&'static str, &[String])> {
        self.ops.iter().map(|op| (op.op, op.symbols.as_slice()))
    }

    fn add(&mut self, other: &Section) {
        self.blocks.extend(&other.blocks);
        for (op, other) in self.ops.iter_mut().zip(&other.ops) {
            op.spent.add(&other.spent);
        }
    }

    pub(super) fn spent(&self) -> impl Iterator<Item = &Spent> {
        self.ops.iter().map(|op| &op.spent)
    }
}
