//! What stays the same of a finding when lines move: for programs that tell old findings from new ones, and one from another.

use std::collections::HashMap;

use super::source::Source;
use super::{Place, Report};

/// One of each finding, in their order; no two are the same.
pub(super) fn fingerprints(report: &Report, place: &Place<'_>) -> Vec<String> {
    let mut source = Source::new(place);
    let mut seen: HashMap<Vec<u8>, usize> = HashMap::new();
    let print = |finding| {
        let line = source.line(finding).unwrap_or_default();
        let parts = [finding.issue.code.name(), &place.path(finding), &finding.issue.message, line.trim()];
        let mut text: Vec<u8> = parts.iter().flat_map(|part| part.bytes().chain([0])).collect();
        // A line may be there twice, with the same mistake.
        let earlier = seen.entry(text.clone()).or_default();
        text.extend(earlier.to_string().bytes());
        *earlier += 1;
        let mut hasher = gix::hash::hasher(gix::hash::Kind::Sha1);
        hasher.update(&text);
        hasher.try_finalize().map(|sum| sum.to_string()).unwrap_or_default()
    };
    report.findings.iter().map(print).collect()
}
