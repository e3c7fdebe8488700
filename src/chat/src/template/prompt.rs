//! What a template makes of a conversation.

/// A prompt, cut where the writer changes.
///
/// The text is one text: words may go across cuts. Only tokens such as `<|im_end|>`
/// may not, and they are tokens nowhere but within one trusted segment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prompt {
    /// The segments, none of them empty, trusted and untrusted by turns.
    pub segments: Vec<Segment>,
}

/// A stretch of a prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Its text.
    pub text: String,
    /// Whether the template wrote it. What came from messages, tools or variables is
    /// not trusted, and neither is anything made of it.
    pub trusted: bool,
}

impl Prompt {
    /// The whole text.
    pub fn text(&self) -> String {
        self.segments.iter().map(|segment| &*segment.text).collect()
    }
}
