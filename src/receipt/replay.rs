//! Makes an answer again and holds it against its receipt.

use std::fmt;
use std::sync::Arc;

use super::{FORM, Hash, ModelHash, Receipt};
use crate::Session;
use crate::engine::{GenerateError, GenerateOptions, StopReason, check_prompt};
use crate::exec::Executable;
use crate::generate::{DraftOptions, Generator, Sampler};
use crate::guide::GuideError;
use crate::lower::TRUNK;
use crate::tokenizer::Tokenizer;

/// Why an answer cannot be made again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// Another version of the form.
    #[error("the receipt has form {0}, expected {FORM}")]
    Form(u32),
    /// Another model, or one that computes otherwise.
    #[error("the receipt is of another model: the hash of its {what} is {expected}, here {found}")]
    Model {
        /// What differs.
        what: &'static str,
        /// As the receipt says.
        expected: Hash,
        /// As it is here.
        found: Hash,
    },
    /// A receipt that contradicts itself.
    #[error("the receipt is incomplete: it has {ids} ids and {logits} rows of logits")]
    Incomplete {
        /// Ids of the answer.
        ids: usize,
        /// Hashes of rows.
        logits: usize,
    },
    /// A form to which the answer cannot be held.
    #[error("the form of the answer: {0}")]
    Held(#[from] GuideError),
    /// It cannot be run.
    #[error(transparent)]
    Generate(#[from] GenerateError),
}

/// The first place at which an answer is not what its receipt says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Difference {
    /// Which token of the answer, from 0 on; as many as there are for the end of the text.
    pub token: usize,
    /// Its position: tokens before it, the prompt's included.
    pub position: usize,
    /// What differs there.
    pub what: What,
}

/// What differs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    /// The logits, and with them perhaps the token.
    Logits {
        /// As the receipt says.
        expected: Hash,
        /// As they are here.
        found: Hash,
    },
    /// The token, chosen from the same logits; `None` for the end of the answer.
    Token {
        /// As the receipt says.
        expected: Option<u32>,
        /// As it is here.
        found: Option<u32>,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Difference {
            token, position, ..
        } = self;
        write!(f, "token {token} of the answer, at position {position}: ")?;
        let id = |id: Option<u32>| id.map_or("no token".into(), |id| format!("token {id}"));
        match self.what {
            What::Logits { expected, found } => write!(
                f,
                "the logits differ, their hash is {found}, in the receipt {expected}"
            ),
            What::Token { expected, found } => write!(
                f,
                "{} is chosen, in the receipt {}",
                id(found),
                id(expected)
            ),
        }
    }
}

/// What came of a replay.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Every bit is the same: so many rows of logits.
    Same {
        /// Rows, one for each token and one for the end of the text.
        rows: usize,
    },
    /// It is not.
    Differs(Difference),
    /// The cancel flag ended it first.
    Cancelled,
}

/// An answer that is being made again.
pub struct Replay<'r> {
    receipt: &'r Receipt,
    generator: Generator,
}

impl Receipt {
    /// Checks that the receipt is of this model.
    ///
    /// # Errors
    /// Another version of the form, another model, a receipt that is incomplete or whose prompt the
    /// model cannot take.
    pub fn check(&self, executable: &Executable) -> Result<(), ReplayError> {
        if self.receipt != FORM {
            return Err(ReplayError::Form(self.receipt));
        }
        let (ids, logits) = (self.ids.len(), self.logits.len());
        if ids != logits {
            return Err(ReplayError::Incomplete { ids, logits });
        }
        let (expected, found) = (self.model, ModelHash::of(executable));
        for (what, expected, found) in [
            (
                "states and constants",
                expected.arithmetic,
                found.arithmetic,
            ),
            ("weights", expected.weights, found.weights),
        ] {
            if expected != found {
                return Err(ReplayError::Model {
                    what,
                    expected,
                    found,
                });
            }
        }
        Ok(())
    }

    /// Positions that a session needs to make the answer again.
    pub fn context(&self) -> usize {
        self.prompt.len() + self.ids.len() + 1
    }
}

