//! One run of a graph for several sequences together.

use std::ops::Range;
use std::sync::Arc;

use sharpi_ir::{DType, Symbol};

use super::call::{Call, Input, shift};
use super::error::RunError;
use super::executable::{BoundGraph, BoundOutput, Executable};
use super::executor::Executor;
use super::memory::{Arena, Plain};
use super::ops::{Axis, Run, Segment, Slot};
use super::session::{Sequence, Session};
use super::state::State;

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

    /// Runs the graph.
    ///
    /// # Errors
    /// More tokens or rows than the graph takes, or fewer. The sequences are then as before.
    pub fn run(mut self) -> Result<Outputs, RunError> {
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
        let mut before = (0, 0);
        for entry in &self.entries {
            let arena = &mut turn.arena;
            (entry.call).write(self.graph, arena, entry.start, before);
            before = (before.0 + entry.call.tokens, before.1 + entry.call.rows);
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
        for Entry {
            sequence,
            call,
            tentative,
            start,
        } in &mut self.entries
        {
            sequence.advance(self.graph, *start + call.tokens, *tentative);
        }
        Ok(Outputs::copied(&turn.arena, self.graph, &self.entries))
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
    pub(super) fn view<'v>(&'v mut self, arena: &'v mut Arena, workers: usize) -> Run<'v> {
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
            workers,
        }
    }
}

/// Rows of a value in a run of so many tokens and rows of logits.
pub(super) fn count(slot: &Slot, (tokens, rows): (usize, usize)) -> usize {
    match slot.axis {
        Axis::Tokens => tokens,
        Axis::Rows => rows,
    }
}

/// What a run gave.
#[derive(Clone, PartialEq, Debug)]
pub struct Outputs {
    values: Vec<Output>,
    /// Of each sequence its tokens and its rows of logits.
    sequences: Vec<[Range<usize>; 2]>,
}

#[derive(Clone, PartialEq, Debug)]
struct Output {
    name: String,
    axis: Axis,
    /// Elements of a row; bytes, if they are neither f32 nor i32.
    width: usize,
    data: Data,
}

/// The elements of an output.
#[derive(Clone, PartialEq, Debug)]
enum Data {
    F32(Vec<f32>),
    I32(Vec<i32>),
    Other(Vec<u8>),
}

impl Outputs {
    fn copied(arena: &Arena, graph: &BoundGraph, entries: &[Entry<'_>]) -> Outputs {
        let (mut tokens, mut rows) = (0, 0);
        let sequences = entries.iter().map(|entry| {
            let all = [
                tokens..tokens + entry.call.tokens,
                rows..rows + entry.call.rows,
            ];
            (tokens, rows) = (all[0].end, all[1].end);
            all
        });
        let sequences: Vec<_> = sequences.collect();
        let values = graph.outputs.iter().map(|(name, output)| {
            let slot = &output.slot;
            let count = count(slot, (tokens, rows));
            let width = slot.width();
            let data = match slot.dtype {
                DType::F32 => Data::F32(copy(arena, slot, count * width)),
                DType::I32 => {
                    let mut numbers: Vec<i32> = copy(arena, slot, count * width);
                    own_numbers(&mut numbers, output, &sequences);
                    Data::I32(numbers)
                }
                _ => Data::Other(copy(arena, slot, count * slot.stride_bytes())),
            };
            Output {
                name: name.clone(),
                axis: slot.axis,
                width: match data {
                    Data::Other(_) => slot.stride_bytes(),
                    Data::F32(_) | Data::I32(_) => width,
                },
                data,
            }
        });
        Outputs {
            values: values.collect(),
            sequences,
        }
    }

    /// An f32 output's values, row-major, those of all sequences one behind the other: `h` is
    /// `[T, E]`, `logits` is `[R, V]`. `None` for outputs of other elements.
    pub fn get(&self, name: &str) -> Option<&[f32]> {
        match &self.find(name)?.data {
            Data::F32(x) => Some(x),
            Data::I32(_) | Data::Other(_) => None,
        }
    }

    /// [`Outputs::get`] of the `sequence`-th that was added.
    pub fn of(&self, sequence: usize, name: &str) -> Option<&[f32]> {
        let range = self.range(sequence, name)?;
        self.get(name)?.get(range)
    }

    /// An output of whole numbers, such as the experts that a router has chosen.
    pub fn numbers(&self, name: &str) -> Option<&[i32]> {
        match &self.find(name)?.data {
            Data::I32(x) => Some(x),
            Data::F32(_) | Data::Other(_) => None,
        }
    }

    /// An output of rounded rows, in blocks of its type.
    pub fn bytes(&self, name: &str) -> Option<&[u8]> {
        match &self.find(name)?.data {
            Data::Other(x) => Some(x),
            Data::F32(_) | Data::I32(_) => None,
        }
    }

    /// Takes an f32 output out, without copying it.
    pub fn take(&mut self, name: &str) -> Option<Vec<f32>> {
        let output = self.values.iter_mut().find(|o| o.name == name)?;
        match &mut output.data {
            Data::F32(x) => Some(std::mem::take(x)),
            Data::I32(_) | Data::Other(_) => None,
        }
    }

    fn find(&self, name: &str) -> Option<&Output> {
        self.values.iter().find(|o| o.name == name)
    }

    /// Which elements of an output belong to a sequence.
    fn range(&self, sequence: usize, name: &str) -> Option<Range<usize>> {
        let output = self.find(name)?;
        let [tokens, rows] = self.sequences.get(sequence)?;
        let rows = match output.axis {
            Axis::Tokens => tokens,
            Axis::Rows => rows,
        };
        Some(rows.start * output.width..rows.end * output.width)
    }
}

/// Turns numbers of the run's tokens or rows into those of each sequence's own.
fn own_numbers(numbers: &mut [i32], output: &BoundOutput, sequences: &[[Range<usize>; 2]]) {
    let width = output.slot.width();
    for [tokens, rows] in sequences {
        let range = match output.slot.axis {
            Axis::Tokens => tokens,
            Axis::Rows => rows,
        };
        let shift = shift(output.index, (tokens.start, rows.start));
        let own = &mut numbers[range.start * width..range.end * width];
        own.iter_mut().for_each(|x| *x -= shift);
    }
}

fn copy<T: Plain>(arena: &Arena, slot: &Slot, count: usize) -> Vec<T> {
    arena.slice(slot.offset, count).to_vec()
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
