//! OpenMetrics 1.0 text, which Prometheus asks for first. The `prometheus` crate writes only the older format.
//!
//! What differs from it: counters must be called `…_total` and are declared without it; constant gauges `…_info` are
//! declared as info without it; units are declared; label values of buckets are floats; the page ends with `# EOF`.
//! The names of samples are the same in both formats, so a dashboard works with either.

use std::fmt::Write as _;

use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType};

/// What to answer with.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The whole page. `families` are sorted by name and without duplicates, as a registry gathers them.
pub(super) fn encode(families: &[MetricFamily]) -> String {
    let mut page = String::with_capacity(8 * 1024);
    for family in families {
        encode_family(&mut page, family);
    }
    page.push_str("# EOF\n");
    page
}

fn encode_family(page: &mut String, family: &MetricFamily) {
    let full = family.name();
    let (name, kind) = match family.get_field_type() {
        MetricType::COUNTER => match full.strip_suffix("_total") {
            Some(name) => (name, "counter"),
            // git-sync has counters of other names. OpenMetrics forbids that, and their names are a contract.
            None => (full, "unknown"),
        },
        MetricType::GAUGE => match full.strip_suffix("_info") {
            Some(name) => (name, "info"),
            None => (full, "gauge"),
        },
        MetricType::HISTOGRAM => (full, "histogram"),
        MetricType::SUMMARY => (full, "summary"),
        MetricType::UNTYPED => (full, "unknown"),
    };
    // Writing to a string cannot fail, here and below.
    let _ = writeln!(page, "# TYPE {name} {kind}");
    if let Some(unit) = ["seconds", "bytes"].into_iter().find(|unit| has_unit(name, unit)) {
        let _ = writeln!(page, "# UNIT {name} {unit}");
    }
    if !family.help().is_empty() {
        let _ = writeln!(page, "# HELP {name} {}", escaped(family.help()));
    }
    for metric in family.get_metric() {
        encode_metric(page, family.get_field_type(), full, metric);
    }
}

/// `a_seconds` has a unit; something called just `seconds` has not.
fn has_unit(name: &str, unit: &str) -> bool {
    name.strip_suffix(unit).is_some_and(|rest| rest.len() > 1 && rest.ends_with('_'))
}

fn encode_metric(page: &mut String, kind: MetricType, name: &str, metric: &Metric) {
    let labels = metric.get_label();
    match kind {
        MetricType::COUNTER => sample(page, name, "", labels, None, &float(metric.get_counter().get_value())),
        MetricType::GAUGE => sample(page, name, "", labels, None, &float(metric.get_gauge().get_value())),
        MetricType::HISTOGRAM => {
            let histogram = metric.get_histogram();
            let count = histogram.get_sample_count();
            for bucket in histogram.get_bucket().iter().filter(|bucket| bucket.upper_bound().is_finite()) {
                let le = float(bucket.upper_bound());
                sample(
                    page,
                    name,
                    "_bucket",
                    labels,
                    Some(("le", &le)),
                    &bucket.cumulative_count().to_string(),
                );
            }
            sample(page, name, "_bucket", labels, Some(("le", "+Inf")), &count.to_string());
            sample(page, name, "_count", labels, None, &count.to_string());
            sample(page, name, "_sum", labels, None, &float(histogram.get_sample_sum()));
        }
        MetricType::SUMMARY => {
            let summary = metric.get_summary();
            for quantile in summary.get_quantile() {
                let of = float(quantile.quantile());
                sample(page, name, "", labels, Some(("quantile", &of)), &float(quantile.value()));
            }
            sample(page, name, "_count", labels, None, &summary.sample_count().to_string());
            sample(page, name, "_sum", labels, None, &float(summary.sample_sum()));
        }
        // The crate cannot make any.
        MetricType::UNTYPED => {}
    }
}

