//! One module in, one for each rank out: graphs that several processes run together, each with a
//! share of the weights and of the states, and that give the bits of the whole.
//!
//! Only outputs are divided, never a sum: a rank computes some of a product's columns, some heads,
//! some channels, each from a whole input, so that every number is made by the same arithmetic in
//! the same order. What an op needs whole is put together before it by `all_gather`.
//!
//! First each value gets its division ([`assign`]): heads decide around a scan and an attention;
//! what a product takes in is divided in whole blocks of every activation format, so that it can be
//! rounded before it is gathered; then the columns of all other products. Ops that work on each
//! index of an axis by itself hand a division on ([`links`]). Then the graph is built anew for one
//! rank ([`rebuild`]). What is cheaper to compute than to exchange, every rank computes: norms, and
//! products with few columns. All ranks come to the same decisions, so that their gathers meet.

mod assign;
mod heads;
mod links;
mod rebuild;

use indexmap::IndexMap;
use sharpi_ir::{BuildError, Graph, Module, NodeId, Op, Parts, Redeclared, StateId, StateType};

use assign::{Divisions, assign};
use heads::{kv_heads, scan_heads};
use rebuild::Rebuild;

/// Which share of a module is meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shard {
    /// How many ranks run the module together.
    pub ranks: usize,
    /// One of them, from 0 on.
    pub rank: usize,
}

/// Most ranks: a share of less than a thousandth is none.
const MOST_RANKS: usize = 1024;

/// How the indices along an axis of a value are divided among the ranks.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Division {
    axis: usize,
    parts: Parts,
}

/// Why a module cannot be divided.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShardError {
    /// There is no such rank.
    #[error(
        "there is no rank {rank} of {ranks}; there are 1 to {MOST_RANKS} ranks, counted from 0"
    )]
    NoRank {
        /// The rank.
        rank: usize,
        /// How many there are.
        ranks: usize,
    },
    /// An op that passes have made.
    #[error("`{0}` is for passes to make; graphs are divided as they are imported")]
    NotImported(&'static str),
    /// An op that does not take its share.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// A name that means something else already.
    #[error(transparent)]
    Name(#[from] Redeclared),
}

/// The share of one rank of a module as imported.
///
/// # Errors
/// A rank that there is not; ops that are not imported.
pub fn shard(module: &Module, which: Shard) -> Result<Module, ShardError> {
    let Shard { ranks, rank } = which;
    if rank >= ranks || ranks > MOST_RANKS {
        return Err(ShardError::NoRank { rank, ranks });
    }
    let ops = module
        .graphs
        .values()
        .flat_map(|g| g.nodes().filter_map(|n| g.op(n)));
    if let Some(op) = ops.into_iter().find(|op| !op.facts().imported) {
        return Err(ShardError::NotImported(op.mnemonic()));
    }
    if ranks == 1 {
        return Ok(module.clone());
    }
    let graphs = module.graphs.values();
    let divisions: Vec<Divisions> = graphs
        .map(|graph| assign(graph, &module.symbols, ranks))
        .collect();
    let mut states = IndexMap::new();
    for (graph, divisions) in module.graphs.values().zip(&divisions) {
        for node in graph.order() {
            if let Some(id) = graph.state(node) {
                let parts = state_parts(module, graph, node, divisions, ranks);
                // Ops that do not agree work on the whole.
                let same = states.entry(id).or_insert_with(|| parts.clone());
                *same = same.take().filter(|same| Some(same) == parts.as_ref());
            }
        }
    }
    let mut share = Module::new(&*module.name);
    for (id, name, ty) in module.symbols.states() {
        let parts = states.get(&id).and_then(Option::as_ref);
        let ty = parts.map_or(ty.clone(), |parts| share_of(ty, parts.of(rank).len()));
        share.symbols.state(name, ty)?;
    }
    for ((name, graph), divisions) in module.graphs.iter().zip(&divisions) {
        let rebuild = Rebuild::new(
            graph,
            &module.symbols,
            &mut share.symbols,
            divisions,
            &states,
            which,
        );
        let graph = rebuild.graph()?;
        share.graphs.insert(name.clone(), graph);
    }
    Ok(share)
}

/// Of each divided state the heads or channels of the ranks.
type StateParts = IndexMap<StateId, Option<Parts>>;

/// Which heads or channels of its state an op would give to the ranks.
fn state_parts(
    module: &Module,
    graph: &Graph,
    node: NodeId,
    divisions: &Divisions,
    ranks: usize,
) -> Option<Parts> {
    let (_, ty) = module.symbols.state_of(graph.state(node)?)?;
    match (graph.op(node)?, ty) {
        (Op::Attention { .. } | Op::KvStore {}, StateType::Kv { heads, .. }) => {
            Some(kv_heads(*heads, ranks))
        }
        (Op::GdnScan { .. }, StateType::Recurrent(_)) => Some(scan_heads(graph, node, ranks)?.v),
        (Op::CausalConv {}, StateType::Recurrent(_)) => {
            let result = graph.values(node).next()?;
            divisions
                .get(&result)
                .filter(|d| d.axis == 1)
                .map(|d| d.parts.clone())
        }
        _ => None,
    }
}

/// A state with so many of its heads or channels.
fn share_of(ty: &StateType, count: usize) -> StateType {
    let mut ty = ty.clone();
    match &mut ty {
        StateType::Kv { heads, .. } => *heads = count,
        StateType::Recurrent(held) => {
            // A scan's heads come first, the channels of a convolution last.
            let axis = if held.rank() == 3 { 0 } else { held.rank() - 1 };
            held.shape[axis] = count.into();
        }
    }
    ty
}
