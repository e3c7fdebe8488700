//! The graphs of one stage as a picture for documents, equal blocks once.

use std::fmt::Write as _;
use std::io::{self, Write};

use sharpi_ir::NodeKind;
use sharpi_ir::plain::is_harmful;

use super::Subject;
use super::body::{Bodies, Name, Ref, Section, Source};
use super::kinds::{colour, kind_of};
use super::layout::{CHAR, LINE, Layout, MOST_CHARS};
use crate::cli::dump_graph::fold::{Piece, fold, unfolded};

const GAP: i64 = 30;
const FRAME: i64 = 14;
const HEAD: i64 = 26;
const BETWEEN: i64 = 60;
const TOP: i64 = 40;
/// A node of an input or an output.
const NODE: [i64; 2] = [150, 26];

/// Something of a graph that stands in its column.
enum Item<'a> {
    Section(&'a Section, usize),
    Row(Vec<String>),
}

/// An item or a frame, before all are centred: its upper edge, size, and how many frames are
/// around it.
struct Placed<T> {
    what: T,
    y: i64,
    size: [i64; 2],
    depth: i64,
}

/// A graph laid out in a column.
struct Column<'a> {
    source: &'a Source<'a>,
    layouts: &'a [Layout],
    bodies: &'a [usize],
    items: Vec<Placed<Item<'a>>>,
    frames: Vec<Placed<String>>,
    top: i64,
}

/// Writes the last stage of the subject.
pub(super) fn write(subject: &Subject<'_>, out: &mut impl Write) -> io::Result<()> {
    let mut picture = String::new();
    let (mut x, mut height) = (FRAME, 0);
    for (name, source) in subject.last_graphs() {
        let mut bodies = Bodies::default();
        let numbers = source.sections.iter().map(|s| bodies.add(&source, s));
        let numbers: Vec<usize> = numbers.collect();
        let bodies = bodies.into_all();
        let layouts = bodies
            .iter()
            .map(|(body, extents)| Layout::new(body, extents));
        let layouts: Vec<Layout> = layouts.collect();
        let column = Column::new(subject, &source, &layouts, &numbers);
        let width = column.width();
        let _ = writeln!(picture, "<g transform=\"translate({x} 0)\">");
        text(&mut picture, "g", [0, 20], &format!("@{name}"));
        column.draw(width, &mut picture);
        picture.push_str("</g>\n");
        x += width + BETWEEN;
        height = height.max(column.top);
    }
    let size = [x - BETWEEN + FRAME, height + FRAME];
    let [width, height] = size.map(|side| side.max(1));
    writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\">\n<style>{STYLE}</style>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n{picture}</svg>"
    )
}

const STYLE: &str = "text{font:11px ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace;\
    fill:#5f5b53}.t{font:600 12px system-ui,'DejaVu Sans',sans-serif;fill:#21201d}\
    .g{font:600 15px system-ui,'DejaVu Sans',sans-serif;fill:#21201d}\
    rect{fill:#fff;stroke:#8d887c}.f{fill:#eef5f2;stroke-dasharray:5 4}.b{fill:#f7f5f1}\
    path{fill:none;stroke:#8d887c}.s{stroke-dasharray:4 3;stroke:#1b8a78}";

