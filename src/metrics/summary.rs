//! A summary without quantiles: how often, and how long together. The `prometheus` crate has none.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType, Summary};

/// `<name>_sum` and `<name>_count` by the values of one label. A series exists once it was observed.
#[derive(Clone)]
pub(super) struct DurationSummary {
    desc: Desc,
    label: &'static str,
    series: Arc<Mutex<BTreeMap<&'static str, (u64, f64)>>>,
}

impl DurationSummary {
    pub(super) fn new(name: &str, help: &str, label: &'static str) -> Result<Self, prometheus::Error> {
        let desc = Desc::new(name.to_owned(), help.to_owned(), vec![label.to_owned()], HashMap::new())?;
        Ok(DurationSummary { desc, label, series: Arc::default() })
    }

    pub(super) fn observe(&self, value: &'static str, took: Duration) {
        let mut series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, sum) = series.entry(value).or_default();
        *count += 1;
        *sum += took.as_secs_f64();
    }
}

impl Collector for DurationSummary {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        let metrics = series.iter().map(|(value, (count, sum))| {
            let mut summary = Summary::default();
            summary.set_sample_count(*count);
            summary.set_sample_sum(*sum);
            let mut label = LabelPair::default();
            label.set_name(self.label.to_owned());
            label.set_value((*value).to_owned());
            let mut metric = Metric::from_label(vec![label]);
            metric.set_summary(summary);
            metric
        });
        let mut family = MetricFamily::default();
        family.set_name(self.desc.fq_name.clone());
        family.set_help(self.desc.help.clone());
        family.set_field_type(MetricType::SUMMARY);
        family.set_metric(metrics.collect());
        vec![family]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_sums_by_label() {
        let summary = DurationSummary::new("took_seconds", "help", "status").unwrap();
        assert!(summary.collect()[0].get_metric().is_empty());
        summary.observe("noop", Duration::from_millis(250));
        summary.observe("noop", Duration::from_millis(500));
        summary.observe("error", Duration::from_secs(1));
        let family = &summary.collect()[0];
        let seen: Vec<_> = family
            .get_metric()
            .iter()
            .map(|m| {
                let s = m.get_summary();
                (m.get_label()[0].value().to_owned(), s.sample_count(), s.sample_sum())
            })
            .collect();
        assert_eq!(seen, [("error".to_owned(), 1, 1.0), ("noop".to_owned(), 2, 0.75)]);
    }
}
