//! The runs of a dump, made again: a prompt and its first round of drafting, or, where nothing was
//! drafted, a prompt in two runs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};

use super::error::ParityError;
use super::golden::Dump;
use super::trunk::{positions, signed};
use crate::lower::{MTP, TRUNK};
use crate::{Input, Session};

/// Sees a named value of a run: number of the run, name, elements.
pub(super) type Show<'a> = &'a mut dyn FnMut(usize, &str, &[f32]);

/// Ids of the second run where nothing was drafted.
pub(super) const SECOND: usize = 2;

/// Graph and width of each run: prompt, its catch-up, draft steps, verification, its catch-up; or
/// the two parts of the prompt.
pub(super) fn runs(dump: &Dump) -> Result<Vec<(&'static str, usize)>, ParityError> {
    let short = |field, least| Err(ParityError::TooShort { field, least });
    let drafts = dump.rounds.first().map(|round| round.draft.len());
    match (dump.prompt_ids.len(), drafts) {
        (0 | 1, _) => short("prompt_ids", 2),
        (_, Some(0)) => short("rounds[0].draft", 1),
        (0..=SECOND, None) => short("prompt_ids", SECOND + 1),
        (n, None) => Ok(vec![(TRUNK, n - SECOND), (TRUNK, SECOND)]),
        (n, Some(drafts)) => {
            let prompt = [(TRUNK, n - 1), (MTP, n - 1)];
            let verify = [(TRUNK, 1 + drafts), (MTP, 1 + drafts)];
            let steps = std::iter::repeat_n((MTP, 1), drafts);
            Ok(prompt.into_iter().chain(steps).chain(verify).collect())
        }
    }
}

/// Makes the runs in a fresh session and shows every named value.
pub(super) fn replay(
    dump: &Dump,
    mut session: Session,
    cancel: &AtomicBool,
    show: Show<'_>,
) -> Result<(), ParityError> {
    let (seen, values) = channel();
    session.watch(Some(Box::new(move |_, name, _, data| {
        // The other end lives as long as the session.
        let _ = seen.send((name.to_string(), data.to_vec()));
    })));
    let ids = signed(&dump.prompt_ids);
    let mut replay = Replay {
        session,
        values,
        cancel,
        show,
        run: 0,
    };
    match dump.rounds.first() {
        Some(round) => replay.drafting(&ids, &signed(&round.draft)),
        None => replay.plain(&ids),
    }
}

/// Hidden states moved on by one token: each token meets that of the position before.
fn shifted(before: &[f32], h: &[f32]) -> Vec<f32> {
    [before, &h[..h.len() - before.len()]].concat()
}

struct Replay<'a> {
    session: Session,
    /// Named values of the session's latest run.
    values: Receiver<(String, Vec<f32>)>,
    cancel: &'a AtomicBool,
    show: Show<'a>,
    run: usize,
}

impl Replay<'_> {
    /// With all logits.
    fn plain(&mut self, ids: &[i32]) -> Result<(), ParityError> {
        let (first, second) = ids.split_at(ids.len() - SECOND);
        for ids in [first, second] {
            self.trunk(ids, &positions(0, ids.len()))?;
        }
        Ok(())
    }

    fn drafting(&mut self, ids: &[i32], draft: &[i32]) -> Result<(), ParityError> {
        let (prompt, last) = ids.split_at(ids.len() - 1);
        let h = self.trunk(prompt, &[])?;
        let width = h.len() / prompt.len();
        let zeros = vec![0.0; width];
        let newest = h[h.len() - width..].to_vec();
        self.mtp(prompt, &shifted(&zeros, &h), &[])?;

        // Each step takes the hidden state of the one before; the trunk's last begins.
        let mut hidden = newest.clone();
        for id in last.iter().chain(&draft[..draft.len() - 1]) {
            hidden = self.mtp(&[*id], &hidden, &[0])?;
        }

        self.session.truncate(MTP, prompt.len())?;
        let ids = [last, draft].concat();
        let rows = positions(0, ids.len());
        let h = self.trunk(&ids, &rows)?;
        self.mtp(&ids, &shifted(&newest, &h), &[])?;
        Ok(())
    }

    fn trunk(&mut self, ids: &[i32], rows: &[i32]) -> Result<Vec<f32>, ParityError> {
        let pos = positions(self.session.position(TRUNK), ids.len());
        let inputs = [
            ("ids", Input::I32(ids)),
            ("pos", Input::I32(&pos)),
            ("rows", Input::I32(rows)),
        ];
        self.run(TRUNK, &inputs, "h")
    }

    fn mtp(&mut self, ids: &[i32], h: &[f32], rows: &[i32]) -> Result<Vec<f32>, ParityError> {
        let pos = positions(self.session.position(MTP), ids.len());
        let inputs = [
            ("ids", Input::I32(ids)),
            ("h", Input::F32(h)),
            ("pos", Input::I32(&pos)),
            ("rows", Input::I32(rows)),
        ];
        self.run(MTP, &inputs, "h_next")
    }

    /// One run; its hidden states.
    fn run(
        &mut self,
        graph: &str,
        inputs: &[(&str, Input<'_>)],
        hidden: &str,
    ) -> Result<Vec<f32>, ParityError> {
        if self.cancel.load(Ordering::Relaxed) {
            return Err(ParityError::Cancelled);
        }
        let number = self.run;
        self.run += 1;
        let outputs = self.session.run(graph, inputs)?;
        for (name, data) in self.values.try_iter() {
            (self.show)(number, &name, &data);
        }
        Ok(outputs.get(hidden).unwrap_or_default().to_vec())
    }
}
