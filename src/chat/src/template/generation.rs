//! `{% generation %}` … `{% endgeneration %}`, by which templates say which text is
//! the model's own. It matters for training; here it is as if it were not there.

use std::borrow::Cow;

/// The source with such tags as blocks that change nothing, each as long as it was,
/// so that places in the source stay.
pub(super) fn as_blocks(source: &str) -> Cow<'_, str> {
    if !source.contains("generation") {
        return Cow::Borrowed(source);
    }
    let mut blocks = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(at) = rest.find("{%") {
        let (before, tag) = rest.split_at(at + 2);
        blocks.push_str(before);
        let end = tag.find("%}").unwrap_or(tag.len());
        let (tag, behind) = tag.split_at(end);
        blocks.push_str(&as_block(tag));
        rest = behind;
    }
    blocks.push_str(rest);
    Cow::Owned(blocks)
}

fn as_block(tag: &str) -> Cow<'_, str> {
    let (name, block) = match tag.trim_matches(['-', '+']).trim() {
        name @ "generation" => (name, "if true   "),
        name @ "endgeneration" => (name, "endif        "),
        _ => return Cow::Borrowed(tag),
    };
    Cow::Owned(tag.replace(name, block))
}

#[cfg(test)]
mod tests {
    use super::as_blocks;

    #[test]
    fn tags_of_generation_become_blocks_of_the_same_length() {
        let source = "{%- generation -%}a{% endgeneration%}{% set generation = 1 %}{% x";
        let expected = "{%- if true    -%}a{% endif        %}{% set generation = 1 %}{% x";
        assert_eq!(as_blocks(source), expected);
        assert_eq!(source.len(), expected.len());
    }
}