fn sample(
    page: &mut String,
    name: &str,
    suffix: &str,
    labels: &[LabelPair],
    extra: Option<(&str, &str)>,
    value: &str,
) {
    page.push_str(name);
    page.push_str(suffix);
    let pairs = labels.iter().map(|pair| (pair.name(), pair.value())).chain(extra);
    let mut open = '{';
    for (name, value) in pairs {
        let _ = write!(page, "{open}{name}=\"{}\"", escaped(value));
        open = ',';
    }
    if open == ',' {
        page.push('}');
    }
    let _ = writeln!(page, " {value}");
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n").replace('"', "\\\"")
}

/// A float that looks like one (`1.0`): the canonical form of the specification, so that a bucket's label is the same
/// whoever writes it.
fn float(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    if value == value.trunc() { format!("{value:.1}") } else { value.to_string() }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use prometheus::{Gauge, Histogram, HistogramOpts, IntCounterVec, Opts, Registry};

    use super::*;

    /// Family name → (type, samples as written).
    pub(in crate::metrics) type Page = BTreeMap<String, (String, Vec<(String, String, f64)>)>;

    /// A strict reader of the format: order of lines, names, suffixes, labels, floats, buckets, the end.
    pub(in crate::metrics) fn parse(text: &str) -> Page {
        let body = text.strip_suffix("# EOF\n").expect("ends with # EOF");
        let mut page = Page::new();
        let mut current = String::new();
        let mut series = BTreeSet::new();
        for line in body.lines() {
            assert!(!line.is_empty() && line.trim() == line, "{line:?}");
            if let Some(rest) = line.strip_prefix("# ") {
                let mut words = rest.splitn(3, ' ');
                let (what, name, value) =
                    (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
                if what == "TYPE" {
                    assert!(is_name(name), "{line}");
                    let old = page.insert(name.to_owned(), (value.to_owned(), Vec::new()));
                    assert!(old.is_none(), "a family twice: {line}");
                    current = name.to_owned();
                }
                assert_eq!(current, name, "metadata of another family: {line}");
                assert!(page[name].1.is_empty(), "metadata after samples: {line}");
                match what {
                    "TYPE" => assert!(
                        ["counter", "gauge", "histogram", "summary", "info", "unknown"].contains(&value),
                        "{line}"
                    ),
                    "UNIT" => assert!(name.ends_with(&format!("_{value}")), "{line}"),
                    "HELP" => unescape(value),
                    _ => panic!("{line}"),
                }
                continue;
            }
            let (series_name, value) = line.rsplit_once(' ').unwrap();
            assert!(series.insert(series_name.to_owned()), "a series twice: {line}");
            let (name, labels) = match series_name.split_once('{') {
                Some((name, labels)) => (name, labels.strip_suffix('}').expect(line)),
                None => (series_name, ""),
            };
            check_labels(labels);
            let (kind, samples) = page.get_mut(&current).expect("a sample before its TYPE");
            let suffix =
                name.strip_prefix(current.as_str()).unwrap_or_else(|| panic!("not of {current}: {line}"));
            let allowed: &[&str] = match kind.as_str() {
                "counter" => &["_total"],
                "info" => &["_info"],
                "histogram" => &["_bucket", "_count", "_sum"],
                "summary" => &["_count", "_sum"],
                _ => &[""],
            };
            assert!(allowed.contains(&suffix), "{suffix} of a {kind}: {line}");
            let value: f64 = value.parse().unwrap();
            assert!(value.is_finite(), "{line}");
            if kind == "info" {
                assert_eq!(value, 1.0, "{line}");
            }
            samples.push((name.to_owned(), labels.to_owned(), value));
        }
        for (kind, samples) in page.values() {
            assert!(!samples.is_empty());
            if kind == "histogram" {
                check_buckets(samples);
            }
        }
        page
    }

    fn check_buckets(samples: &[(String, String, f64)]) {
        let (mut last, mut bound) = (0.0, f64::NEG_INFINITY);
        for (name, labels, value) in samples {
            if name.ends_with("_bucket") {
                let le = labels.rsplit_once("le=\"").unwrap().1.trim_end_matches('"');
                assert!(le.contains('.') || le == "+Inf", "{le}");
                let le: f64 = le.parse().unwrap();
                assert!(le > bound && *value >= last, "{labels}");
                (last, bound) = (*value, le);
            } else if name.ends_with("_count") {
                assert_eq!(bound, f64::INFINITY);
                assert_eq!(last, *value);
                (last, bound) = (0.0, f64::NEG_INFINITY);
            }
        }
    }

    fn check_labels(mut labels: &str) {
        let mut names = BTreeSet::new();
        while !labels.is_empty() {
            let (name, rest) = labels.split_once("=\"").expect(labels);
            assert!(is_name(name) && names.insert(name), "{name}");
            let mut escaped = false;
            let end = rest
                .find(|c: char| {
                    let ends = c == '"' && !escaped;
                    escaped = c == '\\' && !escaped;
                    ends
                })
                .expect(rest);
            unescape(&rest[..end]);
            labels = &rest[end + 1..];
            if let Some(more) = labels.strip_prefix(',') {
                assert!(!more.is_empty());
                labels = more;
            }
        }
    }

    fn unescape(text: &str) {
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            assert!(c != '"', "{text}");
            if c == '\\' {
                assert!(matches!(chars.next(), Some('n' | '"' | '\\')), "{text}");
            }
        }
    }

    fn is_name(name: &str) -> bool {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    }

    #[test]
    fn the_page_is_written_to_the_letter() {
        let registry = Registry::new();
        let counter = IntCounterVec::new(Opts::new("a_total", "counts \"a\"\\\n"), &["l"]).unwrap();
        counter.with_label_values(&["x\"y\\z\n"]).inc_by(3);
        let odd = IntCounterVec::new(Opts::new("b_calls", "b"), &["l"]).unwrap();
        odd.with_label_values(&["v"]).inc();
        let gauge = Gauge::new("c_bytes", "c").unwrap();
        gauge.set(1.5e18);
        let info = Gauge::new("d_info", "d").unwrap();
        info.set(1.0);
        let histogram =
            Histogram::with_opts(HistogramOpts::new("e_seconds", "e").buckets(vec![0.25, 1.0])).unwrap();
        histogram.observe(0.5);
        registry.register(Box::new(counter)).unwrap();
        registry.register(Box::new(odd)).unwrap();
        registry.register(Box::new(gauge)).unwrap();
        registry.register(Box::new(info)).unwrap();
        registry.register(Box::new(histogram)).unwrap();
        let text = encode(&registry.gather());
        let expected = r##"# TYPE a counter
# HELP a counts \"a\"\\\n
a_total{l="x\"y\\z\n"} 3.0
# TYPE b_calls unknown
# HELP b_calls b
b_calls{l="v"} 1.0
# TYPE c_bytes gauge
# UNIT c_bytes bytes
# HELP c_bytes c
c_bytes 1500000000000000000.0
# TYPE d info
# HELP d d
d_info 1.0
# TYPE e_seconds histogram
# UNIT e_seconds seconds
# HELP e_seconds e
e_seconds_bucket{le="0.25"} 0
e_seconds_bucket{le="1.0"} 1
e_seconds_bucket{le="+Inf"} 1
e_seconds_count 1
e_seconds_sum 0.5
# EOF
"##;
        assert_eq!(text, expected);
        parse(&text);
    }

    #[test]
    fn floats_are_canonical() {
        for (value, text) in [
            (0.0, "0.0"),
            (1.0, "1.0"),
            (0.005, "0.005"),
            (10.0, "10.0"),
            (-2.5, "-2.5"),
            (f64::INFINITY, "+Inf"),
        ] {
            assert_eq!(float(value), text);
        }
    }
}
