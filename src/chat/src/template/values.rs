//! A conversation as the engine's values, with every untrusted character marked.

use std::sync::Arc;

use indexmap::IndexMap;
use minijinja::Value;
use minijinja::value::{Enumerator, Object};

use super::conversation::{Content, Conversation, Message, ToolCall};
use super::marks::{Marks, MarksUsedUp};
use crate::Json;

/// The roles that are not marked, so that `'<|' + message.role + '|>'` is a token.
const ROLES: &[&str] = &[
    "system",
    "developer",
    "user",
    "assistant",
    "model",
    "tool",
    "function",
    "ipython",
];

/// Makes values of what is untrusted.
pub(super) struct Values<'m> {
    pub(super) marks: &'m Arc<Marks>,
    /// Whether the template reads content that comes in parts.
    pub(super) reads_parts: bool,
}

/// A map with untrusted keys: they are looked up as they are and listed with marks.
#[derive(Debug)]
pub(super) struct Fields {
    fields: IndexMap<String, (Value, Value)>,
    /// The bytes of the longest key.
    longest: usize,
    marks: Arc<Marks>,
}

impl Object for Fields {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let key = key.as_str()?;
        // A mark has four bytes. Nobody counts the steps of looking at a longer key.
        if key.len() > 4 * self.longest {
            return None;
        }
        let key = self.marks.plain(key);
        self.fields.get(&*key).map(|(_, value)| value.clone())
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let pairs: Vec<_> = self.fields.values().cloned().collect();
        Enumerator::KeyValueIter(Box::new(pairs.into_iter()))
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(self.fields.len())
    }
}

/// The fields of a map of the engine's, in order.
type Map = IndexMap<String, Value>;

impl Values<'_> {
    /// The variables of a template, but for its functions.
    pub(super) fn root(&self, conversation: &Conversation) -> Result<Map, MarksUsedUp> {
        let mut root = Map::new();
        for (name, value) in &conversation.variables {
            root.insert(name.clone(), self.json(value)?);
        }
        let messages = conversation.messages.iter().map(|m| self.message(m));
        root.insert(
            "messages".into(),
            messages.collect::<Result<Vec<_>, _>>()?.into(),
        );
        // Templates ask whether there are tools at all.
        if !conversation.tools.is_empty() {
            root.insert("tools".into(), self.list(&conversation.tools)?);
        }
        let prompt = conversation.add_generation_prompt;
        root.insert("add_generation_prompt".into(), prompt.into());
        let tokens = [
            ("bos_token", &conversation.bos_token),
            ("eos_token", &conversation.eos_token),
        ];
        for (name, token) in tokens {
            // A template adds them to strings, which what is undefined cannot be.
            root.insert(name.into(), token.as_deref().unwrap_or_default().into());
        }
        Ok(root)
    }

    fn message(&self, message: &Message) -> Result<Value, MarksUsedUp> {
        let mut fields = Map::new();
        let role = match ROLES.contains(&message.role.as_str()) {
            true => Value::from(&*message.role),
            false => self.text(&message.role)?,
        };
        fields.insert("role".into(), role);
        fields.insert("content".into(), self.content(&message.content)?);
        let texts = [
            ("reasoning_content", &message.reasoning_content),
            ("name", &message.name),
            ("tool_call_id", &message.tool_call_id),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                fields.insert(name.into(), self.text(text)?);
            }
        }
        if !message.tool_calls.is_empty() {
            let calls = message.tool_calls.iter().map(|call| self.call(call));
            fields.insert(
                "tool_calls".into(),
                calls.collect::<Result<Vec<_>, _>>()?.into(),
            );
        }
        Ok(Value::from_pairs(fields))
    }

    fn content(&self, content: &Option<Content>) -> Result<Value, MarksUsedUp> {
        let Some(content) = content else {
            return Ok(Value::from(()));
        };
        match (content, content.joined()) {
            (Content::Parts(parts), None) => self.list(parts),
            (Content::Parts(parts), _) if self.reads_parts => self.list(parts),
            (_, joined) => self.text(&joined.unwrap_or_default()),
        }
    }

    fn call(&self, call: &ToolCall) -> Result<Value, MarksUsedUp> {
        let arguments = match &call.function.arguments {
            Json::String(text) => match text.parse() {
                Ok(object @ Json::Object(_)) => self.json(&object)?,
                _ => self.text(text)?,
            },
            value => self.json(value)?,
        };
        let name = self.text(&call.function.name)?;
        let function = [("name", name), ("arguments", arguments)];
        let mut fields = Map::new();
        if let Some(id) = &call.id {
            fields.insert("id".into(), self.text(id)?);
        }
        fields.insert("type".into(), "function".into());
        fields.insert("function".into(), Value::from_pairs(function));
        Ok(Value::from_pairs(fields))
    }

    fn json(&self, value: &Json) -> Result<Value, MarksUsedUp> {
        Ok(match value {
            Json::Null => Value::from(()),
            Json::Bool(value) => Value::from(*value),
            Json::Int(value) => Value::from(*value),
            Json::UInt(value) => Value::from(*value),
            Json::Float(value) => Value::from(*value),
            Json::String(text) => self.text(text)?,
            Json::Array(elements) => self.list(elements)?,
            Json::Object(fields) => self.fields(fields)?,
        })
    }

    fn list(&self, values: &[Json]) -> Result<Value, MarksUsedUp> {
        let values: Result<Vec<_>, _> = values.iter().map(|value| self.json(value)).collect();
        Ok(values?.into())
    }

    fn fields(&self, fields: &[(String, Json)]) -> Result<Value, MarksUsedUp> {
        let longest = fields.iter().map(|(key, _)| key.len()).max().unwrap_or(0);
        let fields = fields.iter().map(|(key, value)| {
            let shown = (self.text(key)?, self.json(value)?);
            Ok((key.clone(), shown))
        });
        Ok(Value::from_object(Fields {
            fields: fields.collect::<Result<_, _>>()?,
            longest,
            marks: self.marks.clone(),
        }))
    }

    fn text(&self, text: &str) -> Result<Value, MarksUsedUp> {
        Ok(self.marks.mark_input(text)?.into())
    }
}