impl<'a> Column<'a> {
    fn new(
        subject: &Subject<'_>,
        source: &'a Source<'a>,
        layouts: &'a [Layout],
        bodies: &'a [usize],
    ) -> Column<'a> {
        let mut column = Column {
            source,
            layouts,
            bodies,
            items: Vec::new(),
            frames: Vec::new(),
            top: TOP,
        };
        let inputs = source.graph.inputs().iter();
        let inputs = inputs.filter_map(|node| match source.graph.kind(*node) {
            NodeKind::Input(name) => Some(format!("in %{name}")),
            NodeKind::Op(_) => None,
        });
        column.row(inputs.collect());
        let keys = source.sections.iter().zip(bodies);
        let keys: Vec<_> = keys.map(|(s, body)| s.block.map(|_| *body)).collect();
        let pieces = match subject.folded {
            true => fold(&keys),
            false => unfolded(keys.len()),
        };
        column.pieces(&pieces, 0);
        let outputs = source.graph.outputs().keys();
        column.row(outputs.map(|name| format!("out %{name}")).collect());
        column
    }

    fn row(&mut self, names: Vec<String>) {
        if !names.is_empty() {
            let width = names.len() as i64 * (NODE[0] + FRAME) - FRAME;
            self.item(Item::Row(names), [width, NODE[1]], 0);
        }
    }

    fn item(&mut self, what: Item<'a>, size: [i64; 2], depth: i64) {
        let y = self.top;
        self.items.push(Placed {
            what,
            y,
            size,
            depth,
        });
        self.top += size[1] + GAP;
    }

    fn pieces(&mut self, pieces: &[Piece], depth: i64) {
        for piece in pieces {
            match piece {
                Piece::One(i) => {
                    let section = &self.source.sections[*i];
                    let [width, height] = self.layouts[self.bodies[*i]].size;
                    let head = section.block.map_or(0, |_| HEAD);
                    self.item(Item::Section(section, *i), [width, height + head], depth);
                }
                Piece::Repeat { body, all, period } => {
                    let (y, first) = (self.top, self.items.len());
                    self.top += HEAD + FRAME;
                    self.pieces(body, depth + 1);
                    self.top += FRAME - GAP;
                    let blocks = self.source.sections[all.clone()].iter();
                    let blocks: Vec<usize> = blocks.filter_map(|s| s.block).collect();
                    let (least, most) = (blocks.iter().min(), blocks.iter().max());
                    let (least, most) = (least.unwrap_or(&0), most.unwrap_or(&0));
                    let what = format!("{} × blocks {least}–{most}", all.len() / period);
                    let inside = self.items[first..].iter();
                    let width = inside
                        .map(|i| i.size[0] + 2 * FRAME * (i.depth - depth))
                        .max();
                    let size = [width.unwrap_or(0), self.top - y];
                    self.frames.push(Placed {
                        what,
                        y,
                        size,
                        depth,
                    });
                    self.top += GAP;
                }
            }
        }
    }

    fn width(&self) -> i64 {
        let items = self.items.iter().map(|i| i.size[0] + 2 * FRAME * i.depth);
        items.max().unwrap_or(0)
    }

    fn draw(&self, width: i64, out: &mut String) {
        // An outer frame is known after those within it.
        let mut frames: Vec<_> = self.frames.iter().collect();
        frames.sort_by_key(|frame| frame.depth);
        for frame in frames {
            let x = (width - frame.size[0]) / 2;
            rect(out, "f", [x, frame.y, frame.size[0], frame.size[1]], 10);
            text(out, "t", [x + 12, frame.y + 18], &frame.what);
        }
        for item in &self.items {
            let x = (width - item.size[0]) / 2;
            let _ = writeln!(out, "<g transform=\"translate({x} {})\">", item.y);
            match &item.what {
                Item::Row(names) => draw_row(names, out),
                Item::Section(section, i) => self.draw_section(section, *i, item.size, out),
            }
            out.push_str("</g>\n");
        }
    }

    fn draw_section(&self, section: &Section, index: usize, size: [i64; 2], out: &mut String) {
        let layout = &self.layouts[self.bodies[index]];
        if let Some(block) = section.block {
            rect(out, "b", [0, 0, size[0], size[1]], 8);
            text(out, "t", [10, 18], &format!("blk.{block}"));
            let _ = writeln!(out, "<g transform=\"translate(0 {HEAD})\">");
        }
        for (_, _, points) in &layout.edges {
            let points: Vec<String> = points
                .chunks(2)
                .map(|p| format!("{} {}", p[0], p[1]))
                .collect();
            let _ = writeln!(out, "<path d=\"M{}\"/>", points.join(" L"));
        }
        let (ops, rest) = layout.boxes.split_at(section.ops.len());
        for (node, place) in section.ops.iter().zip(ops) {
            let lines = self.source.lines(*node);
            let op = self.source.graph.op(*node).map_or("", |op| op.mnemonic());
            draw_op(&lines, op, *place, out);
        }
        let (imports, rest) = rest.split_at(layout.imports.len());
        for (import, place) in layout.imports.iter().zip(imports) {
            rect(out, "", *place, place[3] / 2);
            let label = self.import(section, import);
            text(
                out,
                "",
                [place[0] + 10, place[1] + 14],
                &clip(&label, place[2]),
            );
        }
        for (state, place) in layout.states.iter().zip(rest) {
            rect(out, "s", *place, place[3] / 2);
            let (Name::Whole(name) | Name::OfBlock(name)) = state;
            let label = format!("state {name}");
            text(
                out,
                "",
                [place[0] + 10, place[1] + 15],
                &clip(&label, place[2]),
            );
        }
        if section.block.is_some() {
            out.push_str("</g>\n");
        }
    }

    fn import(&self, section: &Section, import: &Ref) -> String {
        let Ref::Value(place) = import else {
            return match import {
                Ref::Input(name) => format!("%{name}"),
                Ref::Value(_) | Ref::Weight(_) | Ref::State(_) => String::new(),
            };
        };
        let number = section.base as i64 + place;
        let found = self
            .source
            .numbers
            .iter()
            .find(|(_, n)| **n as i64 == number);
        let Some((v, _)) = found else {
            return format!("%{number}");
        };
        let graph = self.source.graph;
        let name = graph.name(*v).map_or(format!("%{number}"), str::to_string);
        format!("{name} {}", graph.ty(*v))
    }
}

