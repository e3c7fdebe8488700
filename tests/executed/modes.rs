//! The ways in which a run can be made, all of which give the same bits.

use std::sync::Arc;

use sharpi_compile::exec::Executor;
use sharpi_compile::ir::{Dim, Graph, Index, NodeKind, Symbol, TensorType};
use sharpi_compile::{Outputs, RunError, Session};

use crate::case::{Case, Run};
use crate::engine::{AllBits, Bits, Elements, session};

/// How the runs of a case are made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// One after another, dead bytes overwritten.
    Plain,
    /// Each in runs of one token.
    TokenByToken,
    /// Each tentatively and taken back, then tentatively again and kept.
    Tentative,
    /// Each together with a second sequence that is given the same.
    InCompany,
    /// Each behind a second sequence that is given its first token alone.
    BehindAnother,
}

impl Mode {
    pub const ALL: [Mode; 5] = [
        Mode::Plain,
        Mode::TokenByToken,
        Mode::Tentative,
        Mode::InCompany,
        Mode::BehindAnother,
    ];

    /// The outputs of every run; `None` where a run cannot be made in this way.
    pub fn run(
        self,
        case: &Case,
        executor: &Arc<Executor>,
    ) -> Result<Option<Vec<AllBits>>, String> {
        if !self.suits(case) {
            return Ok(None);
        }
        let [mut first, mut second, mut alone] = [(); 3].map(|()| session(executor));
        executor.poison(self == Mode::Plain);
        let mut all = Vec::new();
        for run in &case.runs {
            let none = run.inputs.iter().any(|(_, x)| x.dims()[0] == 0);
            let outputs = match self {
                // Without a token there is nothing to cut or to give another.
                Mode::TokenByToken | Mode::BehindAnother if none => plain(&mut first, run),
                Mode::Plain => plain(&mut first, run),
                Mode::TokenByToken => token_by_token(&mut first, run),
                Mode::Tentative => tentative(&mut first, run),
                Mode::InCompany => in_company(executor, [&mut first, &mut second], run),
                Mode::BehindAnother => {
                    behind_another(executor, [&mut first, &mut second, &mut alone], run)
                }
            };
            all.push(outputs.map_err(|e| format!("{}: {self:?}: {e}", run.place))?);
        }
        Ok(Some(all))
    }

    /// Whether all runs of a case can be made in this way.
    pub fn suits(self, case: &Case) -> bool {
        let possible = |run: &Run| self.is_possible(&case.module.graphs[&run.graph], run);
        case.runs.iter().all(possible)
    }

    fn is_possible(self, graph: &Graph, run: &Run) -> bool {
        let tokens = tokens(graph, run);
        let most = |symbol| {
            graph
                .bounds()
                .get(&symbol)
                .map_or(usize::MAX, |range| *range.end())
        };
        match self {
            Mode::Plain | Mode::Tentative => true,
            Mode::TokenByToken => by_token(graph),
            Mode::BehindAnother => by_token(graph) && tokens < most(Symbol::TOKENS),
            Mode::InCompany => {
                2 * tokens <= most(Symbol::TOKENS) && 2 * rows(graph, run) <= most(Symbol::ROWS)
            }
        }
    }
}

/// Whether a run may have one token, and all that goes in and out stands by tokens and speaks of no
/// other tokens.
fn by_token(graph: &Graph) -> bool {
    let one = graph
        .bounds()
        .get(&Symbol::TOKENS)
        .is_some_and(|range| range.contains(&1));
    let inputs = graph
        .inputs()
        .iter()
        .map(|node| &graph.results(*node)[0].ty);
    let outputs = graph.outputs().values().map(|v| graph.ty(*v));
    let stands = |ty: &TensorType| {
        let counts = matches!(ty.index, Some(Index::Below(Dim::Sym(_))));
        ty.shape.first() == Some(&Dim::Sym(Symbol::TOKENS)) && !counts
    };
    one && inputs.chain(outputs).all(stands)
}

fn size(graph: &Graph, run: &Run, symbol: Symbol) -> usize {
    let nodes = graph
        .inputs()
        .iter()
        .map(|node| (graph.kind(*node), &graph.results(*node)[0].ty));
    let mut sizes = nodes.filter_map(|(kind, ty)| {
        let NodeKind::Input(name) = kind else {
            return None;
        };
        let (_, x) = run.inputs.iter().find(|(given, _)| given == name)?;
        (ty.shape.first() == Some(&Dim::Sym(symbol))).then(|| x.dims()[0])
    });
    sizes.next().unwrap_or(0)
}

