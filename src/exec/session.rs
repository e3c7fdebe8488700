//! A session: the states of one sequence, an arena, and the threads that run its graphs.

use std::sync::Arc;

use sharpi_ir::Symbol;

use crate::kernels::memory::Arena;
use crate::kernels::ops::{Axis, Kernel, Run, Slot};

use super::error::RunError;
use super::executable::{BoundGraph, Executable};
use super::region::Workers;
use super::state::State;

/// How large a session is and how many threads it uses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SessionOptions {
    /// Positions that the attention caches hold.
    pub context: usize,
    /// Worker threads. The results do not depend on it.
    pub threads: usize,
}

impl Default for SessionOptions {
    fn default() -> SessionOptions {
        SessionOptions {
            context: 4096,
            threads: std::thread::available_parallelism().map_or(1, |n| n.get()),
        }
    }
}

/// A graph input.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// Token ids, positions, row numbers.
    I32(&'a [i32]),
    /// Hidden states, row after row.
    F32(&'a [f32]),
}

impl Input<'_> {
    fn len(&self) -> usize {
        match self {
            Input::I32(x) => x.len(),
            Input::F32(x) => x.len(),
        }
    }
}

/// What a run left in the arena.
pub struct Outputs<'s> {
    arena: &'s Arena,
    graph: &'s BoundGraph,
    tokens: usize,
    rows: usize,
}

impl Outputs<'_> {
    /// An output's values, row-major: `h` is `[T, E]`, `logits` is `[R, V]`.
    pub fn get(&self, name: &str) -> Option<&[f32]> {
        let slot = self.graph.outputs.get(name)?;
        Some(values(self.arena, slot, self.tokens, self.rows))
    }
}

fn values<'a>(arena: &'a Arena, slot: &Slot, tokens: usize, rows: usize) -> &'a [f32] {
    let count = match slot.axis {
        Axis::Tokens => tokens,
        Axis::Rows => rows,
    };
    arena.slice(slot.offset, count * slot.width())
}

/// One sequence being evaluated.
///
/// The logits of a position depend on the tokens before it and nothing else, bit for bit: not on
/// how a prompt was cut into runs, not on the number of threads.
pub struct Session {
    executable: Arc<Executable>,
    workers: Workers,
    states: Vec<State>,
    arena: Arena,
    context: usize,
}

impl Session {
    /// A fresh sequence.
    ///
    /// # Errors
    /// A context that cannot be held, or threads that cannot be started.
    pub fn new(executable: Arc<Executable>, options: &SessionOptions) -> Result<Session, RunError> {
        let types = executable.module().symbols.states();
        let states: Result<Vec<State>, RunError> = types
            .map(|(_, _, ty)| State::new(ty, options.context))
            .collect();
        let arena_bytes = executable.graphs.values().map(|g| g.arena_bytes).max();
        Ok(Session {
            workers: Workers::new(options.threads)?,
            states: states?,
            arena: Arena::new(arena_bytes.unwrap_or(0)),
            context: options.context,
            executable,
        })
    }

    /// The compiled model.
    pub fn executable(&self) -> &Arc<Executable> {
        &self.executable
    }

    /// Positions that the caches hold.
    pub fn context(&self) -> usize {
        self.context
    }

    /// Tokens that the states of a graph have consumed: the position of its next run.
    pub fn position(&self, graph: &str) -> usize {
        let graph = self.executable.graphs.get(graph);
        let states = graph.into_iter().flat_map(|g| &g.states);
        states
            .map(|s| self.states[s.index()].consumed)
            .max()
            .unwrap_or(0)
    }

    /// Forgets the sequence.
    pub fn reset(&mut self) {
        self.states.iter_mut().for_each(State::reset);
    }

    /// Goes back to the first `tokens` tokens of a graph that keeps nothing but KV caches, as the
    /// MTP head does.
    ///
    /// # Errors
    /// A graph with recurrent states, which cannot go back, or more tokens than there are.
    pub fn truncate(&mut self, graph: &str, tokens: usize) -> Result<(), RunError> {
        let bound = self.graph(graph)?;
        let states: Vec<usize> = bound.states.iter().map(|s| s.index()).collect();
        let fits = |i: &usize| self.states[*i].is_cache() && self.states[*i].consumed >= tokens;
        if !states.iter().all(fits) {
            return Err(RunError::Truncate {
                graph: graph.into(),
                tokens,
            });
        }
        states
            .iter()
            .for_each(|&i| self.states[i].consumed = tokens);
        Ok(())
    }