fn draw_row(names: &[String], out: &mut String) {
    for (i, name) in names.iter().enumerate() {
        let x = i as i64 * (NODE[0] + FRAME);
        rect(out, "", [x, 0, NODE[0], NODE[1]], NODE[1] / 2);
        text(out, "t", [x + 14, 17], &clip(name, NODE[0] - 8));
    }
}

fn draw_op(lines: &[String], op: &str, [x, y, w, h]: [i64; 4], out: &mut String) {
    rect(out, "", [x, y, w, h], 6);
    let fill = colour(kind_of(op));
    let _ = writeln!(
        out,
        "<path d=\"M{} {y} v{h}\" style=\"stroke:{fill};stroke-width:5\"/>",
        x + 3
    );
    for (i, line) in lines.iter().enumerate() {
        let class = if i == 0 { "t" } else { "" };
        let at = [x + 12, y + 17 + (LINE * i as f64) as i64];
        text(out, class, at, &clip(line, w));
    }
}

/// As many letters as fit into a box.
fn clip(text: &str, width: i64) -> String {
    let most = ((width as f64 - 20.0) / CHAR + 0.01) as usize;
    match text.chars().count() > most.min(MOST_CHARS) {
        false => text.to_string(),
        true => text
            .chars()
            .take(most.clamp(1, MOST_CHARS) - 1)
            .chain(['…'])
            .collect(),
    }
}

fn rect(out: &mut String, class: &str, [x, y, w, h]: [i64; 4], radius: i64) {
    let _ = writeln!(
        out,
        "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" rx=\"{radius}\"/>"
    );
}

fn text(out: &mut String, class: &str, [x, y]: [i64; 2], text: &str) {
    let _ = writeln!(
        out,
        "<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{}</text>",
        escaped(text)
    );
}

/// Text as XML may hold it: marks and what is no letter at all are written otherwise.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            c if is_harmful(c) => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_a_file_is_text_in_a_picture() {
        assert_eq!(
            escaped("</text><script>\"&\u{1b}\u{202e}"),
            "&lt;/text&gt;&lt;script&gt;&quot;&amp;\\u{1b}\\u{202e}"
        );
        assert_eq!(clip(&"x".repeat(90), 87), format!("{}…", "x".repeat(9)));
    }
}
