//! A session: the states of one sequence, an arena, and the threads that run its graphs.

use std::sync::Arc;

use crate::exec::memory::Arena;
use crate::exec::ops::{Axis, Run, Slot};

use super::call::{Call, Input};
use super::error::RunError;
use super::executable::{BoundGraph, Executable};
use super::footprint::Footprint;
use super::poison::dead_after_each_step;
use super::recording::{RecordedRun, Recording};
use super::region::Workers;
use super::state::{Saved, State, allocate};

/// How large a session is and how many threads it uses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SessionOptions {
    /// Positions that the attention caches hold.
    pub context: usize,
    /// Worker threads. The results do not depend on it.
    pub threads: usize,
    /// Whether worker threads, all but the caller's, stay on one processor each.
    pub pin: bool,
    /// Most tokens of a run that can be taken back ([`Session::run_tentative`]).
    pub rollback: usize,
}

impl Default for SessionOptions {
    fn default() -> SessionOptions {
        SessionOptions {
            context: 4096,
            threads: std::thread::available_parallelism().map_or(1, |n| n.get()),
            pin: false,
            rollback: 0,
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
    options: SessionOptions,
    watcher: Option<Watcher>,
    recording: Option<Recording>,
    /// Whether dead bytes are overwritten after each step.
    poisoned: bool,
}

/// A copy of a session's states ([`Session::save`]). Two are equal if they hold the same tokens'
/// states bit for bit and neither has a tentative run behind it.
#[derive(Clone, PartialEq)]
pub struct SavedSession {
    states: Vec<Saved>,
}

/// What dead bytes are overwritten with: as f32 it is no number.
const POISON: u8 = 0xff;

impl Session {
    /// A fresh sequence.
    ///
    /// # Errors
    /// A context that cannot be held, or threads that cannot be started.
    pub fn new(executable: Arc<Executable>, options: &SessionOptions) -> Result<Session, RunError> {
        let states = executable.states(options);
        let states: Result<Vec<State>, RunError> = states
            .map(|bytes| State::new(&bytes, options.rollback))
            .collect();
        let arena_bytes = executable.arena_bytes();
        Ok(Session {
            workers: Workers::new(options.threads, options.pin)?,
            states: states?,
            arena: allocate(arena_bytes as u128)?,
            options: *options,
            watcher: None,
            recording: None,
            poisoned: false,
            executable,
        })
    }

    /// Whether every run overwrites, after each step, all bytes of the arena that nobody may read
    /// any more. It changes no bit of any result, or the plan is wrong.
    pub fn poison(&mut self, poisoned: bool) {
        self.poisoned = poisoned;
    }

    /// A second session with the same tokens behind it.
    ///
    /// # Errors
    /// As [`Session::new`].
    pub fn fork(&self) -> Result<Session, RunError> {
        let mut fork = Session::new(self.executable.clone(), &self.options)?;
        fork.restore(&self.save())?;
        Ok(fork)
    }

    /// A copy of the states, to come back to: it takes the bytes of the recurrent states and of
    /// the cache rows in use.
    pub fn save(&self) -> SavedSession {
        SavedSession {
            states: self.states.iter().map(State::save).collect(),
        }
    }

    /// Goes back to what was saved, here or in another session of the same executable. What follows
    /// has the same bits as it had then.
    ///
    /// # Errors
    /// A copy from another model, from a session with another `rollback`, or with more tokens than
    /// the context holds.
    pub fn restore(&mut self, saved: &SavedSession) -> Result<(), RunError> {
        let pairs = || self.states.iter().zip(&saved.states);
        if self.states.len() != saved.states.len() || !pairs().all(|(s, saved)| s.takes(saved)) {
            return Err(RunError::Restore);
        }
        for (state, saved) in self.states.iter_mut().zip(&saved.states) {
            state.restore(saved);
        }
        Ok(())
    }

    /// The memory that the session holds, and that of the weights it reads, as far as they are
    /// loaded.
    pub fn footprint(&self) -> Footprint {
        let mut footprint = Footprint {
            packed_weights: self.executable.loading().bytes.into(),
            arena: self.arena.len() as u128,
            ..Footprint::default()
        };
        let states = self.states.iter().map(State::bytes);
        states.for_each(|bytes| footprint.count(&bytes));
        footprint
    }

    /// The compiled model.
    pub fn executable(&self) -> &Arc<Executable> {
        &self.executable
    }

    /// Positions that the caches hold.
    pub fn context(&self) -> usize {
        self.options.context
    }

    /// Most tokens of a run that can be taken back.
    pub fn rollback(&self) -> usize {
        self.options.rollback
    }

    /// Shows every named f32 value of the runs that follow as soon as it is made.
    pub fn watch(&mut self, watcher: Option<Watcher>) {
        self.watcher = watcher;
    }

    /// Records when each worker did what, in the runs that follow but those that are watched.
    pub fn record(&mut self) {
        self.recording = Some(Recording::default());
    }

    /// Ends the recording: its runs in their order, none if nothing was recorded.
    pub fn recorded(&mut self) -> Vec<RecordedRun> {
        self.recording.take().map_or(Vec::new(), Recording::runs)
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

    /// Goes back to the first `tokens` tokens of a graph. KV caches can go back to any number of
    /// them, recurrent states to none or into their last run if that was a tentative one; for
    /// anything else there is [`Session::save`].
    ///
    /// # Errors
    /// More tokens than there are, or a place that a recurrent state cannot go back to.
    pub fn truncate(&mut self, graph: &str, tokens: usize) -> Result<(), RunError> {
        let states = self.graph(graph)?.states.clone();
        let states = || states.iter().map(|s| s.index());
        let consumed = self.position(graph);
        let earliest = states().map(|i| self.states[i].earliest()).max();
        let earliest = earliest.unwrap_or(0);
        if tokens > consumed || (0 < tokens && tokens < earliest) {
            return Err(RunError::Truncate {
                graph: graph.into(),
                tokens,
                earliest,
                consumed,
            });
        }
        states().for_each(|i| self.states[i].truncate(tokens));
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
        self.run_as(graph, inputs, false)
    }

    /// [`Session::run`] of at most [`SessionOptions::rollback`] tokens, of which
    /// [`Session::truncate`] can then take back any number, for nothing: recurrent states take the
    /// tokens in only in the run that follows. The results are those of [`Session::run`].
    ///
    /// # Errors
    /// As [`Session::run`]; besides, more tokens than can be taken back.
    pub fn run_tentative(
        &mut self,
        graph: &str,
        inputs: &[(&str, Input<'_>)],
    ) -> Result<Outputs<'_>, RunError> {
        self.run_as(graph, inputs, true)
    }

    fn run_as(
        &mut self,
        name: &str,
        inputs: &[(&str, Input<'_>)],
        tentative: bool,
    ) -> Result<Outputs<'_>, RunError> {
        self.graph(name)?;
        let executable = self.executable.clone();
        let graph = &executable.graphs[name];
        let call = Call::check(name, graph, inputs)?;
        let end = self.check_positions(&call, tentative)?;
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
        match self.watcher.take() {
            None if !self.poisoned => self.execute(graph, &call, tentative),
            mut watcher => {
                self.execute_watched(graph, &call, tentative, &mut watcher);
                self.watcher = watcher;
            }
        }
        for state in &graph.states {
            self.states[state.index()].advance(end, tentative);
        }
        let (tokens, rows) = (call.tokens, call.rows);
        Ok(Outputs {
            arena: &self.arena,
            graph: &self.executable.graphs[name],
            tokens,
            rows,
        })
    }

    fn execute(&mut self, graph: &BoundGraph, call: &Call<'_>, tentative: bool) {
        let threads = self.workers.threads();
        let run = view(&mut self.arena, &mut self.states, threads, call, tentative);
        match &mut self.recording {
            None => self.workers.run(&graph.steps, &run),
            Some(recording) => recording.run(&self.workers, &graph.steps, call, &run),
        }
    }

    /// A region for each step, so that values can be seen before they are overwritten.
    fn execute_watched(
        &mut self,
        graph: &BoundGraph,
        call: &Call<'_>,
        tentative: bool,
        watcher: &mut Option<Watcher>,
    ) {
        let executable = self.executable.clone();
        let dead = match (
            executable.module().graphs.get(call.name),
            executable.plan(call.name),
        ) {
            (Some(graph), Some(plan)) if self.poisoned => dead_after_each_step(graph, plan),
            _ => vec![Vec::new(); graph.steps.len()],
        };
        for ((step, names), dead) in graph.steps.chunks(1).zip(&graph.names).zip(dead) {
            let threads = self.workers.threads();
            let run = view(&mut self.arena, &mut self.states, threads, call, tentative);
            self.workers.run(step, &run);
            for (name, slot) in names {
                let data = values(&self.arena, slot, call.tokens, call.rows);
                let count = data.len() / slot.width().max(1);
                let dims: Vec<usize> = std::iter::once(count).chain(slot.dims.clone()).collect();
                if let Some(watcher) = watcher {
                    watcher(call.name, name, &dims, data);
                }
            }
            for bytes in dead {
                let bytes: &mut [u8] = self.arena.slice_mut(bytes.start, bytes.len());
                bytes.fill(POISON);
            }
        }
    }

    /// Positions go on from where the states stand and fit the context; the end is returned.
    fn check_positions(&self, call: &Call<'_>, tentative: bool) -> Result<usize, RunError> {
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
        if end > self.options.context {
            return Err(RunError::Context {
                position: end - 1,
                context: self.options.context,
            });
        }
        let capacity = |s: &sharpi_ir::StateId| self.states[s.index()].capacity();
        let most = call.graph.states.iter().map(capacity).min();
        if let Some(most) = most.filter(|most| tentative && call.tokens > *most) {
            return Err(RunError::Tentative {
                tokens: call.tokens,
                most,
            });
        }
        Ok(end)
    }
}

/// What the kernels of a run see.
fn view<'a>(
    arena: &'a mut Arena,
    states: &'a mut [State],
    workers: usize,
    call: &Call<'_>,
    tentative: bool,
) -> Run<'a> {
    Run {
        arena: arena.share(),
        states: states.iter_mut().map(State::view).collect(),
        tokens: call.tokens,
        rows: call.rows,
        workers,
        tentative,
    }
}

/// Sees a named value: its graph, its name, its dimensions slowest first, its elements.
pub type Watcher = Box<dyn FnMut(&str, &str, &[usize], &[f32]) + Send>;
