//! Which commit: an info metric with exactly one series, replaced when the commit changes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Gauge, LabelPair, Metric, MetricFamily, MetricType};

use crate::log::escape;

/// `<name>{commit,ref,source} 1`, or nothing before the first [`RevisionInfo::set`].
#[derive(Clone)]
pub(super) struct RevisionInfo {
    desc: Desc,
    current: Arc<Mutex<Option<(String, String)>>>,
}

impl RevisionInfo {
    pub(super) fn new(name: &str, help: &str, source: &str) -> Result<Self, prometheus::Error> {
        let constant = HashMap::from([("source".to_owned(), source.to_owned())]);
        let desc = Desc::new(name.into(), help.into(), vec!["commit".into(), "ref".into()], constant)?;
        Ok(RevisionInfo { desc, current: Arc::default() })
    }

    pub(super) fn set(&self, commit: &str, reference: &str) {
        // Names of refs are chosen by others, and people read this page in a terminal.
        let now = (escape(commit).into_owned(), escape(reference).into_owned());
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
    }
}

impl Collector for RevisionInfo {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let metric = current.as_ref().map(|(commit, reference)| {
            let mut labels: Vec<_> = [("commit", commit), ("ref", reference)].map(label).into();
            labels.extend(self.desc.const_label_pairs.iter().cloned());
            let mut gauge = Gauge::default();
            gauge.set_value(1.0);
            let mut metric = Metric::from_label(labels);
            metric.set_gauge(gauge);
            metric
        });
        let mut family = MetricFamily::default();
        family.set_name(self.desc.fq_name.clone());
        family.set_help(self.desc.help.clone());
        family.set_field_type(MetricType::GAUGE);
        family.set_metric(metric.into_iter().collect());
        vec![family]
    }
}

fn label((name, value): (&str, &String)) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.clone());
    pair
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_commit_goes_when_a_new_one_comes() {
        let info = RevisionInfo::new("published_info", "help", "dags").unwrap();
        assert!(info.collect()[0].get_metric().is_empty());
        info.set("aaaa", "main");
        info.set("bbbb", "evil\u{1b}[2J");
        let families = info.collect();
        let [metric] = families[0].get_metric() else { panic!("{families:?}") };
        let labels: Vec<_> = metric.get_label().iter().map(|l| (l.name(), l.value())).collect();
        assert_eq!(labels, [("commit", "bbbb"), ("ref", "evil\\u{1b}[2J"), ("source", "dags")]);
    }
}
