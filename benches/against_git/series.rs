//! Numbers of one kind: medians, and ratios of pairs.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

/// Numbers of one kind, in the order of their pairs.
#[derive(Debug, Clone, Default)]
pub struct Series(Vec<f64>);

impl Series {
    pub fn new(values: impl IntoIterator<Item = f64>) -> Series {
        Series(values.into_iter().collect())
    }

    /// Durations, in milliseconds.
    pub fn millis(values: impl IntoIterator<Item = Duration>) -> Series {
        Series::new(values.into_iter().map(|time| time.as_secs_f64() * 1e3))
    }

    /// Bytes, in MiB.
    pub fn mib(values: impl IntoIterator<Item = u64>) -> Series {
        Series::new(values.into_iter().map(|bytes| bytes as f64 / f64::from(1 << 20)))
    }

    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }

    /// The lowest.
    pub fn min(&self) -> f64 {
        self.0.iter().copied().fold(f64::NAN, f64::min)
    }

    pub fn median(&self) -> f64 {
        let sorted = self.sorted();
        let half = sorted.len() / 2;
        match sorted.len() {
            0 => f64::NAN,
            n if n % 2 == 1 => sorted[half],
            _ => (sorted[half - 1] + sorted[half]) / 2.0,
        }
    }

    /// The median of ours / theirs, pair by pair.
    pub fn ratio(&self, other: &Series) -> f64 {
        Series::new(self.0.iter().zip(&other.0).map(|(ours, theirs)| ours / theirs)).median()
    }

    pub fn json(&self) -> Value {
        let sorted = self.sorted();
        let round = |value: Option<f64>| value.map(|value| (value * 1e4).round() / 1e4);
        json!({
            "median": round(Some(self.median())),
            "min": round(Some(self.min())),
            "max": round(sorted.last().copied()),
            "n": sorted.len(),
        })
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sorted = self.sorted();
        let (Some(min), Some(max)) = (sorted.first(), sorted.last()) else { return f.pad("-") };
        f.pad(&format!("{} ({}–{})", short(self.median()), short(*min), short(*max)))
    }
}

/// Three digits are more than these numbers deserve.
fn short(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
