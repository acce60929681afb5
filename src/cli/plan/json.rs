//! For programs. The shape is in docs/gate.md.

use serde_json::{Value as Json, json};

use super::Ahead;
use crate::agent::{Commit, Failure, Next};
use crate::check::difference::Change;
use crate::check::report::finding;
use crate::check::{Age, Finding};
use crate::config::SourceConfig;
use crate::log::date;

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
        "findings": seen.into_iter().flat_map(|seen| &seen.findings).map(found).collect::<Vec<_>>(),
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

fn found((it, age): &(Finding, Age)) -> Json {
    finding(it.path.to_string(), it, *age)
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