    fn graph(&self, name: &str) -> Result<&BoundGraph, RunError> {
        self.executable.graphs.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.executable.graphs.keys().map(String::as_str).collect();
            RunError::NoGraph {
                name: name.into(),
                known: known.join(", "),
            }
        })
    }

    /// Runs a graph once. For both graphs of a model `ids: i32[T]` are the tokens, `pos: i32[T]`
    /// their positions (one after another, from where the graph's states stand), `rows: i32[R]`
    /// the tokens of the run whose logits are wanted; `@mtp` also takes `h: f32[T, E]`.
    ///
    /// # Errors
    /// An unknown graph; a missing, unknown or ill-shaped input; an id outside the vocabulary; a
    /// run that does not start where the states stand or leaves the context. The states are then
    /// as before.
    pub fn run(
        &mut self,
        graph: &str,
        inputs: &[(&str, Input<'_>)],
    ) -> Result<Outputs<'_>, RunError> {
        self.run_watched(graph, inputs, None)
    }

    /// [`Session::run`], showing every named f32 value to `watch` as soon as it is made:
    /// `(name, dimensions slowest first, values)`.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub fn run_traced(
        &mut self,
        graph: &str,
        inputs: &[(&str, Input<'_>)],
        watch: Watch<'_>,
    ) -> Result<Outputs<'_>, RunError> {
        self.run_watched(graph, inputs, Some(watch))
    }

    fn run_watched(
        &mut self,
        name: &str,
        inputs: &[(&str, Input<'_>)],
        watch: Option<Watch<'_>>,
    ) -> Result<Outputs<'_>, RunError> {
        self.graph(name)?;
        let executable = self.executable.clone();
        let graph = &executable.graphs[name];
        let call = Call::check(name, graph, inputs)?;
        let end = self.check_positions(&call)?;
        for (slot, input) in &call.slots {
            match input {
                Input::I32(x) => self
                    .arena
                    .slice_mut(slot.offset, x.len())
                    .copy_from_slice(x),
                Input::F32(x) => self
                    .arena
                    .slice_mut(slot.offset, x.len())
                    .copy_from_slice(x),
            }
        }
        match watch {
            None => self.execute(&graph.steps, &call),
            Some(watch) => self.execute_watched(graph, &call, watch),
        }
        for state in &graph.states {
            self.states[state.index()].consumed = end;
        }
        let (tokens, rows) = (call.tokens, call.rows);
        Ok(Outputs {
            arena: &self.arena,
            graph: &self.executable.graphs[name],
            tokens,
            rows,
        })
    }

    fn execute(&mut self, steps: &[Vec<Box<dyn Kernel>>], call: &Call<'_>) {
        let run = Run {
            arena: self.arena.share(),
            states: self.states.iter_mut().map(State::view).collect(),
            tokens: call.tokens,
            rows: call.rows,
        };
        self.workers.run(steps, &run);
    }

    /// A region for each step, so that values can be seen before they are overwritten.
    fn execute_watched(&mut self, graph: &BoundGraph, call: &Call<'_>, watch: Watch<'_>) {
        for (step, names) in graph.steps.chunks(1).zip(&graph.names) {
            self.execute(step, call);
            for (name, slot) in names {
                let data = values(&self.arena, slot, call.tokens, call.rows);
                let count = data.len() / slot.width().max(1);
                let dims: Vec<usize> = std::iter::once(count).chain(slot.dims.clone()).collect();
                watch(name, &dims, data);
            }
        }
    }

    /// Positions go on from where the states stand and fit the context; the end is returned.
    fn check_positions(&self, call: &Call<'_>) -> Result<usize, RunError> {
        let start = call.start;
        let stands = |s: &sharpi_ir::StateId| self.states[s.index()].consumed;
        if let Some(state) = call.graph.states.iter().find(|s| stands(s) != start) {
            return Err(RunError::Position {
                graph: call.name.into(),
                start,
                consumed: stands(state),
            });
        }
        let end = start + call.tokens;
        if end > self.context {
            return Err(RunError::Context {
                position: end - 1,
                context: self.context,
            });
        }
        Ok(end)
    }
}

/// Sees a named value: its name, its dimensions slowest first, its elements.
pub type Watch<'w> = &'w mut dyn FnMut(&str, &[usize], &[f32]);

/// The checked inputs of a run.
struct Call<'a> {
    name: &'a str,
    graph: &'a BoundGraph,
    slots: Vec<(&'a Slot, Input<'a>)>,
    tokens: usize,
    rows: usize,
    start: usize,
}

