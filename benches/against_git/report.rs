//! All results, and how they are shown.

use std::fmt;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::cold::STAGES;
use crate::cost::Cost;
use crate::series::Series;

/// What a number has to be.
#[derive(Debug, Clone, Copy)]
pub enum Bar {
    /// At most this many of its unit.
    AtMost(f64),
    /// At most this part of git's.
    Ratio(f64),
}

struct Row {
    name: String,
    unit: &'static str,
    ours: Series,
    git: Option<Series>,
    bar: Option<Bar>,
}

/// All results.
pub struct Report {
    rows: Vec<Row>,
    /// Whether the numbers say anything.
    judge: bool,
}

impl Report {
    pub fn new(judge: bool) -> Report {
        Report { rows: Vec::new(), judge }
    }

    pub fn add(
        &mut self,
        name: impl Into<String>,
        unit: &'static str,
        ours: Series,
        git: Option<Series>,
        bar: Option<Bar>,
    ) {
        let bar = bar.filter(|_| self.judge);
        let row = Row { name: name.into(), unit, ours, git, bar };
        eprintln!("{}", row.line());
        self.rows.push(row);
    }

    /// What was written. Bytes that reach a disk are told where there is one.
    pub fn written(&mut self, ours: &[Cost], git: &[Cost]) {
        let row = |of: fn(&Cost) -> u64| {
            let all = |costs: &[Cost]| Series::new(costs.iter().map(|cost| of(cost) as f64 / 1e6));
            (all(ours), Some(all(git)))
        };
        let (own, theirs) = row(|cost| cost.written);
        self.add("  … written to files, pipes and sockets (wchar)", "MB", own, theirs, None);
        if ours.iter().chain(git).any(|cost| cost.to_disk > 0) {
            let (own, theirs) = row(|cost| cost.to_disk);
            self.add("  … of that to disk (write_bytes)", "MB", own, theirs, None);
        }
    }

    /// Where the time of our passes went.
    pub fn stages(&mut self, passes: Vec<[f64; STAGES.len()]>) {
        for (at, name) in STAGES.iter().enumerate() {
            let all = Series::new(passes.iter().map(|stages| stages[at]));
            self.add(format!("  … {name}"), "ms", all, None, None);
        }
    }

    /// The program on disk.
    pub fn size(&mut self, program: &Path) {
        let bytes = fs::metadata(program).expect("the program is there").len();
        let name = "size of the program";
        self.add(name, "MB", Series::new([bytes as f64 / 1e6]), None, Some(Bar::AtMost(16.0)));
    }
}

impl Row {
    fn ratio(&self) -> Option<f64> {
        self.git.as_ref().map(|git| self.ours.ratio(git))
    }

    fn verdict(&self) -> Option<bool> {
        Some(match self.bar? {
            Bar::AtMost(most) => self.ours.median() <= most,
            Bar::Ratio(most) => self.ratio()? <= most,
        })
    }

    fn line(&self) -> String {
        let git = self.git.as_ref().map_or_else(|| "-".to_owned(), Series::to_string);
        let ratio = self.ratio().map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
        let bar = match (self.bar, self.verdict()) {
            (Some(Bar::AtMost(most)), Some(held)) => format!("≤ {most} {}: {}", self.unit, word(held)),
            (Some(Bar::Ratio(most)), Some(held)) => format!("ratio ≤ {most}: {}", word(held)),
            _ => String::new(),
        };
        format!("{:<58} {:>4}  {:<26} {:<26} {ratio:>6}  {bar}", self.name, self.unit, self.ours, git)
    }

    fn json(&self) -> Value {
        json!({
            "name": self.name,
            "unit": self.unit,
            "dagsync": self.ours.json(),
            "git": self.git.as_ref().map(Series::json),
            "ratio": self.ratio().map(|ratio| (ratio * 1e4).round() / 1e4),
            "held": self.verdict(),
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["what: median (min–max)", "", "dagsync", "git", "ratio"];
        writeln!(f, "\n{:<58} {:>4}  {:<26} {:<26} {:>6}  bar", head[0], head[1], head[2], head[3], head[4])?;
        for row in &self.rows {
            writeln!(f, "{}", row.line())?;
        }
        let rows: Vec<Value> = self.rows.iter().map(Row::json).collect();
        writeln!(f, "\nJSON {}", json!({ "judged": self.judge, "load": crate::world::load(), "rows": rows }))
    }
}

fn word(held: bool) -> &'static str {
    if held { "held" } else { "MISSED" }
}
