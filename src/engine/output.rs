//! From tokens to text that a client may see: whole characters, and nothing of a stop string.

use std::sync::Arc;

use crate::tokenizer::{TextStream, Tokenizer};

/// Decodes tokens, and holds back what may yet become a string that ends the text.
pub(super) struct Output {
    stream: Option<TextStream<Arc<Tokenizer>>>,
    stops: Vec<String>,
    held: String,
}

/// What became visible.
#[derive(PartialEq, Debug)]
pub(super) enum Shown {
    Text(String),
    /// The last of the text: behind it came this stop string.
    Stop(String, usize),
}

impl Output {
    /// Without a tokenizer there is no text.
    pub(super) fn new(
        tokenizer: Option<Arc<Tokenizer>>,
        stops: Vec<String>,
        (special, printed): (bool, Vec<u32>),
    ) -> Output {
        let stream = tokenizer.map(TextStream::new);
        let stream = stream.map(|s| s.with_special(special).with_printed(printed));
        Output {
            stream,
            stops,
            held: String::new(),
        }
    }

    pub(super) fn push(&mut self, id: u32) -> Shown {
        if let Some(stream) = &mut self.stream {
            let text = stream.push(id);
            self.held.push_str(&text);
        }
        self.show()
    }

    /// What was held back, once no more comes.
    pub(super) fn finish(&mut self) -> String {
        let rest = self.stream.take().map(TextStream::finish);
        self.held.push_str(&rest.unwrap_or_default());
        std::mem::take(&mut self.held)
    }

    fn show(&mut self) -> Shown {
        let stops = self.stops.iter().enumerate();
        let stops = stops.filter(|(_, stop)| !stop.is_empty());
        let found = stops.filter_map(|(i, stop)| Some((self.held.find(stop)?, i)));
        if let Some((at, i)) = found.min() {
            self.held.truncate(at);
            self.stream = None;
            return Shown::Stop(std::mem::take(&mut self.held), i);
        }
        let stops = self.stops.iter();
        let begun = stops.map(|stop| begun(&self.held, stop)).max();
        let rest = self.held.split_off(self.held.len() - begun.unwrap_or(0));
        Shown::Text(std::mem::replace(&mut self.held, rest))
    }
}

/// Bytes at the end of a text with which a stop string begins.
fn begun(text: &str, stop: &str) -> usize {
    let ends = (1..stop.len()).rev();
    let mut ends = ends.filter(|n| stop.is_char_boundary(*n) && text.ends_with(&stop[..*n]));
    ends.next().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All that is shown of pieces of text, and which stop string came.
    fn shown(pieces: &[&str], stops: &[&str]) -> (Vec<String>, Option<usize>) {
        let stops = stops.iter().map(|s| s.to_string()).collect();
        let mut output = Output::new(None, stops, (false, Vec::new()));
        let mut all = Vec::new();
        for piece in pieces {
            output.held.push_str(piece);
            match output.show() {
                Shown::Text(text) => all.push(text),
                Shown::Stop(text, i) => {
                    all.push(text);
                    return (all, Some(i));
                }
            }
        }
        all.push(output.finish());
        (all, None)
    }

    #[test]
    fn text_comes_at_once_unless_a_stop_string_may_begin_in_it() {
        let (text, stop) = shown(&["a", "b\n", "\nc"], &["\n\n\n"]);
        assert_eq!(
            (text, stop),
            (
                vec!["a".into(), "b".into(), "\n\nc".into(), String::new()],
                None
            )
        );
        let (text, _) = shown(&["x", "é", "y"], &["éé"]);
        assert_eq!(text, ["x", "", "éy", ""]);
    }

    #[test]
    fn the_text_ends_before_the_first_stop_string_wherever_it_is_cut() {
        let text = "one END two STOP";
        for cut in 0..=text.len() {
            let (a, b) = text.split_at(cut);
            let (found, stop) = shown(&[a, b], &["", "STOP", "END"]);
            assert_eq!((found.concat().as_str(), stop), ("one ", Some(2)), "{cut}");
        }
    }

    #[test]
    fn what_was_held_back_comes_at_the_end() {
        assert_eq!(shown(&["ab", "EN"], &["END"]).0, ["ab", "", "EN"]);
    }
}