impl<'a> Call<'a> {
    fn check(
        name: &'a str,
        graph: &'a BoundGraph,
        inputs: &[(&str, Input<'a>)],
    ) -> Result<Call<'a>, RunError> {
        let fail = |input: &str, message: String| RunError::Input {
            graph: name.into(),
            name: input.into(),
            message,
        };
        if let Some((stray, _)) = inputs
            .iter()
            .find(|(n, _)| !graph.inputs.iter().any(|(i, _)| i == n))
        {
            let known: Vec<&str> = graph.inputs.iter().map(|(n, _)| n.as_str()).collect();
            return Err(fail(
                stray,
                format!("there is none, expected {}", known.join(", ")),
            ));
        }
        let mut call = Call {
            name,
            graph,
            slots: Vec::new(),
            tokens: 0,
            rows: 0,
            start: 0,
        };
        for (input, slot) in &graph.inputs {
            let given = inputs.iter().find(|(n, _)| n == input).map(|(_, i)| *i);
            let given = given.ok_or_else(|| fail(input, "is missing".into()))?;
            let count = given.len() / slot.width().max(1);
            match (input.as_str(), slot.axis) {
                ("ids", _) => call.tokens = count,
                ("rows", _) => call.rows = count,
                (_, Axis::Tokens | Axis::Rows) => {}
            }
            call.slots.push((slot, given));
        }
        for ((input, slot), (_, given)) in graph.inputs.iter().zip(&call.slots) {
            call.check_input(input, slot, given)
                .map_err(|m| fail(input, m))?;
        }
        if let Some((_, Input::I32(pos))) = graph
            .inputs
            .iter()
            .position(|(n, _)| n == "pos")
            .map(|i| call.slots[i])
        {
            call.start = usize::try_from(pos[0])
                .map_err(|_| fail("pos", format!("starts at {}", pos[0])))?;
        }
        Ok(call)
    }

    /// Type, length and range of one input.
    fn check_input(&self, name: &str, slot: &Slot, given: &Input<'_>) -> Result<(), String> {
        let (symbol, count) = match slot.axis {
            Axis::Tokens => (Symbol::TOKENS, self.tokens),
            Axis::Rows => (Symbol::ROWS, self.rows),
        };
        if let Some(range) = self.graph.bounds.get(&symbol)
            && !range.contains(&count)
        {
            return Err(format!(
                "{count} rows, expected {} to {}",
                range.start(),
                range.end()
            ));
        }
        let expected = count * slot.width();
        if given.len() != expected {
            return Err(format!("{} elements, expected {expected}", given.len()));
        }
        let within =
            |x: &[i32], limit: usize| match x.iter().find(|&&i| i < 0 || i as usize >= limit) {
                Some(i) => Err(format!("{i} is not below {limit}")),
                None => Ok(()),
            };
        match (slot.dtype, given) {
            (sharpi_ir::DType::F32, Input::F32(_)) => Ok(()),
            (sharpi_ir::DType::I32, Input::I32(x)) => match name {
                "ids" => within(x, self.graph.vocabulary),
                "rows" => within(x, self.tokens),
                "pos" if !x.windows(2).all(|w| w[0].checked_add(1) == Some(w[1])) => {
                    Err("positions do not follow each other".into())
                }
                _ => Ok(()),
            },
            (dtype, Input::F32(_)) => Err(format!("f32 values, expected {dtype}")),
            (dtype, Input::I32(_)) => Err(format!("i32 values, expected {dtype}")),
        }
    }
}
