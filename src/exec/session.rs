//! A session: one sequence and its states.

use std::sync::Arc;

use super::batch::Batch;
use super::call::Input;
use super::error::RunError;
use super::executable::{BoundGraph, Executable};
use super::executor::{Executor, ExecutorOptions, Watcher};
use super::fingerprint::Fingerprint;
use super::footprint::Footprint;
use super::outputs::Outputs;
use super::recording::RecordedRun;
use super::saved::SavedSession;
use super::state::{Saved, State};
use crate::ranks::{Command, Remote};

sharpi_passes::option_struct! {
    /// How large a session is, and how many threads the executor has that is made for it.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct SessionOptions {
        /// Positions that the attention caches hold.
        pub context: usize = 4096,
        /// Worker threads. The results do not depend on it.
        pub threads: usize = ExecutorOptions::default().threads,
        /// Whether worker threads, all but the caller's, stay on one processor each.
        pub pin: bool = ExecutorOptions::default().pin,
        /// Most tokens of a run that can be taken back ([`Session::run_tentative`]).
        pub rollback: usize = 0,
    }
}

/// One sequence being evaluated.
///
/// The logits of a position depend on the tokens before it and nothing else, bit for bit: not on
/// how a prompt was cut into runs, not on the number of threads, not on who else is in a run.
pub struct Session {
    executor: Arc<Executor>,
    sequence: Sequence,
}

/// The states of a session.
pub(super) struct Sequence {
    pub(super) states: Vec<State>,
    context: usize,
    rollback: usize,
    /// The sequences of the ranks that this one leads.
    pub(super) remote: Option<Remote>,
}

impl Sequence {
    /// Tokens that the states of a graph have consumed.
    pub(super) fn stands(&self, name: &str, graph: &BoundGraph) -> Result<usize, RunError> {
        let consumed = || graph.states.iter().map(|s| self.states[s.index()].consumed);
        let start = consumed().max().unwrap_or(0);
        match consumed().find(|consumed| *consumed != start) {
            Some(consumed) => Err(RunError::Position {
                graph: name.into(),
                start,
                consumed,
            }),
            None => Ok(start),
        }
    }

    /// Whether the caches hold so many tokens. What keeps none has no end.
    pub(super) fn check_end(&self, graph: &BoundGraph, end: usize) -> Result<(), RunError> {
        let cached = |s: &sharpi_ir::StateId| self.states[s.index()].is_cache();
        match end > self.context && graph.states.iter().any(cached) {
            true => Err(RunError::Context {
                position: end - 1,
                context: self.context,
            }),
            false => Ok(()),
        }
    }

    /// Whether so many tokens can be taken back.
    pub(super) fn check_rollback(&self, graph: &BoundGraph, tokens: usize) -> Result<(), RunError> {
        let states = graph.states.iter();
        let most = states.map(|s| self.states[s.index()].capacity()).min();
        match most.filter(|most| tokens > *most) {
            Some(most) => Err(RunError::Tentative { tokens, most }),
            None => Ok(()),
        }
    }

    /// Takes note of a run.
    pub(super) fn advance(&mut self, graph: &BoundGraph, end: usize, tentative: bool) {
        for state in &graph.states {
            self.states[state.index()].advance(end, tentative);
        }
    }
}

impl Session {
    /// A fresh sequence on an executor of its own.
    ///
    /// # Errors
    /// A context that cannot be held, or threads that cannot be started.
    pub fn new(executable: Arc<Executable>, options: &SessionOptions) -> Result<Session, RunError> {
        let SessionOptions {
            context,
            threads,
            pin,
            rollback,
        } = *options;
        let executor = ExecutorOptions { threads, pin };
        Session::on(Executor::new(executable, &executor)?, context, rollback)
    }

    pub(super) fn on(
        executor: Arc<Executor>,
        context: usize,
        rollback: usize,
    ) -> Result<Session, RunError> {
        let states = executor.executable().states(context, rollback);
        let states = State::all(&states.collect::<Vec<_>>(), rollback)?;
        let remote = executor.remote().map(|of| {
            let remote = of.leader.number();
            of.leader.talk().ask::<()>(&Command::Session {
                id: remote.id,
                executor: of.id,
                context,
                rollback,
            })?;
            Ok::<_, RunError>(remote)
        });
        Ok(Session {
            sequence: Sequence {
                states,
                context,
                rollback,
                remote: remote.transpose()?,
            },
            executor,
        })
    }

    /// Tells the ranks that this one leads what to do with their sequences.
    fn tell_others(&self, command: impl FnOnce(u64) -> Command) -> Result<(), RunError> {
        match &self.sequence.remote {
            Some(remote) => Ok(remote.leader.talk().tell(&command(remote.id))?),
            None => Ok(()),
        }
    }

