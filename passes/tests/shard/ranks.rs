//! The shares of a module run together, a thread each, by the evaluator.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use sharpi_evaluator::{Evaluator, Tensor};
use sharpi_ir::{Module, Weight};
use sharpi_passes::{Shard, shard};

use crate::meaning::{RUNS, inputs, made_up};

/// The outputs of several runs.
type Outputs = Vec<BTreeMap<String, Tensor>>;

/// Whether so many ranks give the outputs of the whole module, each of them.
pub fn same(
    whole: &Module,
    ranks: usize,
    prepare: &(dyn Fn(Module) -> Module + Sync),
) -> Result<(), String> {
    for name in whole.graphs.keys() {
        let expected = outputs(whole, whole, name, None)?;
        for (rank, found) in of_ranks(whole, name, ranks, prepare)?.iter().enumerate() {
            if *found != expected {
                return Err(format!("@{name}: rank {rank} of {ranks} has other numbers"));
            }
        }
    }
    Ok(())
}

/// The outputs of each rank.
fn of_ranks(
    whole: &Module,
    name: &str,
    ranks: usize,
    prepare: &(dyn Fn(Module) -> Module + Sync),
) -> Result<Vec<Outputs>, String> {
    let run = |rank: usize, peers: Peers| {
        let share = shard(whole, Shard { ranks, rank }).map_err(|e| e.to_string())?;
        outputs(&prepare(share), whole, name, Some(peers))
    };
    thread::scope(|scope| {
        let peers = peers(ranks).into_iter().enumerate();
        let threads = peers.map(|(rank, peers)| scope.spawn(move || run(rank, peers)));
        let threads: Vec<_> = threads.collect();
        let join =
            |thread: thread::ScopedJoinHandle<'_, _>| thread.join().map_err(|_| "a rank panics")?;
        threads.into_iter().map(join).collect()
    })
}

/// What a rank sends to and receives from each, itself among them.
struct Peers {
    to: Vec<Sender<Tensor>>,
    from: Vec<Receiver<Tensor>>,
}

fn peers(ranks: usize) -> Vec<Peers> {
    let mut all: Vec<Peers> = Vec::new();
    all.resize_with(ranks, || Peers {
        to: Vec::new(),
        from: Vec::new(),
    });
    for from in 0..ranks {
        for to in 0..ranks {
            let (sender, receiver) = channel();
            all[from].to.push(sender);
            all[to].from.push(receiver);
        }
    }
    all
}

impl Peers {
    /// A rank that has failed has dropped its ends.
    fn exchange(&self, x: &Tensor) -> Result<Vec<Tensor>, String> {
        for to in &self.to {
            to.send(x.clone()).map_err(|_| "another rank has ended")?;
        }
        let given = self.from.iter().map(|from| from.recv());
        given
            .map(|x| x.map_err(|_| "another rank has ended".into()))
            .collect()
    }
}

/// The outputs of a module, of whose weights `whole` has all rows.
fn outputs(
    module: &Module,
    whole: &Module,
    name: &str,
    peers: Option<Peers>,
) -> Result<Outputs, String> {
    let evaluator = Evaluator::new(module, &|name, weight| Some(rows_of(whole, name, weight)));
    let mut evaluator = evaluator.map_err(|e| e.to_string())?;
    if let Some(peers) = peers {
        evaluator = evaluator.with_ranks(move |x| peers.exchange(x));
    }
    let graph = &module.graphs[name];
    let runs = RUNS.iter().zip(1..).map(|(widths, seed)| {
        evaluator
            .run(name, &inputs(graph, *widths, seed))
            .map_err(|e| e.to_string())
    });
    runs.collect()
}

/// The rows of a weight that a share has.
fn rows_of(whole: &Module, name: &str, weight: &Weight) -> Tensor {
    let name = name.split(".shard").next().unwrap_or(name);
    let declared = whole
        .symbols
        .find_weight(name)
        .and_then(|id| whole.symbols.weight_of(id));
    let (_, declared) = declared.expect("a weight of the whole module");
    let all = made_up(name, declared);
    let Some(rows) = &weight.rows else {
        return all;
    };
    // Where they stand among those that the whole module has.
    let rows = rows.ranges().iter().cloned().flatten();
    let rows: Vec<usize> = match &declared.rows {
        None => rows.collect(),
        Some(had) => {
            let had: Vec<usize> = had.ranges().iter().cloned().flatten().collect();
            let place = |row| had.iter().position(|had| *had == row);
            rows.map(|row| place(row).expect("a row that the whole has"))
                .collect()
        }
    };
    let dims = all.dims();
    let n = if dims.len() == 1 {
        1
    } else {
        dims[dims.len() - 1]
    };
    let of_each = all.data().len() / n / dims.iter().rev().skip(2).product::<usize>();
    let matrices = all.data().chunks_exact(of_each * n);
    let chosen = matrices.flat_map(|matrix| {
        let row = |row: &usize| matrix[row * n..][..n].to_vec();
        rows.iter().flat_map(row).collect::<Vec<f64>>()
    });
    let dims: Vec<usize> = weight
        .ty
        .shape
        .iter()
        .filter_map(|dim| dim.fixed())
        .collect();
    Tensor::new(dims, chosen.collect()).expect("as many numbers as the type says")
}
