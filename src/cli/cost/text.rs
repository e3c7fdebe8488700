//! Costs and forecasts for people.

use std::io::{self, Write};

use sharpi_compile::cost::{Drafting, Rates};

use super::Answer;
use super::costed::{Costed, Section, Spent};
use crate::cli::table::Table;
use crate::cli::units::si;

const HEAD: [&str; 8] = [
    "op",
    "multiply-adds",
    "weights",
    "state",
    "cache",
    "activations",
    "per byte",
    "time",
];

pub(super) fn write(answer: &Answer<'_>, folded: bool, out: &mut impl Write) -> io::Result<()> {
    for costed in &answer.costed {
        write_costed(costed, folded, out)?;
        writeln!(out)?;
    }
    write_machine(answer, out)?;
    let forecast = &answer.forecast;
    writeln!(
        out,
        "decode               {:>8} tokens/s",
        rate(forecast.decode)
    )?;
    let prefill = format!("prefill, {} at once", answer.question.prefill);
    writeln!(out, "{prefill:20} {:>8} tokens/s", rate(forecast.prefill))?;
    if !forecast.drafting.is_empty() {
        write_drafting(answer, out)?;
    }
    match answer.shared.is_empty() {
        true => Ok(()),
        false => write_ranks(answer, out),
    }
}

/// What is to be expected of several machines like this one.
fn write_ranks(answer: &Answer<'_>, out: &mut impl Write) -> io::Result<()> {
    let link = answer.question.link;
    let (latency, bytes) = (si(link.latency, "s"), si(link.rate, "B/s"));
    writeln!(
        out,
        "\nranks with a machine like this one each, {latency} an exchange and {bytes}"
    )?;
    let head = [
        "ranks",
        "weights",
        "exchanges",
        "bytes",
        "decode",
        "prefill",
        "drafting",
    ];
    let mut table = Table::new(head, 0);
    for shared in &answer.shared {
        let drafting = shared.forecast.drafting.iter();
        let best = drafting.max_by(|a, b| a.tokens_per_second.total_cmp(&b.tokens_per_second));
        table.line([
            shared.ranks.to_string(),
            si(shared.weight_bytes, "B"),
            shared.exchanges.to_string(),
            si(shared.exchanged_bytes, "B"),
            rate(shared.forecast.decode),
            rate(shared.forecast.prefill),
            best.map_or("-".into(), |best| {
                format!("{}, n-max {}", rate(best.tokens_per_second), best.n_max)
            }),
        ]);
    }
    table.write(out)
}

fn write_costed(costed: &Costed<'_>, folded: bool, out: &mut impl Write) -> io::Result<()> {
    let shape = &costed.shape;
    writeln!(
        out,
        "@{}: run of {}, logits of {}, {} before it",
        costed.graph,
        tokens(shape.tokens),
        shape.rows,
        shape.context
    )?;
    let mut table = Table::new(HEAD, 1);
    let sections = match folded {
        true => costed.folded(),
        false => costed.sections.clone(),
    };
    for section in &sections {
        let indent = match section.blocks.is_empty() {
            true => "",
            false => {
                table.line(line(blocks(section), &Spent::sum(section.spent())));
                "  "
            }
        };
        for op in &section.ops {
            let name = format!("{indent}{} {}", op.op, op.symbols.join(" "));
            table.line(line(name.trim_end().into(), &op.spent));
        }
    }
    table.line(line("all".into(), &costed.total()));
    table.write(out)
}

fn tokens(count: usize) -> String {
    match count {
        1 => "1 token".into(),
        n => format!("{n} tokens"),
    }
}

/// `48 blocks like 0`.
fn blocks(section: &Section) -> String {
    match section.blocks[..] {
        [block] => format!("block {block}"),
        [first, ..] => format!("{} blocks like {first}", section.blocks.len()),
        [] => String::new(),
    }
}

fn line(name: String, spent: &Spent) -> [String; 8] {
    let Spent { cost, seconds } = spent;
    let bytes = |bytes: f64| match bytes > 0.0 {
        true => si(bytes, "B"),
        false => "-".into(),
    };
    [
        name,
        si(cost.macs(), ""),
        bytes(cost.weight_bytes),
        bytes(cost.state_bytes),
        bytes(cost.cache_bytes),
        bytes(cost.activation_bytes),
        cost.intensity().map_or("-".into(), |i| format!("{i:.2}")),
        si(*seconds, "s"),
    ]
}

fn write_machine(answer: &Answer<'_>, out: &mut impl Write) -> io::Result<()> {
    let (ceilings, threads) = (answer.ceilings, answer.question.threads);
    let Rates {
        int_macs, f32_macs, ..
    } = ceilings.at(threads);
    // Of the first run that is shown: a small model is read from caches.
    let first = answer.costed.first().map(Costed::total);
    let bytes = first.map_or(f64::INFINITY, |spent| spent.cost.resident_bytes());
    let read_bytes = ceilings.read_rate(threads, bytes);
    let noun = if threads == 1 { "thread" } else { "threads" };
    writeln!(
        out,
        "at most, with {threads} {noun} of {} ({}): {}, {} int8 and {} f32 multiply-adds a second",
        ceilings.cpu,
        ceilings.simd,
        si(read_bytes, "B/s"),
        si(int_macs, ""),
        si(f32_macs, "")
    )?;
    let sections = answer.costed.iter().flat_map(|c| &c.sections);
    let mut ops = sections.flat_map(|s| &s.ops);
    match ops.any(|op| op.op.starts_with("moe_")) {
        true => writeln!(
            out,
            "if each token picks its experts by itself, all equally likely"
        ),
        false => Ok(()),
    }
}

fn write_drafting(answer: &Answer<'_>, out: &mut impl Write) -> io::Result<()> {
    let acceptance = answer.question.acceptance;
    writeln!(out, "\ndrafting, {acceptance} of the drafted tokens right")?;
    let head = [
        "n-max",
        "tokens a round",
        "draft",
        "verify",
        "tokens/s",
        "speed-up",
        "breaks even at",
    ];
    let mut table = Table::new(head, 0);
    for d in &answer.forecast.drafting {
        let Drafting { n_max, .. } = d;
        table.line([
            n_max.to_string(),
            format!("{:.2}", d.tokens_per_round),
            si(d.draft_seconds, "s"),
            si(d.verify_seconds, "s"),
            rate(d.tokens_per_second),
            format!("{:.2}", d.speed_up),
            match d.break_even {
                Some(acceptance) => format!("{acceptance:.2}"),
                None if *n_max == 0 => "-".into(),
                None => "never".into(),
            },
        ]);
    }
    table.write(out)
}

fn rate(per_second: f64) -> String {
    match per_second {
        r if r >= 100.0 => format!("{r:.0}"),
        r if r >= 10.0 => format!("{r:.1}"),
        r => format!("{r:.2}"),
    }
}
