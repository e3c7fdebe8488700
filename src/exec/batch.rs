//! One run of a graph for several sequences together.

use std::sync::Arc;

use sharpi_ir::Symbol;

use super::call::{Call, Input};
use super::error::RunError;
use super::executable::{BoundGraph, Executable};
use super::executor::Executor;
use super::memory::Arena;
use super::ops::{Run, Segment};
use super::outputs::{Outputs, Views};
use super::peers::Peers;
use super::session::{Sequence, Session};
use super::state::State;
use crate::ranks::{Command, SequenceRun, Talk};

/// A run of a graph in the making: sequences are added, then it runs once for all of them.
///
/// What a sequence gets does not depend on who else is in the run, bit for bit.
pub struct Batch<'a> {
    executor: &'a Executor,
    name: &'a str,
    graph: &'a BoundGraph,
    entries: Vec<Entry<'a>>,
    tokens: usize,
    rows: usize,
}

/// A sequence in a run.
struct Entry<'a> {
    sequence: &'a mut Sequence,
    call: Call<'a>,
    tentative: bool,
    /// Position of the first token.
    start: usize,
}

impl<'a> Batch<'a> {
    pub(super) fn new(executor: &'a Executor, graph: &str) -> Result<Batch<'a>, RunError> {
        let (name, graph) = executor.executable().bound(graph)?;
        Ok(Batch {
            executor,
            name,
            graph,
            entries: Vec::new(),
            tokens: 0,
            rows: 0,
        })
    }

    /// Adds a sequence's next tokens; positions need not be given. Numbers of rows count its own
    /// tokens.
    ///
    /// # Errors
    /// A session of another model; a missing, unknown or ill-shaped input; an id outside the
    /// vocabulary; positions that do not go on from where the states stand; the end of the context.
    /// The batch is then as before.
    pub fn push(
        &mut self,
        session: &'a mut Session,
        inputs: &[(&str, Input<'a>)],
    ) -> Result<(), RunError> {
        self.add(session, inputs, false)
    }

    /// [`Batch::push`] of tokens that can be taken back, as those of [`Session::run_tentative`].
    ///
    /// # Errors
    /// As [`Batch::push`]; besides, more tokens than can be taken back.
    pub fn push_tentative(
        &mut self,
        session: &'a mut Session,
        inputs: &[(&str, Input<'a>)],
    ) -> Result<(), RunError> {
        self.add(session, inputs, true)
    }

    fn add(
        &mut self,
        session: &'a mut Session,
        inputs: &[(&str, Input<'a>)],
        tentative: bool,
    ) -> Result<(), RunError> {
        let ours = self.executor.executable();
        if !Arc::ptr_eq(ours, session.executable()) {
            return Err(RunError::OtherModel);
        }
        self.add_sequence(session.sequence(), inputs, tentative)
    }

    pub(super) fn add_sequence(
        &mut self,
        sequence: &'a mut Sequence,
        inputs: &[(&str, Input<'a>)],
        tentative: bool,
    ) -> Result<(), RunError> {
        let start = sequence.stands(self.name, self.graph)?;
        let call = Call::check(self.name, self.graph, inputs, start)?;
        sequence.check_end(self.graph, start + call.tokens)?;
        if tentative {
            sequence.check_rollback(self.graph, call.tokens)?;
        }
        self.tokens += call.tokens;
        self.rows += call.rows;
        self.entries.push(Entry {
            sequence,
            call,
            tentative,
            start,
        });
        Ok(())
    }

    /// Tokens added so far.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// Rows of logits asked for so far.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Whether no sequence was added.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Runs the graph.
    ///
    /// # Errors
    /// More tokens or rows than the graph takes, or fewer. The sequences are then as before. Another
    /// rank that is in the way: then nothing can go on.
    pub fn run(self) -> Result<Outputs, RunError> {
        self.run_then(|views| views.copied())
    }

    /// Has the ranks that this one leads run the same. Until the run is over nobody else talks to
    /// them.
    fn tell_others(&self) -> Result<Option<Talk<'a>>, RunError> {
        let Some(remote) = self.executor.remote() else {
            return Ok(None);
        };
        let sequences = self.entries.iter().filter_map(|entry| {
            Some(SequenceRun {
                session: entry.sequence.remote.as_ref()?.id,
                inputs: entry.call.named(self.graph),
                tentative: entry.tentative,
            })
        });
        let run = Command::Run {
            executor: remote.id,
            graph: self.name.into(),
            sequences: sequences.collect(),
        };
        let talk = remote.leader.talk();
        talk.tell(&run)?;
        Ok(Some(talk))
    }

    /// Runs the graph and shows its outputs where they lie, which spares copying them. Until `look`
    /// is done no other run begins; it must not wait for one.
    ///
    /// # Errors
    /// As [`Batch::run`].
    pub fn run_then<R>(mut self, look: impl FnOnce(&mut Views<'_>) -> R) -> Result<R, RunError> {
        let (tokens, rows) = (self.tokens, self.rows);
        for (symbol, count) in [(Symbol::TOKENS, tokens), (Symbol::ROWS, rows)] {
            let range = self.graph.bounds.get(&symbol);
            if let Some(range) = range.filter(|range| !range.contains(&count)) {
                return Err(RunError::Width {
                    graph: self.name.into(),
                    symbol,
                    count,
                    range: range.clone(),
                });
            }
        }
        let mut turn = self.executor.turn()?;
        let talk = self.tell_others()?;
        let mut sequences = Vec::with_capacity(self.entries.len());
        let mut before = (0, 0);
        for Entry { call, start, .. } in &self.entries {
            call.write(self.graph, &mut turn.arena, *start, before);
            let end = (before.0 + call.tokens, before.1 + call.rows);
            sequences.push([before.0..end.0, before.1..end.1]);
            before = end;
        }
        let mut job = Job {
            info: JobInfo {
                name: self.name,
                graph: self.graph,
                position: self.entries.first().map_or(0, |e| e.start),
            },
            entries: &mut self.entries,
            tokens,
            rows,
        };
        turn.execute(&mut job);
        drop(talk);
        self.executor.peers().map_or(Ok(()), Peers::check)?;
        for Entry {
            sequence,
            call,
            tentative,
            start,
        } in &mut self.entries
        {
            sequence.advance(self.graph, *start + call.tokens, *tentative);
        }
        Ok(look(&mut Views {
            arena: &mut turn.arena,
            graph: self.graph,
            sequences,
        }))
    }
}

/// What a run is about.
#[derive(Clone, Copy)]
pub(super) struct JobInfo<'a> {
    pub(super) name: &'a str,
    pub(super) graph: &'a BoundGraph,
    /// Position of the first sequence's first token.
    pub(super) position: usize,
}

/// What an executor is to run.
pub(super) struct Job<'j, 'a> {
    pub(super) info: JobInfo<'a>,
    entries: &'j mut [Entry<'a>],
    pub(super) tokens: usize,
    pub(super) rows: usize,
}

impl Job<'_, '_> {
    /// What the kernels see.
    pub(super) fn view<'v>(&'v mut self, arena: &'v mut Arena, executor: &'v Executor) -> Run<'v> {
        let mut first = 0;
        let mut segments = Vec::with_capacity(self.entries.len());
        for entry in self.entries.iter_mut().filter(|e| e.call.tokens > 0) {
            let tokens = first..first + entry.call.tokens;
            first = tokens.end;
            segments.push(Segment {
                tokens,
                states: entry.sequence.states.iter_mut().map(State::view).collect(),
                tentative: entry.tentative,
            });
        }
        Run {
            arena: arena.share(),
            segments,
            tokens: self.tokens,
            rows: self.rows,
            workers: executor.threads(),
            peers: executor.peers(),
        }
    }
}

impl Executable {
    /// A graph with its name as the module has it.
    pub(super) fn bound(&self, graph: &str) -> Result<(&str, &BoundGraph), RunError> {
        let found = self.graphs.get_key_value(graph);
        let (name, graph) = found.ok_or_else(|| {
            let known: Vec<&str> = self.graphs.keys().map(String::as_str).collect();
            RunError::NoGraph {
                name: graph.into(),
                known: known.join(", "),
            }
        })?;
        Ok((name, graph))
    }
}
