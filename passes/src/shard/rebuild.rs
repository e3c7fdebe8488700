//! The graph of one rank, op by op.

use std::collections::HashMap;

use sharpi_ir::{
    Builder, Graph, NodeId, NodeKind, Op, Operand, RowSet, Symbols, TensorType, Value, Weight,
    WeightId,
};
use smallvec::SmallVec;

use super::assign::{Divisions, Factors};
use super::heads::{query_heads, scan_divisions, scan_heads};
use super::links::{links, whole_of_parts};
use super::{Division, Shard, ShardError, StateParts};
use crate::pattern::result;

/// A graph in the making, and what of the old one it has.
pub(super) struct Rebuild<'a> {
    graph: &'a Graph,
    symbols: &'a Symbols,
    divisions: &'a Divisions,
    states: &'a StateParts,
    which: Shard,
    builder: Builder<'a>,
    whole: HashMap<Value, Value>,
    /// The rank's share of values, by how they are divided.
    shares: HashMap<Value, Vec<(Division, Value)>>,
}

/// How an op is computed: its operands in slot order, and its results.
struct Shares {
    operands: Vec<Share>,
    results: Vec<Division>,
}

/// What a rank takes of an operand.
#[derive(Clone)]
enum Share {
    Whole,
    /// Its part of a value or of the rows of a weight.
    Part(Division),
}

type Result<T> = std::result::Result<T, ShardError>;

