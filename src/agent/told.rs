//! What a pass is told as, in one line each.

use std::time::Duration;

use super::pass::Report;
use crate::git::diff::Changes;
use crate::metrics::Stage;
use crate::publish::state::Held;

/// A revision that is held back, in one line.
pub(super) fn shown(held: &Held) -> String {
    format!("revision {} is held back: {}", held.commit, held.reason)
}

/// One line a published revision: what changed, and how long each stage took.
pub(super) fn log_published(report: &Report, took: Duration) {
    let ms = |stage: Stage| report.took.get(stage.name()).map_or(0.0, |took| millis(*took));
    // Nothing is said about what is not known: the previous revision's objects may be gone.
    let changes = match report.previous {
        None => Some(Changes { added: report.files, ..Changes::default() }),
        Some(_) => report.changes,
    };
    tracing::info!(
        commit = report.commit,
        reference = report.reference,
        previous = report.previous.as_deref().unwrap_or("none"),
        files = report.files,
        added = changes.map(|changes| changes.added),
        changed = changes.map(|changes| changes.changed),
        removed = changes.map(|changes| changes.removed),
        bytes = report.bytes,
        resolve_ms = ms(Stage::Resolve),
        fetch_ms = ms(Stage::Fetch),
        check_ms = ms(Stage::Check),
        stage_ms = ms(Stage::Stage),
        publish_ms = ms(Stage::Publish),
        total_ms = millis(took),
        "published"
    );
}

/// With one decimal: what people read in a log.
fn millis(took: Duration) -> f64 {
    (took.as_secs_f64() * 10_000.0).round() / 10.0
}
