//! The gate in a pass: what it is asked, and what is remembered of its answer.

use std::cmp::Reverse;
use std::time::{Instant, SystemTime};

use gix::ObjectId;
use gix::bstr::{BStr, ByteSlice as _};

use super::failure::{Broken, Failure};
use super::folder::Folder;
use super::found::names;
use super::pass::Pass;
use super::resolve::Target;
use super::revision::{self, Candidate};
use super::source::{Live, Source};
use crate::check::report::Report;
use crate::check::verdict::Verdict;
use crate::check::{self, Finding, Looking, OnRewind, Severity};
use crate::error::Remedy;
use crate::git::store::Objects;
use crate::log::escape;
use crate::metrics::Stage;
use crate::publish::AtLink;
use crate::publish::state::{Held, seconds};
use crate::tree::attributes::Converter;
use crate::tree::{Listing, write};

/// A push has fewer commits, nearly always.
pub(super) const PUSHED: usize = 200;
/// So many commits of history are looked through for where a branch comes from.
pub(super) const HISTORY: usize = 10_000;
/// A log is read by people.
const TOLD: usize = 20;

impl Pass<'_> {
    /// **check**, second half: the gate. Reads objects only. `None` means that the revision may be published.
    pub(super) fn check(
        &mut self,
        objects: &Objects,
        commit: ObjectId,
        target: &Target,
        (listing, converter): (&Listing, Option<&Converter>),
        live: Option<&Live>,
    ) -> Result<Option<Held>, Broken> {
        if self.is_first(target) {
            return self.check_first(objects, commit, target, (listing, converter));
        }
        // It was let through before: now it is built, or built again.
        if target.looked_at || self.source.state.of(&commit).is_some() {
            return Ok(None);
        }
        let on_rewind = self.source.config.check.on_rewind;
        let before = live.map(|live| live.commit).or_else(|| self.instead(target)?.commit);
        if on_rewind != OnRewind::Allow
            && let Some(before) = before
            && let Some(reason) = self.rewind(objects, commit, target, before)?
        {
            if on_rewind == OnRewind::Block {
                return Ok(Some(self.hold(commit, target, "rewind", &reason)));
            }
            tracing::warn!("{reason}");
        }
        if self.source.config.check.policy == check::verdict::Policy::Off {
            return Ok(None);
        }
        let start = Instant::now();
        let renewed = before.and_then(|before| self.bring_back(objects, commit, before));
        let objects = renewed.as_ref().unwrap_or(objects);
        let report = self.judge(objects, commit, (listing, converter), before)?;
        self.looked(commit, start, &report.findings);
        let Verdict::Reject { because, reason } = report.verdict else {
            self.source.state.held = None;
            return Ok(None);
        };
        Ok(Some(self.hold(commit, target, because, &reason)))
    }

    /// After the object store was lost: the objects of what readers have, with which `commit` is compared. Without them their files on
    /// disk do nearly as well.
    fn bring_back(&mut self, objects: &Objects, commit: ObjectId, before: ObjectId) -> Option<Objects> {
        let source = &mut *self.source;
        // A root may have changed to an upstream with ids of another kind.
        if before == commit
            || before.kind() != commit.kind()
            || source.store.peel_to_commit(objects, &before, "").is_ok()
        {
            return None;
        }
        match source.remote.fetch(&source.store, &[before], &[commit], source.config.depth) {
            Ok(fetched) => {
                source.metrics.fetched(fetched.bytes, fetched.objects);
                self.bytes += fetched.bytes;
                self.source.store.objects().ok()
            }
            Err(err) => {
                tracing::debug!("the objects of {before} are gone: {err}");
                None
            }
        }
    }

    /// Tells what was found.
    pub(super) fn looked(&mut self, commit: ObjectId, since: Instant, findings: &[Finding]) {
        self.source.metrics.checked(since.elapsed(), names(findings));
        self.source.remember_findings(&commit.to_string(), findings);
        tell(findings);
        self.findings = findings.to_vec();
    }

    /// Remembers that a revision is held back.
    pub(super) fn hold(&mut self, commit: ObjectId, target: &Target, because: &str, reason: &str) -> Held {
        self.source.metrics.rejected(because);
        let held = Held {
            commit: commit.to_string(),
            because: because.to_owned(),
            reason: escape(reason).into_owned(),
            rules: self.rules_of_the_gate(target),
            at: seconds(SystemTime::now()),
        };
        let source = &mut *self.source;
        source.state.hold(held.clone());
        // What is not remembered is looked at once more.
        if let Err(err) = source.state.save(&source.lock, &source.layout) {
            source.leftovers = true;
            tracing::warn!("{}", Failure::of(Stage::Check, &err).line());
        }
        held
    }

    /// Whether the ref moved backward, in words: what is published now has the new commit in its history, as far as that is here,
    /// or was published after it. Who wants such a commit held gets more history fetched if there is too little. Somebody who asks for
    /// another ref means it.
    fn rewind(
        &mut self,
        objects: &Objects,
        commit: ObjectId,
        target: &Target,
        from: ObjectId,
    ) -> Result<Option<String>, Broken> {
        let Source { state, store, config, .. } = &*self.source;
        if state.of(&from).is_none_or(|published| published.wanted != target.wanted) {
            return Ok(None);
        }
        // The way nearly every push goes, looked for first: it is short.
        if store.is_ancestor(objects, &from, &commit, PUSHED) {
            return Ok(None);
        }
        let name = commit.to_string();
        let was_published = state.retired.iter().any(|tree| tree.path.ends_with(&name));
        let rewound = was_published
            || store.is_ancestor(objects, &commit, &from, HISTORY)
            || (config.check.on_rewind == OnRewind::Block && self.is_older(commit, from)?);
        Ok(rewound.then(|| {
            let reference = &target.reference;
            format!("`{reference}` moved backward, from {from} to {name}")
        }))
    }

    /// What was held back, if that is what is wanted, and nothing has changed that would change the answer.
    pub(super) fn held(&self, target: &Target) -> Option<Held> {
        self.source.state.refusal(&target.commit?, &self.rules_of_the_gate(target)).cloned()
    }

    /// The ref shows what was held back before, perhaps with others in between: nobody is told once more.
    pub(super) fn hold_again(&mut self, held: &Held) {
        let source = &mut *self.source;
        if source.state.held.as_ref() != Some(held) {
            tracing::debug!(commit = held.commit, "held back as before: {}", held.reason);
            source.state.hold(held.clone());
            source.leftovers |= source.state.save(&source.lock, &source.layout).is_err();
        }
    }

    /// What was published last, as what is wanted.
    pub(super) fn instead(&self, target: &Target) -> Option<Target> {
        match &self.source.state.published {
            Some(published) => Target::of_published(published),
            // Our memory was lost, or a root was taken over: readers have what they have.
            None => Some(Target::of_commit(self.source.live()?, &target.reference, &target.wanted)),
        }
    }

    /// Everything that the gate's answer depends on but the revision itself.
    pub(super) fn rules_of_the_gate(&self, target: &Target) -> String {
        let source = &*self.source;
        let published = source.state.published.as_ref().map_or("nothing", |published| &published.commit);
        let (version, wanted) = (env!("CARGO_PKG_VERSION"), &target.wanted);
        format!("{version} {wanted} over {published} {:?}", source.config.check)
    }

    /// Asks the gate about a revision that is to take the place of `before`.
    pub(super) fn judge(
        &mut self,
        objects: &Objects,
        commit: ObjectId,
        files: (&Listing, Option<&Converter>),
        before: Option<ObjectId>,
    ) -> Result<Report, Broken> {
        let message = self.source.store.message(objects, &commit).unwrap_or_default();
        let report = self.ask_gate(objects, (commit, message.as_bstr()), files, before)?;
        if let (Verdict::Reject { because: "shrink", .. }, Some(before)) = (&report.verdict, before)
            && let Some(message) = self.message_that_means_it(objects, commit, before)?
        {
            return self.ask_gate(objects, (commit, message.as_bstr()), files, Some(before));
        }
        Ok(report)
    }

    fn ask_gate(
        &mut self,
        objects: &Objects,
        (commit, message): (ObjectId, &BStr),
        (listing, converter): (&Listing, Option<&Converter>),
        before: Option<ObjectId>,
    ) -> Result<Report, Broken> {
        // Whole or not: it is what readers have.
        let at_link = self.source.layout.at_link();
        let Source { gate, store, config, .. } = &mut *self.source;
        let (store, limits, checkout) = (&*store, &config.limits, config.checkout);
        let interrupt = self.deadline.interrupt();
        let folder = config.check.folder.as_bstr();
        let before = before.map(|commit| (commit, commit.to_string()));
        let files = |look: &mut Looking<'_>| {
            let Some((before, _)) = &before else { return };
            if let Ok((_, root)) = store.peel_to_commit(objects, before, "")
                && revision::show(objects, &root, limits, checkout, folder, interrupt, look)
                    .is_ok_and(|it| it)
            {
                return;
            }
            // The store was fetched again and begins later: then it is what readers have.
            let tree = match &at_link {
                Ok(AtLink::Tree { path, commit }) if commit == before => {
                    Folder::whole(path, folder).ok().map(|tree| tree.until(interrupt))
                }
                _ => None,
            };
            if !tree.is_some_and(|tree| look(&tree)) && self.deadline.check().is_ok() {
                tracing::warn!(
                    "{before} cannot be read any more: errors cannot be compared, and hold nothing back"
                );
            }
        };
        let published = before.as_ref().map(|(_, commit)| check::Published { commit, files: &files });
        let candidate = Candidate::new(listing, folder, objects, converter, interrupt);
        let revision = check::Revision { commit: &commit.to_string(), message, files: &candidate };
        gate.judge(revision, published).map_err(|err| match self.deadline.check() {
            Err(expired) => Broken::new(Stage::Check, &write::Error::Expired(expired)),
            Ok(()) => {
                let message = format!("cannot read revision {commit}: {err}");
                let failure = Failure::new(Stage::Check, &message, None, Remedy::Retry { after: None });
                Broken { failure, damaged: true }
            }
        })
    }
}

/// The findings, one event each, the worst first and not too many.
pub(super) fn tell(all: &[Finding]) {
    let mut findings: Vec<&Finding> = all.iter().collect();
    findings.sort_by_key(|finding| Reverse(finding.severity));
    for Finding { path, issue, severity } in findings.iter().take(TOLD) {
        let (path, line, code) = (path.to_string(), issue.line, issue.code.name());
        match severity {
            Severity::Warning => tracing::debug!(path, line, code, "warning: {}", issue.message),
            Severity::Error | Severity::Fatal => {
                tracing::warn!(path, line, code, "{severity}: {}", issue.message)
            }
        }
    }
    if let Some(more) = findings.len().checked_sub(TOLD).filter(|more| *more > 0) {
        tracing::debug!("and {more} findings more");
    }
}
