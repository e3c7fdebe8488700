//! Items of a response, and the events by which a client sees them grow.

use serde_json::{Value, json};
use sharpi_chat::answer::Piece;

use crate::serve::chat::new_id;

/// A name and what is told under it.
pub(super) type Event = (&'static str, Value);

/// All items so far; the last one may be open.
#[derive(Default)]
pub(super) struct Output {
    items: Vec<Item>,
}

struct Item {
    id: String,
    text: String,
    kind: Kind,
}

enum Kind {
    Reasoning,
    Message { logprobs: Vec<Value> },
    Call { call_id: String, name: String },
}

impl Item {
    fn new(kind: Kind) -> Item {
        let prefix = match kind {
            Kind::Reasoning => "rs_",
            Kind::Message { .. } => "msg_",
            Kind::Call { .. } => "fc_",
        };
        Item {
            id: new_id(prefix),
            text: String::new(),
            kind,
        }
    }

    /// The item as it is so far.
    fn told(&self, status: &str) -> Value {
        let parts = match self.text.is_empty() && status == "in_progress" {
            true => json!([]),
            false => json!([self.part()]),
        };
        match &self.kind {
            Kind::Reasoning => json!({
                "id": self.id,
                "type": "reasoning",
                "summary": [],
                "content": parts,
                "encrypted_content": null,
                "status": status,
            }),
            Kind::Message { .. } => json!({
                "id": self.id,
                "type": "message",
                "role": "assistant",
                "content": parts,
                "status": status,
            }),
            Kind::Call { call_id, name } => json!({
                "id": self.id,
                "type": "function_call",
                "call_id": call_id,
                "name": name,
                "arguments": self.text,
                "status": status,
            }),
        }
    }

    fn part(&self) -> Value {
        match &self.kind {
            Kind::Message { logprobs } => json!({
                "type": "output_text",
                "text": self.text,
                "annotations": [],
                "logprobs": logprobs,
            }),
            _ => json!({"type": "reasoning_text", "text": self.text}),
        }
    }

    /// Fields of the events of the item in this place.
    fn event(&self, index: usize) -> Value {
        let mut event = json!({"item_id": self.id, "output_index": index});
        if !matches!(self.kind, Kind::Call { .. }) {
            event["content_index"] = 0.into();
        }
        event
    }
}

impl Output {
    /// Takes a piece in, with the probabilities of its tokens; what a client that follows has to hear.
    pub(super) fn add(&mut self, piece: Piece, logprobs: Vec<Value>) -> Vec<Event> {
        let mut events = Vec::new();
        match piece {
            Piece::Reasoning(text) => {
                if !matches!(self.last(), Some(Kind::Reasoning)) {
                    events = self.open(Kind::Reasoning);
                }
                events.extend(self.grow("response.reasoning_text.delta", &text));
            }
            Piece::Content(text) => {
                if !matches!(self.last(), Some(Kind::Message { .. })) {
                    let logprobs = Vec::new();
                    events = self.open(Kind::Message { logprobs });
                }
                let mut grown = self.grow("response.output_text.delta", &text);
                if let Some((_, event)) = &mut grown {
                    event["logprobs"] = logprobs.clone().into();
                }
                events.extend(grown);
                self.note(logprobs);
            }
            Piece::ToolCallBegin { name, .. } => {
                let call_id = new_id("call_");
                events = self.open(Kind::Call { call_id, name });
            }
            Piece::ToolCallArguments { delta, .. } => {
                events.extend(self.grow("response.function_call_arguments.delta", &delta));
            }
            _ => {}
        }
        events
    }

    /// Adds probabilities of tokens that gave no text to the message that is open, if one is.
    pub(super) fn note(&mut self, more: Vec<Value>) {
        if let Some(Item {
            kind: Kind::Message { logprobs },
            ..
        }) = self.items.last_mut()
        {
            logprobs.extend(more);
        }
    }

    fn last(&self) -> Option<&Kind> {
        self.items.last().map(|item| &item.kind)
    }

    fn open(&mut self, kind: Kind) -> Vec<Event> {
        let mut events = self.close("completed");
        let (index, item) = (self.items.len(), Item::new(kind));
        events.push((
            "response.output_item.added",
            json!({"output_index": index, "item": item.told("in_progress")}),
        ));
        if !matches!(item.kind, Kind::Call { .. }) {
            let mut event = item.event(index);
            event["part"] = item.part();
            events.push(("response.content_part.added", event));
        }
        self.items.push(item);
        events
    }

    fn grow(&mut self, name: &'static str, delta: &str) -> Option<Event> {
        let index = self.items.len().checked_sub(1)?;
        let item = &mut self.items[index];
        item.text.push_str(delta);
        let mut event = item.event(index);
        event["delta"] = delta.into();
        Some((name, event))
    }

    /// Ends the item that is open, if one is.
    pub(super) fn close(&self, status: &str) -> Vec<Event> {
        let Some((index, item)) = self.items.iter().enumerate().next_back() else {
            return Vec::new();
        };
        let mut done = item.event(index);
        let text = item.text.as_str();
        let mut events = match &item.kind {
            Kind::Call { name, .. } => {
                done["name"] = name.as_str().into();
                done["arguments"] = text.into();
                vec![("response.function_call_arguments.done", done)]
            }
            kind => {
                done["text"] = text.into();
                let name = match kind {
                    Kind::Message { logprobs } => {
                        done["logprobs"] = logprobs.clone().into();
                        "response.output_text.done"
                    }
                    _ => "response.reasoning_text.done",
                };
                let mut part = item.event(index);
                part["part"] = item.part();
                vec![(name, done), ("response.content_part.done", part)]
            }
        };
        events.push((
            "response.output_item.done",
            json!({"output_index": index, "item": item.told(status)}),
        ));
        events
    }

    /// All items, the last one with this status.
    pub(super) fn told(&self, status: &str) -> Value {
        let last = self.items.len().saturating_sub(1);
        let items = self.items.iter().enumerate();
        items
            .map(|(i, item)| item.told(if i == last { status } else { "completed" }))
            .collect()
    }
}
