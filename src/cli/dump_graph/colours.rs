//! Colours of graphs and of differences on a terminal.

use std::io::{self, Write};

use sharpi_ir::Op;

use crate::cli::screen::{Screen, Style};
use crate::cli::viewer::kinds::{Kind, kind_of};

/// Writes graphs: ops in the colours of their kinds, comments dimmed.
pub(super) fn write_graphs(text: &str, out: &mut Screen<impl Write>) -> io::Result<()> {
    for line in text.split_inclusive('\n') {
        let (code, comment) = split_comment(line);
        match mnemonic(code) {
            Some((before, op, behind)) => {
                out.write_all(before.as_bytes())?;
                styled(out, style_of(op), op)?;
                out.write_all(behind.as_bytes())?;
            }
            None if code.trim_start().starts_with("graph @") => styled(out, Style::Bold, code)?,
            None => out.write_all(code.as_bytes())?,
        }
        styled(out, Style::Dim, comment)?;
    }
    Ok(())
}

/// Writes a unified difference: what goes in red, what comes in green.
pub(super) fn write_difference(text: &str, out: &mut Screen<impl Write>) -> io::Result<()> {
    for line in text.split_inclusive('\n') {
        let style = match line.as_bytes().first() {
            _ if line.starts_with("--- ") || line.starts_with("+++ ") => Style::Bold,
            Some(b'-') => Style::Red,
            Some(b'+') => Style::Green,
            Some(b'@') => Style::Cyan,
            _ => Style::Usual,
        };
        styled(out, style, line)?;
    }
    Ok(())
}

fn styled(out: &mut Screen<impl Write>, style: Style, text: &str) -> io::Result<()> {
    if style == Style::Usual || text.is_empty() {
        return out.write_all(text.as_bytes());
    }
    out.style(style)?;
    out.write_all(text.as_bytes())?;
    out.style(Style::Usual)
}

/// A comment begins with a `;` at the line's start or behind two blanks.
fn split_comment(line: &str) -> (&str, &str) {
    let indent = line.len() - line.trim_start().len();
    match line[indent..].starts_with(';') {
        true => line.split_at(indent),
        false => line.split_at(line.rfind("  ; ").unwrap_or(line.len())),
    }
}

/// The line before its op, the mnemonic, and the rest.
fn mnemonic(line: &str) -> Option<(&str, &str, &str)> {
    let at = match line.trim_start().starts_with('%') {
        true => line.find(" = ")? + 3,
        false => line.len() - line.trim_start().len(),
    };
    let end = line[at..].find([' ', '\n']).map_or(line.len(), |n| at + n);
    let op = &line[at..end];
    let known = Op::SIGNATURES.iter().any(|s| s.mnemonic == op);
    known.then(|| (&line[..at], op, &line[end..]))
}

fn style_of(mnemonic: &str) -> Style {
    match kind_of(mnemonic) {
        Kind::Product => Style::Blue,
        Kind::Attention | Kind::Routing => Style::Magenta,
        Kind::Recurrent => Style::Cyan,
        Kind::Norm | Kind::Rounding => Style::Yellow,
        Kind::Moving => Style::Dim,
        Kind::Elementwise => Style::Green,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_op_and_the_comment_of_a_line_are_found() {
        let line = "    %6, %7 = product %5, @w {a = 1} : f32[T, 8] as q  ; step 5\n";
        let (code, comment) = split_comment(line);
        assert_eq!(comment, "  ; step 5\n");
        let (before, op, behind) = mnemonic(code).unwrap();
        assert_eq!((before, op), ("    %6, %7 = ", "product"));
        assert!(behind.starts_with(" %5"));
        assert_eq!(
            mnemonic("    kv_store %1, %2\n").map(|(_, op, _)| op),
            Some("kv_store")
        );
        assert_eq!(mnemonic("  weight @w : f32[2] = \"w\"\n"), None);
        assert_eq!(split_comment("  ; 4 steps\n"), ("  ", "; 4 steps\n"));
    }
}
