//! Samples, medians, and what they say.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::Work;
use super::engine::Kind;

/// One measurement.
#[derive(Clone, Debug, Serialize)]
pub struct Sample {
    /// Ids for which the time was needed.
    pub tokens: usize,
    pub seconds: f64,
    pub drafted: usize,
    pub accepted: usize,
    /// What was generated.
    #[serde(skip)]
    pub ids: Vec<u32>,
}

impl Sample {
    pub fn prefill(tokens: usize, time: Duration) -> Sample {
        Sample {
            tokens,
            seconds: time.as_secs_f64(),
            drafted: 0,
            accepted: 0,
            ids: Vec::new(),
        }
    }

    /// Tokens a second.
    fn rate(&self) -> f64 {
        self.tokens as f64 / self.seconds
    }
}

/// Everything that was measured.
#[derive(Serialize)]
pub struct Table {
    model: String,
    threads: usize,
    /// Whether one engine at a time was in memory.
    pub reloaded: bool,
    rows: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    #[serde(serialize_with = "as_text")]
    work: Work,
    engines: [Column; 3],
    /// Tokens a second at which the machine's memory or its multipliers have no more to give.
    bound: Option<f64>,
    /// Of this engine to the better of llama.cpp's modes, at its best n-max.
    ratio: Option<Spread>,
    /// Whether this engine and llama.cpp as it comes generated the same ids each time.
    same_ids: Option<bool>,
    /// Whether llama.cpp without its repacking did too. It adds in another order then, so that
    /// a near tie may fall the other way.
    no_repack_same_ids: Option<bool>,
}

#[derive(Serialize)]
struct Column {
    engine: Kind,
    /// Tokens a second.
    rate: Option<Spread>,
    samples: Vec<Sample>,
}

/// Median and extremes.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
struct Spread {
    median: f64,
    min: f64,
    max: f64,
}

fn as_text<S: Serializer>(work: &Work, out: S) -> Result<S::Ok, S::Error> {
    out.collect_str(work)
}

impl Spread {
    fn of(values: impl Iterator<Item = f64>) -> Option<Spread> {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let (min, max) = (*values.first()?, *values.last()?);
        let median = match values.len() % 2 {
            0 => (values[middle - 1] + values[middle]) / 2.0,
            _ => values[middle],
        };
        Some(Spread { median, min, max })
    }
}

impl Column {
    fn rates(&self) -> impl Iterator<Item = f64> {
        self.samples.iter().map(Sample::rate)
    }

    fn median(&self) -> f64 {
        self.rate.map_or(0.0, |rate| rate.median)
    }

    /// Part of the drafted ids that held.
    fn acceptance(&self) -> Option<f64> {
        let drafted: usize = self.samples.iter().map(|s| s.drafted).sum();
        let accepted: usize = self.samples.iter().map(|s| s.accepted).sum();
        (drafted > 0).then(|| accepted as f64 / drafted as f64)
    }
}

impl Table {
    pub fn new(model: &Path, threads: usize, works: &[Work]) -> Table {
        let column = |engine| Column {
            engine,
            rate: None,
            samples: Vec::new(),
        };
        let row = |&work| Row {
            work,
            engines: Kind::ALL.map(column),
            bound: None,
            ratio: None,
            same_ids: None,
            no_repack_same_ids: None,
        };
        Table {
            model: model.display().to_string(),
            threads,
            reloaded: false,
            rows: works.iter().map(row).collect(),
        }
    }

    /// Sets what the machine is capable of at each work.
    pub fn set_bounds(&mut self, bound: impl Fn(Work) -> Option<f64>) {
        for row in &mut self.rows {
            row.bound = bound(row.work);
        }
    }

    pub fn add(&mut self, kind: Kind, work: Work, sample: Sample) {
        if let Some(row) = self.rows.iter_mut().find(|row| row.work == work) {
            let column = &mut row.engines[kind as usize];
            column.samples.push(sample);
            column.rate = Spread::of(column.rates());
        }
        self.judge();
    }

    /// Ratios of what is there. Rates of one turn are compared with each other, so that what
    /// slows the machine down for a while slows both.
    fn judge(&mut self) {
        let ratios: Vec<Option<Spread>> = (self.rows.iter())
            .map(|row| {
                let theirs = self.best_of_theirs(row.work)?.rates();
                let ours = row.engines[Kind::Ours as usize].rates();
                Spread::of(ours.zip(theirs).map(|(ours, theirs)| ours / theirs))
            })
            .collect();
        for (row, ratio) in self.rows.iter_mut().zip(ratios) {
            row.ratio = ratio;
            row.same_ids = row.agrees(Kind::Repacked);
            row.no_repack_same_ids = row.agrees(Kind::Unrepacked);
        }
    }