/// Tokens of a run.
pub fn tokens(graph: &Graph, run: &Run) -> usize {
    size(graph, run, Symbol::TOKENS)
}

fn rows(graph: &Graph, run: &Run) -> usize {
    size(graph, run, Symbol::ROWS)
}

type Ran = Result<AllBits, RunError>;

/// All outputs of a graph.
fn bits(session: &Session, graph: &str, outputs: &Outputs) -> AllBits {
    let names = session.executable().module().graphs[graph].outputs().keys();
    names
        .map(|name| (name.clone(), Bits::of(outputs, name).expect("an output")))
        .collect()
}

fn whole(run: &Run) -> Vec<Elements<'_>> {
    Elements::of(run, |x| x.data().to_vec())
}

fn plain(session: &mut Session, run: &Run) -> Ran {
    let inputs = whole(run);
    let inputs: Vec<_> = inputs.iter().map(Elements::input).collect();
    let outputs = session.run(&run.graph, &inputs)?;
    Ok(bits(session, &run.graph, &outputs))
}

/// What a run is given for one of its tokens.
fn token(run: &Run, t: usize) -> Vec<Elements<'_>> {
    Elements::of(run, |x| {
        let width = x.data().len() / x.dims()[0];
        x.data()[t * width..(t + 1) * width].to_vec()
    })
}

fn token_by_token(session: &mut Session, run: &Run) -> Ran {
    let tokens = run.inputs[0].1.dims()[0];
    let mut all: Option<AllBits> = None;
    for t in 0..tokens {
        let one = token(run, t);
        let inputs: Vec<_> = one.iter().map(Elements::input).collect();
        let outputs = session.run(&run.graph, &inputs)?;
        let more = bits(session, &run.graph, &outputs);
        match &mut all {
            None => all = Some(more),
            Some(all) => more.into_iter().for_each(|(name, bits)| {
                all.get_mut(&name)
                    .expect("the outputs of one graph")
                    .append(bits);
            }),
        }
    }
    Ok(all.unwrap_or_default())
}

fn tentative(session: &mut Session, run: &Run) -> Ran {
    let inputs = whole(run);
    let inputs: Vec<_> = inputs.iter().map(Elements::input).collect();
    let start = session.position(&run.graph);
    let taken_back = session.run_tentative(&run.graph, &inputs)?;
    session.truncate(&run.graph, start)?;
    let kept = session.run_tentative(&run.graph, &inputs)?;
    assert!(
        taken_back == kept,
        "{}: a run that was taken back left a trace",
        run.place
    );
    Ok(bits(session, &run.graph, &kept))
}

/// Both sequences are given the same and have to get the same, which is what the first gets.
fn in_company(executor: &Arc<Executor>, sessions: [&mut Session; 2], run: &Run) -> Ran {
    let inputs = whole(run);
    let inputs: Vec<_> = inputs.iter().map(Elements::input).collect();
    let [first, second] = sessions;
    let outputs = {
        let mut batch = executor.batch(&run.graph)?;
        batch.push(&mut *first, &inputs)?;
        batch.push(&mut *second, &inputs)?;
        batch.run()?
    };
    let mut all = bits(first, &run.graph, &outputs);
    for (name, both) in &mut all {
        let half = both.take_rest(2);
        assert!(
            half == *both,
            "{}: %{name} of two that are given the same",
            run.place
        );
    }
    Ok(all)
}

/// The second sequence has to get what it gets alone, and is the further behind the more it runs.
fn behind_another(executor: &Arc<Executor>, sessions: [&mut Session; 3], run: &Run) -> Ran {
    let [first, second, alone] = sessions;
    let (one, all) = (token(run, 0), whole(run));
    let one: Vec<_> = one.iter().map(Elements::input).collect();
    let all: Vec<_> = all.iter().map(Elements::input).collect();
    let expected = alone.run(&run.graph, &one)?;
    let expected = bits(alone, &run.graph, &expected);
    let outputs = {
        let mut batch = executor.batch(&run.graph)?;
        batch.push(&mut *second, &one)?;
        batch.push(&mut *first, &all)?;
        batch.run()?
    };
    let parts = run.inputs[0].1.dims()[0] + 1;
    let mut found = bits(first, &run.graph, &outputs);
    let rest = found
        .iter_mut()
        .map(|(name, both)| (name.clone(), both.take_rest(parts)));
    let rest: AllBits = rest.collect();
    assert!(found == expected, "{}: the sequence before", run.place);
    Ok(rest)
}
