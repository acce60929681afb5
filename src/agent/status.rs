//! What is live and why: one value a source, written by its worker, read by everyone else.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use serde_json::{Value as Json, json};

use crate::http::{Readiness, View};
use crate::log::date;
use crate::metrics::Metrics;
use crate::publish::state::Held;

/// The state of a source, as it may be shown.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SourceStatus {
    /// The source's name.
    pub name: String,
    /// The published commit, in hex.
    pub published: Option<String>,
    /// The full name of the ref.
    pub reference: Option<String>,
    /// When a pass last succeeded.
    pub last_success: Option<SystemTime>,
    /// Passes that ended, well or not.
    pub passes: u64,
    /// What is wrong now: one line, made for the outside.
    pub error: Option<String>,
    /// The newest revision, if it is held back.
    pub rejected: Option<Held>,
    /// Another agent owns the root.
    pub standby: bool,
    /// Whether readers have what they came for. Never goes back.
    pub ready: bool,
}

impl SourceStatus {
    fn json(&self) -> Json {
        let time = |at: SystemTime| humantime::format_rfc3339_seconds(at).to_string();
        let held = |held: &Held| {
            let since = date(i64::try_from(held.at).unwrap_or_default());
            json!({"commit": held.commit, "because": held.because, "reason": held.reason, "since": since})
        };
        let published = |commit: &String| json!({"commit": commit, "reference": self.reference});
        json!({
            "name": self.name,
            "ready": self.ready,
            "standby": self.standby,
            "published": self.published.as_ref().map(published),
            "rejected": self.rejected.as_ref().map(held),
            "error": self.error,
            "last_success": self.last_success.map(time),
            "passes": self.passes,
        })
    }
}

/// The status of all sources. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Board(Arc<Mutex<Vec<SourceStatus>>>);

impl Board {
    /// Makes an entry for a source, unless it has one.
    pub fn add(&self, name: &str) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !all.iter().any(|status| status.name == name) {
            all.push(SourceStatus { name: name.to_owned(), ..Default::default() });
        }
    }

    /// Changes a source's entry. One that was removed stays so: its worker may still be at its last pass.
    pub fn update(&self, name: &str, change: impl FnOnce(&mut SourceStatus)) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(status) = all.iter_mut().find(|status| status.name == name) {
            change(status);
        }
    }

    /// Forgets a source that the configuration no longer has.
    pub fn remove(&self, name: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|status| status.name != name);
    }

    /// Whether a source is known to stand by.
    pub fn standby(&self, name: &str) -> bool {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().any(|status| status.name == name && status.standby)
    }

    /// A copy of everything.
    pub fn read(&self) -> Vec<SourceStatus> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The board and the metrics, as the HTTP routes see them.
pub struct Window {
    board: Board,
    metrics: Option<Metrics>,
    was_ready: AtomicBool,
}

impl Window {
    /// `metrics` is `None` when they were switched off.
    pub fn new(board: Board, metrics: Option<Metrics>) -> Window {
        Window { board, metrics, was_ready: AtomicBool::new(false) }
    }
}

impl View for Window {
    fn readiness(&self) -> Readiness {
        let all = self.board.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A source that a reload added must not take the ones that readers use out of service.
        if self.was_ready.load(Ordering::Relaxed) {
            Readiness::Ready
        } else if !all.is_empty() && all.iter().all(|status| status.ready) {
            self.was_ready.store(true, Ordering::Relaxed);
            Readiness::Ready
        } else if all.iter().any(|status| status.standby && !status.ready) {
            Readiness::Waiting("another agent owns the root and has published nothing yet")
        } else {
            Readiness::Waiting("the first sync has not succeeded yet")
        }
    }

    fn metrics(&self) -> Option<Metrics> {
        self.metrics.clone()
    }

    /// The shape is a contract: `version` changes when a reader of the old one would go wrong.
    fn status(&self) -> Vec<u8> {
        let sources: Vec<Json> = self.board.read().iter().map(SourceStatus::json).collect();
        format!("{:#}\n", json!({"version": 1, "sources": sources})).into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_means_every_source() {
        let window = Window::new(Board::default(), None);
        assert!(matches!(window.readiness(), Readiness::Waiting(_)), "no source yet");
        ["a", "b"].iter().for_each(|name| window.board.add(name));
        window.board.update("a", |status| status.ready = true);
        assert!(matches!(window.readiness(), Readiness::Waiting(_)));
        window.board.update("b", |status| status.ready = true);
        assert_eq!(window.readiness(), Readiness::Ready);
        window.board.add("c");
        assert_eq!(window.readiness(), Readiness::Ready, "never goes back");
        window.board.remove("c");
        window.board.remove("b");
        window.board.update("b", |status| status.ready = false);
        assert_eq!(window.board.read().len(), 1);
    }
}