impl<'a> Rebuild<'a> {
    pub(super) fn new(
        graph: &'a Graph,
        symbols: &'a Symbols,
        new: &'a mut Symbols,
        divisions: &'a Divisions,
        states: &'a StateParts,
        which: Shard,
    ) -> Rebuild<'a> {
        Rebuild {
            graph,
            symbols,
            divisions,
            states,
            which,
            builder: Builder::new(new),
            whole: HashMap::new(),
            shares: HashMap::new(),
        }
    }

    pub(super) fn graph(mut self) -> Result<Graph> {
        for (symbol, range) in self.graph.bounds() {
            self.builder.bound(*symbol, range.clone());
        }
        for node in self.graph.order() {
            match self.graph.kind(node) {
                NodeKind::Input(name) => {
                    let old = result(node);
                    let new = self.builder.input(name, self.graph.ty(old).clone());
                    self.whole.insert(old, new);
                }
                NodeKind::Op(op) => self.op(node, op)?,
            }
        }
        for (name, v) in self.graph.outputs() {
            let v = self.whole(*v)?;
            self.builder.output(name, v);
        }
        Ok(self.builder.finish())
    }

    fn op(&mut self, node: NodeId, op: &Op) -> Result<()> {
        let shares = self.shares(node, op);
        let taken = shares.iter().flat_map(|shares| &shares.operands).cloned();
        let taken = taken.chain(std::iter::repeat(Share::Whole));
        let mut operands = Vec::new();
        for (operand, share) in self.graph.operands(node).into_iter().zip(taken) {
            operands.push(self.operand(operand, &share)?);
        }
        let op = match &shares {
            Some(shares) => self.sized(node, op, &shares.results),
            None => op.clone(),
        };
        let new = self.builder.op(op, &operands)?;
        let mut divisions = shares.into_iter().flat_map(|shares| shares.results);
        let values = self.graph.values(node).zip(self.builder.values(new));
        for (old, new) in values.collect::<Vec<_>>() {
            let name = self.graph.name(old);
            match divisions.next() {
                None => {
                    self.whole.insert(old, new);
                    name.map(|name| self.builder.name(new, name));
                }
                Some(division) => {
                    self.shares.entry(old).or_default().push((division, new));
                    name.map(|name| self.builder.name(new, format!("{name}.shard")));
                }
            }
        }
        Ok(())
    }

    /// How an op is divided; `None` where every rank computes all of it.
    fn shares(&self, node: NodeId, op: &Op) -> Option<Shares> {
        match op {
            Op::GdnScan { .. } => {
                let [q, k, v, g, beta, y] =
                    scan_divisions(scan_heads(self.graph, node, self.which.ranks)?);
                self.keeps_state(node, &y)?;
                let operands = [q, k, v, g, beta].map(Share::Part).into();
                Some(Shares {
                    operands,
                    results: vec![y],
                })
            }
            Op::Attention { .. } => {
                let kv = self.states.get(&self.graph.state(node)?)?.as_ref()?;
                let y = self.graph.ty(result(node)).shape.get(1)?.fixed()?;
                let parts = query_heads(y, kv.whole()?, self.which.ranks);
                let queries = Division { axis: 1, parts };
                let operands = vec![Share::Part(queries.clone())];
                Some(Shares {
                    operands,
                    results: vec![queries],
                })
            }
            Op::KvStore {} => {
                let parts = self.states.get(&self.graph.state(node)?)?.clone()?;
                let heads = Share::Part(Division { axis: 1, parts });
                Some(Shares {
                    operands: vec![heads.clone(), heads],
                    results: Vec::new(),
                })
            }
            Op::CausalConv {} => {
                let division = self.divisions.get(&result(node))?.clone();
                self.keeps_state(node, &division)?;
                let part = Share::Part(division.clone());
                Some(Shares {
                    operands: vec![part.clone(), part],
                    results: vec![division],
                })
            }
            Op::Split { .. } => self.split_shares(node),
            _ => match Factors::of(self.graph, node) {
                Some(factors) => self.product_shares(node, op, &factors),
                None => self.linked_shares(node),
            },
        }
    }

    /// Whether the state that an op works on is divided as its result.
    fn keeps_state(&self, node: NodeId, division: &Division) -> Option<()> {
        let parts = self.states.get(&self.graph.state(node)?)?.as_ref()?;
        (division.axis == 1 && *parts == division.parts).then_some(())
    }

    /// Some rows of the weight, and all of the input.
    fn product_shares(&self, node: NodeId, op: &Op, factors: &Factors) -> Option<Shares> {
        let division = self.divisions.get(&result(node))?.clone();
        let last = self.graph.ty(result(node)).rank() - 1;
        if division.axis != last {
            return None;
        }
        let mut operands = vec![Share::Whole; self.graph.operands(node).len()];
        operands[op.slot(factors.slot)?] = Share::Part(division.clone());
        Some(Shares {
            operands,
            results: vec![division],
        })
    }

    /// Every operand is divided as the result is, or broadcast, and one of them is there so already:
    /// what is whole on every rank is computed on every rank.
    fn linked_shares(&self, node: NodeId) -> Option<Shares> {
        let division = self.divisions.get(&result(node))?;
        let links = links(self.graph, node);
        let mut operands = Vec::new();
        let mut any = false;
        for operand in self.graph.operands(node) {
            operands.push(match operand {
                Operand::Value(v) => match links.iter().find(|link| link.operand == v) {
                    Some(link) if link.is_broadcast_along(self.graph, division.axis) => {
                        Share::Whole
                    }
                    Some(link) => {
                        let part = link.backward(self.graph, division)?;
                        any |= self.share(v, &part).is_some();
                        Share::Part(part)
                    }
                    // Numbers of rows, positions.
                    None => Share::Whole,
                },
                Operand::Weight(w) => self.weight_share(node, w, division)?,
                Operand::State(_) => return None,
            });
        }
        let results = vec![division.clone()];
        any.then_some(Shares { operands, results })
    }

    /// What a rank takes of a weight that is broadcast onto a divided result, or belongs to an axis
    /// that is not divided.
    fn weight_share(&self, node: NodeId, w: WeightId, division: &Division) -> Option<Share> {
        let (_, weight) = self.symbols.weight_of(w)?;
        let ty = self.graph.ty(result(node));
        // Weights of a norm's own for each row of a token may lie in one vector, which has no rows.
        let by_rows =
            weight.ty.rank() == 2 && matches!(self.graph.op(node), Some(Op::Rmsnorm { .. }));
        if by_rows {
            return None;
        }
        let axis = (division.axis + weight.ty.rank()).checked_sub(ty.rank());
        match axis {
            None => Some(Share::Whole),
            Some(axis) if weight.ty.shape[axis].fixed() == Some(1) => Some(Share::Whole),
            // Rows are chosen, not columns.
            Some(0) if weight.ty.rank() <= 2 => Some(Share::Part(Division {
                axis: 0,
                parts: division.parts.clone(),
            })),
            Some(_) => None,
        }
    }

    fn split_shares(&self, node: NodeId) -> Option<Shares> {
        let of = |v| self.divisions.get(&v).cloned();
        let results: Vec<Division> = self.graph.values(node).map(of).collect::<Option<_>>()?;
        let links = links(self.graph, node);
        let first = links.first()?;
        let along_another = first.backward(self.graph, &results[0]);
        let part = along_another.or_else(|| whole_of_parts(self.graph, node, of))?;
        let agree = links.iter().zip(&results);
        let agree = agree
            .into_iter()
            .all(|(link, d)| link.forward(self.graph, &part).as_ref() == Some(d));
        (agree && self.share(first.operand, &part).is_some()).then(|| Shares {
            operands: vec![Share::Part(part)],
            results,
        })
    }

    /// The op with the sizes of the rank's share.
    fn sized(&self, node: NodeId, op: &Op, results: &[Division]) -> Op {
        let count = |d: &Division| d.parts.of(self.which.rank).len() as u32;
        let mut op = op.clone();
        match (&mut op, results) {
            (Op::Reshape { dims }, [d]) => dims[d.axis - 1] = count(d),
            (Op::Split { axis, sizes }, results) => {
                let divided = sizes.iter_mut().zip(results);
                let divided = divided.filter(|(_, d)| d.axis == *axis as usize);
                divided.for_each(|(size, d)| *size = count(d));
            }
            _ => {}
        }
        debug_assert_eq!(results.len(), self.graph.results(node).len());
        op
    }

    fn operand(&mut self, operand: Operand, share: &Share) -> Result<Operand> {
        Ok(match (operand, share) {
            (Operand::Value(v), Share::Whole) => self.whole(v)?.into(),
            (Operand::Value(v), Share::Part(division)) => self.part(v, division)?.into(),
            (Operand::Weight(w), Share::Whole) => self.weight(w, None)?.into(),
            (Operand::Weight(w), Share::Part(division)) => {
                let rows = division.parts.of(self.which.rank).clone();
                self.weight(w, Some(rows))?.into()
            }
            // States are declared in their order, as they were.
            (Operand::State(_), _) => operand,
        })
    }

    fn share(&self, v: Value, division: &Division) -> Option<Value> {
        let mut shares = self.shares.get(&v)?.iter();
        shares.find(|(d, _)| d == division).map(|(_, new)| *new)
    }

    /// A value as every rank has it.
    fn whole(&mut self, v: Value) -> Result<Value> {
        if let Some(whole) = self.whole.get(&v) {
            return Ok(*whole);
        }
        let (division, share) = self.shares[&v][0].clone();
        let gather = Op::AllGather {
            axis: division.axis as u32,
            rank: self.which.rank as u32,
            parts: division.parts,
        };
        let whole = self.builder.value(gather, &[share.into()])?;
        if let Some(name) = self.graph.name(v) {
            self.builder.name(whole, name);
        }
        self.whole.insert(v, whole);
        Ok(whole)
    }

    /// The rank's part of a value.
    fn part(&mut self, v: Value, division: &Division) -> Result<Value> {
        if let Some(share) = self.share(v, division) {
            return Ok(share);
        }
        let whole = self.whole(v)?;
        let own = division.parts.of(self.which.rank);
        let part = self.cut(whole, division.axis, own)?;
        self.shares
            .entry(v)
            .or_default()
            .push((division.clone(), part));
        Ok(part)
    }

    /// Chosen indices of an axis.
    fn cut(&mut self, whole: Value, axis: usize, own: &RowSet) -> Result<Value> {
        let count = self.builder.ty(whole).shape[axis].fixed().unwrap_or(0);
        if own.len() == count {
            return Ok(whole);
        }
        let (mut sizes, mut chosen, mut at) = (SmallVec::<[u32; 4]>::new(), Vec::new(), 0);
        for range in own.ranges() {
            if range.start > at {
                sizes.push((range.start - at) as u32);
            }
            chosen.push(sizes.len() as u16);
            sizes.push(range.len() as u32);
            at = range.end;
        }
        if at < count {
            sizes.push((count - at) as u32);
        }
        let axis = axis as u32;
        let node = self
            .builder
            .op(Op::Split { axis, sizes }, &[whole.into()])?;
        let mut pieces = chosen.into_iter().map(|result| Value { node, result });
        let first = pieces.next().unwrap_or(whole);
        pieces.try_fold(first, |joined, piece| {
            let op = Op::Concat { axis };
            Ok(self.builder.value(op, &[joined.into(), piece.into()])?)
        })
    }

    /// A weight of the new module, with some of its rows or all.
    fn weight(&mut self, w: WeightId, rows: Option<RowSet>) -> Result<WeightId> {
        let Some((name, declared)) = self.symbols.weight_of(w) else {
            unreachable!("a graph that verifies names weights that there are");
        };
        let axis = declared.ty.rank().saturating_sub(2);
        let (rows, declared) = match rows {
            Some(rows) if declared.ty.shape[axis].fixed() != Some(rows.len()) => (rows, declared),
            Some(_) | None => return Ok(self.builder.symbols().weight(name, declared.clone())?),
        };
        let mut ty: TensorType = declared.ty.clone();
        ty.shape[axis] = rows.len().into();
        let share = Weight {
            ty,
            source: declared.source.clone(),
            rows: Some(match &declared.rows {
                Some(chosen) => chosen.select(&rows),
                None => rows,
            }),
        };
        // One weight may be divided in two ways.
        let names = (1..).map(|n| match n {
            1 => format!("{name}.shard"),
            n => format!("{name}.shard.{n}"),
        });
        let mut declared = names.map(|name| self.builder.symbols().weight(&name, share.clone()));
        match declared.find_map(std::result::Result::ok) {
            Some(id) => Ok(id),
            None => unreachable!("there is a name that nothing has"),
        }
    }
}
