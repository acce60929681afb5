//! For programs. The shape is in docs/gate.md.

use std::time::{Duration, SystemTime};

use serde_json::{Value as Json, json};

use super::Ahead;
use crate::agent::{Commit, Failure, Next};
use crate::check::difference::Change;
use crate::check::{Age, Finding};
use crate::config::SourceConfig;

/// The whole page. `version` changes when a reader of the old shape would go wrong.
pub(super) fn page(sources: Vec<Json>) -> String {
    format!("{:#}\n", json!({ "version": 1, "sources": sources }))
}

/// One source.
pub(super) fn source(config: &SourceConfig, ahead: Result<&Ahead<'_>, &Failure>) -> Json {
    let mut page = json!({
        "name": config.name,
        "root": config.root.to_string_lossy(),
        "link": config.link.to_string_lossy(),
    });
    let more = match ahead {
        Ok(ahead) => looked(ahead),
        Err(failure) => json!({ "next": "error", "error": failure.message, "hint": failure.hint }),
    };
    if let (Json::Object(page), Json::Object(more)) = (&mut page, more) {
        page.extend(more);
    }
    page
}

fn looked(ahead: &Ahead<'_>) -> Json {
    let upcoming = &ahead.upcoming;
    let (because, reason, instead) = match &upcoming.next {
        Next::Hold { because, reason, instead } => (Some(because), Some(reason), instead.as_ref()),
        _ => (None, None, None),
    };
    let held = upcoming.held.as_ref().map(|held| {
        json!({
            "because": held.because,
            "reason": held.reason,
            "since": date(i64::try_from(held.at).unwrap_or_default()),
        })
    });
    let seen = ahead.seen.as_ref();
    json!({
        "repo": upcoming.repo,
        "reference": upcoming.reference,
        "published": upcoming.published.as_ref().map(commit),
        "remote": commit(&upcoming.remote),
        "next": next(&upcoming.next),
        "because": because,
        "reason": reason,
        "instead": instead.map(ToString::to_string),
        "held": held,
        "files": seen.map(|seen| seen.files),
        "dag_files": seen.map(|seen| seen.dag_files),
        "dags": seen.map(|seen| seen.dags),
        "compared": seen.map(|seen| !seen.is_blind),
        "changes": seen.into_iter().flat_map(|seen| &seen.changes).map(change).collect::<Vec<_>>(),
        "findings": seen.into_iter().flat_map(|seen| &seen.findings).map(finding).collect::<Vec<_>>(),
    })
}

fn next(next: &Next) -> &'static str {
    match next {
        Next::Nothing => "nothing",
        Next::Again => "again",
        Next::Publish => "publish",
        Next::Hold { .. } => "hold",
    }
}

fn commit(commit: &Commit) -> Json {
    let about = commit.about.as_ref();
    json!({
        "commit": commit.id.to_string(),
        "date": about.map(|about| date(about.seconds)),
        "author": about.map(|about| about.author.to_string()),
        "subject": about.map(|about| about.subject.to_string()),
    })
}

fn change(change: &Change) -> Json {
    json!({
        "kind": change.kind.name(),
        "id": change.id,
        "path": change.path.to_string(),
        "from_id": change.from_id,
        "from_path": change.from_path.as_ref().map(ToString::to_string),
        "edited": change.is_edited,
        "imports": change.imports.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

fn finding((finding, age): &(Finding, Age)) -> Json {
    json!({
        "path": finding.path.to_string(),
        "line": finding.issue.line,
        "column": finding.issue.column,
        "severity": finding.severity.name(),
        "code": finding.issue.code.name(),
        "message": finding.issue.message,
        "hint": finding.issue.hint,
        "new": *age != Age::Old,
    })
}

/// In UTC, as RFC 3339 has it. A time before 1970 is none that anybody wrote a DAG at.
pub(super) fn date(seconds: i64) -> String {
    // A commit may say the year 300,000,000,000, which no calendar has.
    let seconds = u64::try_from(seconds).unwrap_or(0).min(253_402_300_799);
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    humantime::format_rfc3339_seconds(at).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_date_of_a_commit_is_too_much() {
        assert_eq!(date(0), "1970-01-01T00:00:00Z");
        assert_eq!(date(i64::MIN), "1970-01-01T00:00:00Z");
        assert_eq!(date(i64::MAX), "9999-12-31T23:59:59Z");
    }
}
