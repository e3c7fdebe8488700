//! The Markdown table: llama-bench's columns, then median and spread.

use std::io::{self, Write};

use sharpi_ir::plain;

use super::super::lower_args::CacheType;
use super::row::Row;

/// Which of the columns are shown that llama-bench leaves out unless they are asked for.
#[derive(Clone, Copy)]
pub(super) struct Table {
    pub(super) batch: bool,
    pub(super) cache: bool,
    pub(super) drafting: bool,
    pub(super) together: bool,
}

/// A title, the least width, and a row's text.
struct Column {
    title: &'static str,
    width: usize,
    left: bool,
    text: fn(&Row) -> String,
}

const fn left(title: &'static str, width: usize, text: fn(&Row) -> String) -> Column {
    Column {
        title,
        width,
        left: true,
        text,
    }
}

const fn right(title: &'static str, width: usize, text: fn(&Row) -> String) -> Column {
    Column {
        title,
        width,
        left: false,
        text,
    }
}

const MODEL: [Column; 5] = [
    left("model", 20, |r| r.model.model_type.clone()),
    right("size", 10, |r| size(r.model.model_size)),
    right("params", 9, |r| count(r.model.model_n_params)),
    left("backend", 7, |r| r.backends.into()),
    right("threads", 7, |r| r.setup.n_threads.to_string()),
];

const BATCH: [Column; 1] = [right("n_batch", 7, |r| r.setup.n_batch.to_string())];

const CACHE: [Column; 2] = [
    right("type_k", 6, |r| cache(r.setup.type_k)),
    right("type_v", 6, |r| cache(r.setup.type_v)),
];

const SPEED: [Column; 6] = [
    right("test", 15, |r| r.test.clone()),
    right("t/s", 16, |r| {
        format!("{:.2} ± {:.2}", r.avg_ts, r.stddev_ts)
    }),
    right("median", 8, |r| format!("{:.2}", r.median_ts)),
    right("min", 8, |r| format!("{:.2}", r.min_ts)),
    right("max", 8, |r| format!("{:.2}", r.max_ts)),
    right("GB/s", 6, |r| optional(r.gb_per_second)),
];

const N_MAX: [Column; 1] = [right("n-max", 5, |r| match r.spec_draft_auto {
    true => "auto".into(),
    false => r.spec_draft_n_max.to_string(),
})];

const ROUNDS: [Column; 3] = [
    right("rounds", 6, |r| {
        r.rounds.map_or("-".into(), |n| n.to_string())
    }),
    right("t/round", 7, |r| optional(r.tokens_per_round)),
    right("accepted by place", 17, accepted),
];

const TOGETHER: [Column; 5] = [
    right("t/s each", 8, |r| optional(r.sequence_ts)),
    right("prompts t/s", 11, |r| optional(r.prompt_ts)),
    right("first token ms", 14, |r| optional(r.first_token_ms)),
    right("the last ms", 11, |r| optional(r.last_first_token_ms)),
    right("scheduler", 9, |r| match r.scheduler_share {
        Some(share) => format!("{:.2} %", 100.0 * share),
        None => "-".into(),
    }),
];

impl Table {
    fn columns(self) -> impl Iterator<Item = &'static Column> {
        let parts: [(bool, &'static [Column]); 7] = [
            (true, &MODEL),
            (self.batch, &BATCH),
            (self.cache, &CACHE),
            (self.drafting, &N_MAX),
            (true, &SPEED),
            (self.together, &TOGETHER),
            (self.drafting, &ROUNDS),
        ];
        parts
            .into_iter()
            .filter(|(on, _)| *on)
            .flat_map(|(_, columns)| columns)
    }

    pub(super) fn head(self, out: &mut impl Write) -> io::Result<()> {
        self.line(out, |column| column.title.into())?;
        for column in self.columns() {
            let dashes = "-".repeat(column.width - usize::from(!column.left));
            write!(out, "| {dashes}{} ", if column.left { "" } else { ":" })?;
        }
        writeln!(out, "|")
    }

    pub(super) fn row(self, row: &Row, out: &mut impl Write) -> io::Result<()> {
        self.line(out, |column| (column.text)(row))
    }

    fn line(self, out: &mut impl Write, text: impl Fn(&Column) -> String) -> io::Result<()> {
        for column in self.columns() {
            let (text, width) = (plain::line(&text(column)), column.width);
            match column.left {
                true => write!(out, "| {text:<width$} ")?,
                false => write!(out, "| {text:>width$} ")?,
            }
        }
        writeln!(out, "|")
    }
}

fn cache(ty: CacheType) -> String {
    ty.dtype().to_string()
}

fn size(bytes: u64) -> String {
    const MIB: f64 = 1024.0 * 1024.0;
    match bytes as f64 / MIB {
        mib if mib >= 1024.0 => format!("{:.2} GiB", mib / 1024.0),
        mib => format!("{mib:.2} MiB"),
    }
}

fn count(params: u64) -> String {
    match params as f64 / 1e6 {
        millions if millions >= 1000.0 => format!("{:.2} B", millions / 1000.0),
        millions => format!("{millions:.2} M"),
    }
}

fn optional(number: Option<f64>) -> String {
    number.map_or("-".into(), |x| format!("{x:.2}"))
}

/// The share of the drafted tokens at each place that were accepted, in percent.
fn accepted(row: &Row) -> String {
    let places = row.drafted_by_place.iter().zip(&row.accepted_by_place);
    let percent = places.map(|(d, a)| format!("{:.0} %", 100.0 * *a as f64 / (*d).max(1) as f64));
    match row.drafted_by_place.is_empty() {
        true => "-".into(),
        false => percent.collect::<Vec<_>>().join(", "),
    }
}
