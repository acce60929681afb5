//! Who hears what of a pass: the log, the metrics, the board and the error file.

use std::time::{Duration, SystemTime};

use super::failure::Failure;
use super::pass::{Outcome, Report};
use super::worker::Worker;
use super::{files, resolve};
use crate::error::Remedy;
use crate::git::diff::Changes;
use crate::metrics::{PassResult, Stage};
use crate::publish;
use crate::publish::state::Held;

/// A revision that is held back, in one line.
fn shown(held: &Held) -> String {
    format!("revision {} is held back: {}", held.commit, held.reason)
}

/// One line a published revision: what changed, and how long each stage took.
fn log_published(report: &Report, took: Duration) {
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

impl Worker {
    pub(super) fn went_well(&mut self, outcome: &Outcome, took: Duration) {
        let now = SystemTime::now();
        let source = self.source.as_ref().expect("a pass has a source");
        let live = source.live().map(|commit| commit.to_string());
        let (result, error) = match outcome {
            Outcome::Unchanged => (PassResult::Noop, None),
            Outcome::Published(report) => {
                log_published(report, took);
                (PassResult::Success, report.held.as_ref().map(shown))
            }
            Outcome::Rejected(held) => {
                tracing::warn!(commit = held.commit, "held back: {}", held.reason);
                (PassResult::Rejected, Some(shown(held)))
            }
            Outcome::Held(held) => {
                // Whoever starts us wants to know; everyone else was told.
                if !self.past.succeeded {
                    tracing::warn!(commit = held.commit, "still held back: {}", held.reason);
                }
                (PassResult::Noop, Some(shown(held)))
            }
        };
        if let (Outcome::Unchanged | Outcome::Held(_), Some(commit)) = (outcome, &live) {
            if self.past.succeeded {
                tracing::debug!(commit, "nothing new");
            } else {
                tracing::info!(commit, "already published");
                let reference = source.state.published.as_ref().map_or("", |published| &published.reference);
                self.metrics.published(commit, reference, source.files_of_live());
            }
        }
        self.metrics.pass(result, took, now);
        if self.failing.take().is_some() {
            tracing::info!("working again");
        }
        let held = match outcome {
            Outcome::Rejected(held) | Outcome::Held(held) => Some(held),
            Outcome::Published(report) => report.held.as_ref(),
            Outcome::Unchanged => None,
        };
        match held {
            Some(held) => self.write_held(held, now),
            None => self.clear_error_file(),
        }
        let reference = source.state.published.as_ref().map(|published| published.reference.clone());
        self.shared.board.update(&self.config.name, |status| {
            status.passes += 1;
            // The first revision may have been held back: then there is nothing to be ready for.
            status.ready |= live.is_some();
            status.published = live;
            status.reference = reference;
            status.last_success = Some(now);
            status.error = error;
            status.rejected = held.cloned();
        });
    }

    pub(super) fn went_wrong(&mut self, failure: &Failure, took: Duration) {
        if failure.remedy == Remedy::Stopped {
            return;
        }
        let now = SystemTime::now();
        let failures = self.past.failures.saturating_add(1);
        self.metrics.pass(PassResult::Error, took, now);
        let line = failure.line();
        let stage = failure.stage.name();
        // The same failure again is news for nobody: the first one and every doubling are shown.
        if self.failing.as_deref() != Some(&line) || failures.is_power_of_two() {
            tracing::error!(stage, failures, "{line}");
        } else {
            tracing::debug!(stage, failures, "{line}");
        }
        self.failing = Some(line.clone());
        let message = format!("{stage} failed");
        self.write_error_file(stage, message, &failure.message, failure.hint.as_deref(), failures, now);
        // A remote that has a bad minute while a pod starts must not fail its probe: what is published is what was asked for.
        // Nor must a newest revision that cannot be written: whoever was there before serves another one as well.
        let passes_by = matches!(failure.remedy, Remedy::Retry { .. }) || failure.is_of_the_revision;
        let serves = passes_by && self.serves_what_was_asked();
        // In spite of the failure an older revision may have gone live.
        let published = self.source.as_ref().and_then(|source| {
            let commit = source.live()?;
            Some((commit.to_string(), source.state.of(&commit)?.reference.clone()))
        });
        self.shared.board.update(&self.config.name, |status| {
            status.passes += 1;
            status.error = Some(line);
            // Then the newest revision is another one than what was held back.
            if failure.is_of_the_revision {
                status.rejected = None;
            }
            status.ready |= serves;
            if let Some((commit, reference)) = published {
                status.published = Some(commit);
                status.reference = Some(reference);
            }
        });
        // Somebody emptied the volume, or mounted another one: from the start, then.
        if !self.layout.is_there() {
            self.source = None;
        }
    }

    /// Whether an earlier run published this repository and ref, and its tree is whole.
    fn serves_what_was_asked(&self) -> bool {
        let Some(source) = &self.source else { return false };
        let Ok(wanted) = resolve::asked_for(&self.config.reference) else { return false };
        source.live().is_some()
            && source.state.published.as_ref().is_some_and(|published| {
                published.repo == source.remote.shown() && published.wanted == wanted
            })
    }

    /// A revision that is held back is no failure, but somebody wants to know. Written once.
    fn write_held(&self, held: &Held, now: SystemTime) {
        // The same commit may be held back for another reason: over something else, or by other settings.
        let there = self.config.error_file.as_ref().and_then(|path| files::error_in(path));
        if there.is_none_or(|told| told != shown(held)) {
            let hint = "what is published stays; `dagsync check` tells all that was found".to_owned();
            let message = "revision held back".to_owned();
            self.write_error_file(Stage::Check.name(), message, &shown(held), Some(&hint), 0, now);
        }
    }

    fn write_error_file(
        &self,
        stage: &str,
        message: String,
        error: &str,
        hint: Option<&str>,
        failures: u32,
        now: SystemTime,
    ) {
        let Some(path) = &self.config.error_file else { return };
        let report = files::Report {
            message,
            error: error.to_owned(),
            args: files::Args {
                source: self.config.name.clone(),
                stage: stage.to_owned(),
                hint: hint.map(str::to_owned),
                failures,
                time: publish::state::seconds(now),
            },
        };
        if let Err(err) = files::write_error(path, &report) {
            tracing::warn!("cannot write the error file `{}`: {err}", path.display());
        }
    }

    fn clear_error_file(&self) {
        if let Some(path) = &self.config.error_file
            && let Err(err) = files::clear_error(path)
        {
            tracing::warn!("cannot remove the error file `{}`: {err}", path.display());
        }
    }
}
