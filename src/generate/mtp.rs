//! Drafting with the model's own multi-token-prediction head.

use sharpi_ir::Dim;

use super::depth::Depth;
use super::{DraftOptions, Drafter, GenerateError, Proposal, Round, Sampler};
use crate::lower::MTP;
use crate::{Input, Session};

/// The MTP head as a drafter.
///
/// Row p of the head pairs token `x_p` with the trunk's hidden state of position p − 1 and predicts
/// `x_{p+1}`; its cache holds a row for every position. A round's accepted tokens are brought into
/// the cache by the run that also makes the next round's first draft: one run less than catching
/// up and drafting apart.
#[derive(Debug)]
pub struct MtpDrafter {
    options: DraftOptions,
    /// If that is not always `n_max`.
    depth: Option<Depth>,
    /// The ids of the head's logits, if they are not those from 0 on.
    ids: Option<Vec<u32>>,
    /// Hidden states for the cache's next rows, from that of the position before on.
    hidden: Vec<f32>,
    /// Values of one hidden state.
    width: usize,
}

/// What the head says after its last row.
struct Head {
    logits: Vec<f32>,
    hidden: Vec<f32>,
}

impl MtpDrafter {
    /// A drafter for a session that has seen no token yet.
    ///
    /// # Errors
    /// A model without an MTP head, or a session whose hidden states are gone.
    pub fn new(session: &Session, options: DraftOptions) -> Result<MtpDrafter, GenerateError> {
        let graph = session.executable().module().graphs.get(MTP);
        let graph = graph.ok_or(GenerateError::NoHead)?;
        let h_next = graph.outputs().get("h_next").map(|v| graph.ty(*v).last());
        let Some(Dim::Fixed(width)) = h_next else {
            return Err(GenerateError::NoHead);
        };
        if session.position(super::TRUNK) > 0 || session.position(MTP) > 0 {
            return Err(GenerateError::LateDrafter);
        }
        let ids = session.executable().logit_ids(MTP);
        let ids = ids.filter(|ids| !ids.is_prefix()).map(|ids| {
            let ids = ids.ranges().iter().cloned().flatten();
            ids.map(|id| id as u32).collect()
        });
        Ok(MtpDrafter {
            options,
            depth: (options.adaptive).then(|| Depth::new(options.n_min, options.n_max)),
            ids,
            // Position 0 has none before it.
            hidden: vec![0.0; width],
            width,
        })
    }

    /// Runs the head over the next `count` positions.
    fn run(
        &mut self,
        session: &mut Session,
        text: &[u32],
        count: usize,
        last: bool,
    ) -> Result<Head, GenerateError> {
        let first = session.position(MTP);
        let ids: Vec<i32> = text[first..first + count]
            .iter()
            .map(|i| *i as i32)
            .collect();
        let rows: &[i32] = if last { &[count as i32 - 1] } else { &[] };
        let hidden: Vec<f32> = self.hidden.drain(..count * self.width).collect();
        let head = run(session, &ids, &hidden, rows)?;
        Ok(head)
    }
}

/// One run of the head from where its cache stands.
fn run(
    session: &mut Session,
    ids: &[i32],
    hidden: &[f32],
    rows: &[i32],
) -> Result<Head, GenerateError> {
    let first = session.position(MTP);
    let pos: Vec<i32> = (first..first + ids.len()).map(|p| p as i32).collect();
    let inputs = [
        ("ids", Input::I32(ids)),
        ("h", Input::F32(hidden)),
        ("pos", Input::I32(&pos)),
        ("rows", Input::I32(rows)),
    ];
    let mut outputs = session.run(MTP, &inputs)?;
    let width = hidden.len() / ids.len();
    let logits = outputs.take("logits").ok_or(GenerateError::NoHead)?;
    let h_next = outputs.get("h_next").ok_or(GenerateError::NoHead)?;
    Ok(Head {
        logits,
        hidden: h_next[h_next.len() - width..].to_vec(),
    })
}

impl Drafter for MtpDrafter {
    fn draft(
        &mut self,
        session: &mut Session,
        text: &[u32],
        most: usize,
        sampler: &mut Sampler,
    ) -> Result<Vec<Proposal>, GenerateError> {
        let n_max = self.depth.as_ref().map_or(self.options.n_max, Depth::next);
        let most = most.min(n_max);
        let mut drafts: Vec<Proposal> = Vec::new();
        if most == 0 || most < self.options.n_min {
            return Ok(drafts);
        }
        let known = text.len();
        let mut head = self.run(session, text, known - session.position(MTP), true)?;
        while let Some(mut proposal) = sampler.propose(&head.logits) {
            if let Some(ids) = &self.ids {
                proposal.rename(|column| ids[column as usize]);
            }
            if proposal.p < self.options.p_min {
                break;
            }
            let id = proposal.id as i32;
            drafts.push(proposal);
            if drafts.len() == most {
                break;
            }
            head = run(session, &[id], &head.hidden, &[0])?;
        }
        // These rows are made of guesses; the accepted ones come anew from the trunk's states.
        session.truncate(MTP, known)?;
        if drafts.len() < self.options.n_min {
            drafts.clear();
        }
        Ok(drafts)
    }

    fn observe(
        &mut self,
        session: &mut Session,
        text: &[u32],
        hidden: &[f32],
    ) -> Result<(), GenerateError> {
        self.hidden.extend_from_slice(hidden);
        // The next draft takes in what is left, in one run.
        let most = session.executable().max_tokens();
        while self.hidden.len() > most * self.width {
            self.run(session, text, most, false)?;
        }
        Ok(())
    }

    fn learn(&mut self, round: &Round) {
        if let Some(depth) = &mut self.depth {
            depth.learn(round);
        }
    }
}
