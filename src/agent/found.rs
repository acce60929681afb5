//! What was found of the revisions that anybody asks about: the published one, and the one that is held back. The metric shows those of
//! one, and that is the one that the error file is about.

use std::collections::HashMap;

use super::pass::Outcome;
use super::source::Source;
use crate::check::Finding;

/// A severity and a code, by their names.
type Named = (&'static str, &'static str);

/// What is remembered, by the commit in hex.
#[derive(Debug, Default)]
pub(super) struct Found {
    of: HashMap<String, Vec<Named>>,
    /// Whose findings the metric shows; none before the first pass that ended well.
    shown: Option<String>,
}

/// Severity and code of each finding, as the metric has them.
pub(super) fn names(findings: &[Finding]) -> impl Iterator<Item = Named> {
    findings.iter().map(|it| (it.severity.name(), it.issue.code.name()))
}

impl Source {
    /// A revision was looked at, and the metric shows what was found.
    pub(super) fn remember_findings(&mut self, commit: &str, findings: &[Finding]) {
        self.found.of.insert(commit.to_owned(), names(findings).collect());
        self.found.shown = Some(commit.to_owned());
    }

    /// A revision was looked at on the way to another one. What is known of it already may be more: the operator's own check has its say.
    pub(super) fn learn_findings(&mut self, commit: &str, findings: &[Finding]) {
        self.found.of.entry(commit.to_owned()).or_insert_with(|| names(findings).collect());
    }

    /// After a pass that ended well: a revision that is held back is what people look for; without one, what is published. Of what
    /// an earlier process has looked at nothing is known.
    pub(super) fn show_findings(&mut self, outcome: &Outcome) {
        let published = self.state.published.as_ref().map(|published| published.commit.as_str());
        let held = match outcome {
            Outcome::Rejected(held) | Outcome::Held(held) => Some(held),
            Outcome::Published(report) => report.held.as_ref(),
            Outcome::Unchanged => None,
        };
        let about = held.map(|held| held.commit.as_str()).or(published);
        if self.found.shown.as_deref() != about {
            let found = about.and_then(|commit| self.found.of.get(commit));
            self.metrics.findings(found.into_iter().flatten().copied());
            self.found.shown = about.map(str::to_owned);
        }
        // What was held back may be asked for again.
        let refused = &self.state.refused;
        self.found.of.retain(|commit, _| {
            [about, published].contains(&Some(commit.as_str()))
                || refused.iter().any(|held| held.commit == *commit)
        });
    }
}
