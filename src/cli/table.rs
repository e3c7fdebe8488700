//! Columns of text.

use std::io::{self, Write};

use sharpi_ir::plain::line;

/// Lines of cells under a head.
pub(super) struct Table<const N: usize> {
    head: [&'static str; N],
    /// How many columns from the left are words; those behind are numbers, which stand at the
    /// right.
    words: usize,
    lines: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    pub(super) fn new(head: [&'static str; N], words: usize) -> Table<N> {
        Table {
            head,
            words,
            lines: Vec::new(),
        }
    }

    pub(super) fn line(&mut self, cells: [String; N]) {
        self.lines.push(cells.map(|cell| line(&cell)));
    }

    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let chars = |text: &str| text.chars().count();
        let width = |i: usize| {
            let cells = self.lines.iter().map(|line| chars(&line[i]));
            cells.chain([chars(self.head[i])]).max().unwrap_or(0)
        };
        let widths: [usize; N] = std::array::from_fn(width);
        let mut line = |cells: &[String; N]| {
            let cells = cells.iter().zip(widths).enumerate();
            let padded = cells.map(|(i, (cell, w))| match i < self.words {
                true => format!("{cell:w$}"),
                false => format!("{cell:>w$}"),
            });
            let text = padded.collect::<Vec<_>>().join("  ");
            writeln!(out, "{}", text.trim_end())
        };
        line(&self.head.map(String::from))?;
        self.lines.iter().try_for_each(&mut line)
    }
}