    /// llama.cpp's faster mode at this work; where ours drafts, at whatever n-max it is fastest.
    fn best_of_theirs(&self, work: Work) -> Option<&Column> {
        let drafts = matches!(work, Work::Generate { n_max: 1.., .. });
        let counts = |other: Work| match drafts {
            true => matches!(other, Work::Generate { .. }),
            false => other == work,
        };
        let rows = self.rows.iter().filter(|row| counts(row.work));
        rows.flat_map(|row| &row.engines)
            .filter(|column| column.engine != Kind::Ours)
            .max_by(|a, b| a.median().total_cmp(&b.median()))
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Work::Prefill(count) => write!(f, "prefill {count}"),
            Work::Generate { n_max: 0, ids } => write!(f, "decode {ids}"),
            Work::Generate { n_max, ids } => write!(f, "draft {n_max}, {ids}"),
            Work::Deep { depth, ids } => write!(f, "decode {ids} at {depth}"),
            Work::Together { sequences, ids } => write!(f, "decode {ids} × {sequences}"),
        }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Spread { median, min, max } = self;
        write!(f, "{median:.2} ({min:.2}–{max:.2})")
    }
}

/// A Markdown table.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let loaded = match self.reloaded {
            true => "one engine in memory at a time",
            false => "all engines in memory",
        };
        writeln!(
            f,
            "{}, {} threads, {loaded}. Tokens a second: median (least–most).\n",
            self.model, self.threads
        )?;
        let names = Kind::ALL.map(Kind::name).join(" | ");
        writeln!(f, "| work | {names} | ratio | bound | accepted | ids |")?;
        writeln!(f, "| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |")?;
        for row in &self.rows {
            writeln!(f, "{row}")?;
        }
        write!(
            f,
            "\nratio: to the faster of llama.cpp's two modes; of drafting, to its fastest at any \
             n-max\nbound: what memory and multipliers give, measured just before and after"
        )
    }
}

impl Row {
    /// Whether this engine and another generated the same ids each time.
    fn agrees(&self, kind: Kind) -> Option<bool> {
        let ids = |kind: Kind| self.engines[kind as usize].samples.iter().map(|s| &s.ids);
        let first = ids(Kind::Ours).next().filter(|ids| !ids.is_empty())?;
        Some(ids(Kind::Ours).chain(ids(kind)).all(|other| other == first))
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".into());
        let spread = |spread: Option<Spread>| or_dash(spread.map(|s| s.to_string()));
        write!(f, "| {} ", self.work)?;
        for column in &self.engines {
            write!(f, "| {} ", spread(column.rate))?;
        }
        let acceptance =
            |column: &Column| column.acceptance().map(|a| format!("{:.0} %", 100.0 * a));
        let ours = acceptance(&self.engines[0]);
        let both = ours.zip(acceptance(&self.engines[1]));
        let both = or_dash(both.map(|(ours, theirs)| format!("{ours}, {theirs}")));
        let ids = match (self.same_ids, self.no_repack_same_ids) {
            (None, _) => "-",
            (Some(false), _) => "differ",
            (_, Some(false)) => "same, --no-repack differs",
            _ => "same",
        };
        let bound = or_dash(self.bound.map(|bound| format!("{bound:.2}")));
        write!(f, "| {} | {bound} | {both} | {ids} |", spread(self.ratio))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(tokens: usize, seconds: f64) -> Sample {
        Sample {
            ids: vec![1],
            ..Sample::prefill(tokens, Duration::from_secs_f64(seconds))
        }
    }

    #[test]
    fn a_median_lies_in_the_middle() {
        let spread = |values: &[f64]| Spread::of(values.iter().copied()).unwrap();
        assert_eq!(spread(&[3.0, 1.0, 2.0]).median, 2.0);
        assert_eq!(spread(&[4.0, 1.0, 2.0, 3.0]).median, 2.5);
        assert_eq!(Spread::of([].into_iter()), None);
    }

    #[test]
    fn drafting_is_compared_with_their_fastest_at_any_n_max_and_decoding_with_decoding() {
        let works = [0, 2].map(|n_max| Work::Generate { n_max, ids: 8 });
        let mut table = Table::new(Path::new("x"), 1, &works);
        let rates = [(10, 5, 6), (30, 4, 3)];
        for (work, (ours, repacked, unrepacked)) in works.into_iter().zip(rates) {
            table.add(Kind::Ours, work, sample(ours, 1.0));
            table.add(Kind::Repacked, work, sample(repacked, 1.0));
            table.add(Kind::Unrepacked, work, sample(unrepacked, 1.0));
        }
        let ratio = |i: usize| table.rows[i].ratio.unwrap().median;
        assert_eq!((ratio(0), ratio(1)), (10.0 / 6.0, 5.0));
        assert_eq!(table.rows[0].same_ids, Some(true));
    }
}
