//! What has been said.

use sharpi_chat::template::Message;

use crate::cli::answer::Said;

/// A conversation: each message of the user has its answer.
#[derive(Clone, Default, Debug, PartialEq)]
pub(super) struct Transcript {
    /// What the model is told before all.
    pub(super) system: Option<String>,
    pub(super) turns: Vec<Turn>,
}

/// A message and its answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Turn {
    pub(super) user: String,
    pub(super) answer: Said,
}

impl Transcript {
    pub(super) fn new(system: Option<String>) -> Transcript {
        Transcript {
            system,
            turns: Vec::new(),
        }
    }

    /// The messages that ask for an answer to `next`.
    pub(super) fn before(&self, next: &str) -> Vec<Message> {
        let system = self.system.iter();
        let system = system.map(|text| Message::text("system", text));
        let turns = self.turns.iter().flat_map(Turn::messages);
        let next = Message::text("user", next);
        system.chain(turns).chain([next]).collect()
    }
}

impl Turn {
    fn messages(&self) -> [Message; 2] {
        let reasoning = &self.answer.reasoning;
        let answer = Message {
            reasoning_content: (!reasoning.is_empty()).then(|| reasoning.clone()),
            ..Message::text("assistant", &self.answer.content)
        };
        [Message::text("user", &self.user), answer]
    }
}