    pub(super) fn sequence(&mut self) -> &mut Sequence {
        &mut self.sequence
    }

    /// What runs the graphs; other sequences may share it.
    pub fn executor(&self) -> &Arc<Executor> {
        &self.executor
    }

    /// Whether every run overwrites dead bytes ([`Executor::poison`]).
    pub fn poison(&mut self, poisoned: bool) {
        self.executor.poison(poisoned);
    }

    /// A second session with the same tokens behind it, on the same executor.
    ///
    /// # Errors
    /// A context that cannot be held.
    pub fn fork(&self) -> Result<Session, RunError> {
        let Sequence {
            context, rollback, ..
        } = self.sequence;
        let mut fork = self.executor.session(context, rollback)?;
        fork.restore(&self.save())?;
        Ok(fork)
    }

    /// A copy of the states, to come back to: it takes the bytes of the recurrent states and of
    /// the cache rows in use, those of all ranks. A rank that is in the way leaves out its own: then
    /// it can be restored nowhere.
    pub fn save(&self) -> SavedSession {
        self.save_from(0)
    }

    /// [`Session::save`], of the caches only the rows from position `first` on: what comes behind
    /// other pieces.
    pub fn save_from(&self, first: usize) -> SavedSession {
        let states = self.sequence.states.iter();
        let mut states: Vec<Saved> = states.map(|state| state.save(first)).collect();
        if let Some(Remote { leader, id }) = &self.sequence.remote {
            let save = Command::Save {
                session: *id,
                first,
            };
            let given = leader.talk().ask::<Vec<u8>>(&save).unwrap_or_default();
            let read = given
                .iter()
                .filter_map(|bytes| SavedSession::from_bytes(bytes).ok());
            states.extend(read.flat_map(|saved| saved.states));
        }
        SavedSession {
            fingerprint: self.executable().fingerprint(),
            note: Vec::new(),
            states,
        }
    }

    /// Whether the recurrent states have yet to take in tokens of a tentative run.
    pub fn is_tentative(&self) -> bool {
        self.sequence.states.iter().any(State::is_tentative)
    }

    /// Goes back to what was saved, in this session or in any other of the same model and cache
    /// types. What follows has the same bits as it had then.
    ///
    /// # Errors
    /// A copy from another model or of other cache types, one that can be taken back further than
    /// this session's `rollback` allows, or one with more tokens than the context holds. The session
    /// is then as before.
    pub fn restore(&mut self, saved: &SavedSession) -> Result<(), RunError> {
        self.restore_pieces(&[saved])
    }

    /// [`Session::restore`] of what was saved in pieces ([`Session::save_from`]): each has the cache
    /// rows behind those of the one before, the last one the recurrent states.
    ///
    /// # Errors
    /// As [`Session::restore`]; besides, pieces that do not follow one another.
    pub fn restore_pieces(&mut self, pieces: &[&SavedSession]) -> Result<(), RunError> {
        let ours = self.executable().fingerprint();
        if pieces.iter().any(|piece| piece.fingerprint != ours) {
            return Err(RunError::Restore("it is of another model or cache type"));
        }
        let count = self.sequence.states.len();
        let ranks = self.executable().ranks();
        if (pieces.iter()).any(|piece| piece.states.len() != count * ranks) {
            return Err(RunError::Restore("it has other states"));
        }
        let of_rank = |rank: usize| {
            let own = pieces
                .iter()
                .map(move |piece| &piece.states[count * rank..][..count]);
            own.collect::<Vec<&[Saved]>>()
        };
        self.takes(&of_rank(0))?;
        if let Some(Remote { leader, id }) = &self.sequence.remote {
            leader.talk().ask_each::<()>(|rank| Command::Restore {
                session: *id,
                pieces: of_rank(rank)
                    .into_iter()
                    .map(|own| bytes_of(ours, own))
                    .collect(),
            })?;
        }
        self.become_saved(&of_rank(0));
        Ok(())
    }

    /// [`Session::restore_pieces`] of states of this rank alone.
    pub(crate) fn restore_own(&mut self, pieces: &[&SavedSession]) -> Result<(), RunError> {
        let pieces: Vec<&[Saved]> = pieces.iter().map(|piece| &*piece.states).collect();
        if pieces
            .iter()
            .any(|piece| piece.len() != self.sequence.states.len())
        {
            return Err(RunError::Restore("it has other states"));
        }
        self.takes(&pieces)?;
        self.become_saved(&pieces);
        Ok(())
    }

    fn takes(&self, pieces: &[&[Saved]]) -> Result<(), RunError> {
        for (i, state) in self.sequence.states.iter().enumerate() {
            let pieces: Vec<&Saved> = pieces.iter().map(|piece| &piece[i]).collect();
            state
                .takes(&pieces, self.sequence.context)
                .map_err(RunError::Restore)?;
        }
        Ok(())
    }