impl<'r> Replay<'r> {
    /// Makes the answer again in a fresh session of at least [`Receipt::context`] positions, and with
    /// the model's tokenizer, which a form is told in.
    ///
    /// # Errors
    /// As [`Receipt::check`]; a form that cannot be compiled, a session that was used, drafting that
    /// the model cannot do.
    pub fn new(
        receipt: &'r Receipt,
        session: Session,
        tokenizer: &Arc<Tokenizer>,
        draft: Option<DraftOptions>,
        options: GenerateOptions,
    ) -> Result<Replay<'r>, ReplayError> {
        receipt.check(session.executable())?;
        let room = session.context() - session.position(TRUNK);
        let vocabulary = crate::engine::vocabulary(session.executable());
        check_prompt(&receipt.prompt, room, vocabulary.unwrap_or(0))?;
        let options = options
            // One more than there are shows an answer that goes on.
            .max_tokens(Some(receipt.ids.len() + usize::from(receipt.end.is_some())))
            .end_of_text(receipt.end_of_text.clone())
            .ignore_eos(receipt.ignore_eos)
            .hash_logits(true);
        let form = receipt.form.as_ref();
        let mask = form.map(|form| form.compile(tokenizer)).transpose()?;
        let sampler = Sampler::new(receipt.sampler.clone());
        let options = (options, draft);
        let (generator, _) = Generator::resume(
            session,
            sampler,
            &receipt.prompt,
            options,
            mask.flatten(),
            None,
        )?;
        Ok(Replay { receipt, generator })
    }

    /// Goes on to the end or to the first difference. `progress` hears how many tokens of the prompt
    /// and of the answer are done.
    ///
    /// # Errors
    /// A run that fails.
    pub fn run(mut self, mut progress: impl FnMut(usize)) -> Result<Verdict, ReplayError> {
        self.generator.prefill(&mut progress)?;
        let prompt = self.receipt.prompt.len();
        let mut done = 0;
        while let Some(token) = self.generator.next() {
            let token = token?;
            if let Some(what) = self.compare(done, Some(token.id), token.logits_hash.map(Hash)) {
                return Ok(self.differs(done, what));
            }
            done += 1;
            progress(prompt + done);
        }
        match self.generator.stop_reason() {
            Some(StopReason::Cancelled) => return Ok(Verdict::Cancelled),
            Some(StopReason::EndOfText(id)) => {
                let hash = self.generator.end_hash().map(Hash);
                if let Some(what) = self.compare(done, Some(id), hash) {
                    return Ok(self.differs(done, what));
                }
            }
            _ if done < self.receipt.ids.len() || self.receipt.end.is_some() => {
                let what = What::Token {
                    expected: self.expected(done).map(|(id, _)| id),
                    found: None,
                };
                return Ok(self.differs(done, what));
            }
            _ => {}
        }
        Ok(Verdict::Same {
            rows: done + usize::from(self.receipt.end.is_some()),
        })
    }

    /// Id and logits of a place as the receipt says.
    fn expected(&self, token: usize) -> Option<(u32, Hash)> {
        let ids = self.receipt.ids.iter().copied();
        let mut all = ids.zip(self.receipt.logits.iter().copied());
        let end = self.receipt.end.map(|end| (end.id, end.logits));
        all.nth(token).or(end)
    }

    fn compare(&self, token: usize, id: Option<u32>, hash: Option<Hash>) -> Option<What> {
        let expected = self.expected(token);
        match (expected, hash) {
            (Some((_, expected)), Some(found)) if expected != found => {
                Some(What::Logits { expected, found })
            }
            _ => {
                let expected = expected.map(|(id, _)| id);
                (expected != id).then_some(What::Token {
                    expected,
                    found: id,
                })
            }
        }
    }

    fn differs(&self, token: usize, what: What) -> Verdict {
        Verdict::Differs(Difference {
            token,
            position: self.receipt.prompt.len() + token,
            what,
        })
    }
}