    fn become_saved(&mut self, pieces: &[&[Saved]]) {
        for (i, state) in self.sequence.states.iter_mut().enumerate() {
            state.restore(&pieces.iter().map(|piece| &piece[i]).collect::<Vec<_>>());
        }
    }

    /// The memory that the session holds, and that of its executor and of the weights it reads, as
    /// far as they are loaded.
    pub fn footprint(&self) -> Footprint {
        let mut footprint = Footprint {
            packed_weights: self.executable().loading().bytes.into(),
            arena: self.executor.arena_bytes(),
            ..Footprint::default()
        };
        let states = self.sequence.states.iter().map(State::bytes);
        states.for_each(|bytes| footprint.count(&bytes));
        footprint
    }

    /// The compiled model.
    pub fn executable(&self) -> &Arc<Executable> {
        self.executor.executable()
    }

    /// Positions that the caches hold.
    pub fn context(&self) -> usize {
        self.sequence.context
    }

    /// Most tokens of a run that can be taken back.
    pub fn rollback(&self) -> usize {
        self.sequence.rollback
    }

    /// Shows every named f32 value of the runs that follow ([`Executor::watch`]).
    pub fn watch(&mut self, watcher: Option<Watcher>) {
        self.executor.watch(watcher);
    }

    /// Records when each worker did what ([`Executor::record`]).
    pub fn record(&mut self) {
        self.executor.record();
    }

    /// Ends the recording ([`Executor::recorded`]).
    pub fn recorded(&mut self) -> Vec<RecordedRun> {
        self.executor.recorded()
    }

    /// Tokens that the states of a graph have consumed: the position of its next run.
    pub fn position(&self, graph: &str) -> usize {
        let graph = self.executable().graphs.get(graph);
        let states = graph.into_iter().flat_map(|g| &g.states);
        states
            .map(|s| self.sequence.states[s.index()].consumed)
            .max()
            .unwrap_or(0)
    }

    /// Forgets the sequence.
    pub fn reset(&mut self) {
        // A rank that is in the way will be in the next run's.
        self.tell_others(|session| Command::Reset { session }).ok();
        self.sequence.states.iter_mut().for_each(State::reset);
    }

    /// Goes back to the first `tokens` tokens of a graph. KV caches can go back to any number of
    /// them, recurrent states to none or into their last run if that was a tentative one; for
    /// anything else there is [`Session::save`].
    ///
    /// # Errors
    /// More tokens than there are, or a place that a recurrent state cannot go back to. A rank that has
    /// ended.
    pub fn truncate(&mut self, graph: &str, tokens: usize) -> Result<(), RunError> {
        let executable = self.executable().clone();
        let (name, bound) = executable.bound(graph)?;
        let states = &mut self.sequence.states;
        let indices = || bound.states.iter().map(|s| s.index());
        let consumed = indices().map(|i| states[i].consumed).max().unwrap_or(0);
        let earliest = indices().map(|i| states[i].earliest()).max().unwrap_or(0);
        if tokens > consumed || (0 < tokens && tokens < earliest) {
            return Err(RunError::Truncate {
                graph: name.into(),
                tokens,
                earliest,
                consumed,
            });
        }
        indices().for_each(|i| states[i].truncate(tokens));
        self.tell_others(|session| Command::Truncate {
            session,
            graph: name.into(),
            tokens,
        })
    }

    /// Runs a graph once. For both graphs of a model `ids: index<V>[T]` are the tokens, `pos:
    /// position[T]` their positions, which may be left out, `rows: index<T>[R]` the tokens of the
    /// run whose logits are wanted; `@mtp` also takes `h: f32[T, E]`.
    ///
    /// # Errors
    /// An unknown graph; a missing, unknown or ill-shaped input; an id outside the vocabulary; a
    /// run that does not start where the states stand or leaves the context. The states are then
    /// as before.
    pub fn run(&mut self, graph: &str, inputs: &[(&str, Input<'_>)]) -> Result<Outputs, RunError> {
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
    ) -> Result<Outputs, RunError> {
        self.run_as(graph, inputs, true)
    }

    fn run_as(
        &mut self,
        graph: &str,
        inputs: &[(&str, Input<'_>)],
        tentative: bool,
    ) -> Result<Outputs, RunError> {
        let mut batch = Batch::new(&self.executor, graph)?;
        batch.add_sequence(&mut self.sequence, inputs, tentative)?;
        batch.run()
    }
}

/// States as a saved session's bytes.
fn bytes_of(fingerprint: Fingerprint, states: &[Saved]) -> Vec<u8> {
    let saved = SavedSession {
        fingerprint,
        note: Vec::new(),
        states: states.to_vec(),
    };
    saved.to_bytes()
}
