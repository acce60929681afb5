//! The first start: a pod should serve what pods serve that have been there for longer.
//!
//! An agent that was there has followed the branch, commit by commit, and has stopped where the gate, or the operator's own check,
//! stopped it. One that begins plays that back over the last commits, and publishes where it ends.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::time::Instant;

use gix::ObjectId;
use gix::bstr::{BStr, ByteSlice as _};

use super::failure::{Broken, Failure, broken, broken_tree};
use super::pass::{self, Outcome, Pass};
use super::resolve::Target;
use crate::check::report::Report;
use crate::check::verdict::{Policy, Verdict};
use crate::config::Submodules;
use crate::deadline::Expired;
use crate::error::Remedy;
use crate::git::diff;
use crate::git::store::Objects;
use crate::metrics::Stage;
use crate::publish::state::{Held, SEARCHED};
use crate::tree::attributes::Converter;
use crate::tree::{self, Listing};

/// So many commits are played back at most. Who pushes more broken ones in a row has other problems. Fetching them costs next to
/// nothing: of 10,000 files, with a file changed by each commit, 0.5 % more than the newest one alone.
pub(super) const WINDOW: NonZeroU32 = NonZeroU32::new(32).expect("more than none");

/// So many trees are built in a pass for the operator's own check, each for a commit that it may refuse. The next pass goes on.
const TRIES: usize = 8;

// What is forgotten before the search ends is asked again, and the search would not end.
const _: () = assert!(SEARCHED >= WINDOW.get() as usize + TRIES);

/// Where an agent stands that has followed the branch.
pub(super) struct Played {
    pub(super) stands: Option<ObjectId>,
    /// What the gate says of the tip, if it was asked.
    tip: Option<Report>,
}

/// Whether a file says what others are: one line may hide every DAG, or make of it what Airflow does not take for Python.
fn rules_others(name: &[u8]) -> bool {
    matches!(name, b".airflowignore" | b".gitattributes")
}

impl Pass<'_> {
    /// Whether nobody has anything yet, so that the newest revision takes the place of none.
    pub(super) fn is_first(&self, target: &Target) -> bool {
        !target.looked_at && self.source.state.published.is_none() && self.source.live().is_none()
    }

    /// How much history is asked for: at a first start so much as may be played back.
    pub(super) fn depth_to_fetch(&self, target: &Target) -> Option<NonZeroU32> {
        let plays = self.plays() && self.is_first(target);
        self.source.config.depth.map(|depth| if plays { depth.max(WINDOW) } else { depth })
    }

    /// Whether anybody minds what is published.
    fn plays(&self) -> bool {
        let settings = &self.source.config.check;
        settings.policy != Policy::Off || settings.own.is_some()
    }

    /// **check** of the newest revision where nothing is published. `None` means that it may be.
    pub(super) fn check_first(
        &mut self,
        objects: &Objects,
        tip: ObjectId,
        target: &Target,
        (listing, converter): (&Listing, Option<&Converter>),
    ) -> Result<Option<Held>, Broken> {
        let settings = &self.source.config.check;
        if settings.policy == Policy::Off {
            return Ok(None);
        }
        let start = Instant::now();
        let folder = settings.folder.clone();
        let mut report = self.judge(objects, tip, (listing, converter), None)?;
        if !folder.is_empty() && report.files == 0 {
            tracing::warn!(
                "the revision has no folder `{folder}`, which `--check-folder` names: nothing is checked"
            );
        }
        self.played.insert((tip, None), Some(report.verdict.clone()));
        let mut stands = Some(tip);
        if report.verdict != Verdict::Pass || !self.nothing_went(objects, tip, listing, report.dag_files) {
            let played = self.replay(tip, &BTreeSet::new())?;
            stands = played.stands;
            if stands != Some(tip) {
                report = played.tip.unwrap_or(report);
            }
        }
        self.looked(tip, start, &report.findings);
        match report.verdict {
            Verdict::Reject { because, reason } if stands != Some(tip) => {
                Ok(Some(self.hold(tip, target, because, &reason)))
            }
            verdict => {
                if verdict != Verdict::Pass {
                    tracing::warn!(
                        "no commit of the last {WINDOW} is without errors: the newest is published"
                    );
                }
                self.source.state.held = None;
                Ok(None)
            }
        }
    }

    /// A revision is held back: where nothing is published, an older one is.
    pub(super) fn held_back(
        &mut self,
        target: &Target,
        tip: ObjectId,
        held: Held,
    ) -> Result<Outcome, Broken> {
        if self.is_first(target) {
            self.publish_an_older_one(target, tip, held)
        } else {
            Ok(Outcome::Rejected(held))
        }
    }

    /// The tip was held back by an earlier pass, and still nothing is published: the search below it did not end, or its end was
    /// not seen by this process.
    pub(super) fn search_on(&mut self, target: &Target) -> Result<Outcome, Failure> {
        if target.commit.is_some_and(|tip| self.searched_in_vain(target, tip)) {
            return Ok(Outcome::Unchanged);
        }
        match self.aim(target)? {
            // Who was told is not told again.
            Outcome::Rejected(_) => Ok(Outcome::Unchanged),
            other => Ok(other),
        }
    }

    /// Whether this process knows already that nothing below the tip is fit to be published.
    fn searched_in_vain(&self, target: &Target, tip: ObjectId) -> bool {
        let known = self.source.nothing_below.as_ref();
        known.is_some_and(|(below, rules)| *below == tip && *rules == self.rules_of_the_gate(target))
    }

    /// What the operator's own check has refused, by the rules of now: each is asked about once, over all passes and starts.
    fn refused_before(&self, target: &Target) -> BTreeSet<ObjectId> {
        let rules = self.rules_of_the_gate(target);
        let refused = self.source.state.refused.iter();
        refused
            .filter(|held| held.because == "command" && held.rules == rules)
            .filter_map(|held| ObjectId::from_hex(held.commit.as_bytes()).ok())
            .collect()
    }

    /// Refusals of commits that are played back no more, when there is no room for those of this pass: the others would be asked again.
    fn forget_what_left_the_window(&mut self, tip: ObjectId) -> Result<(), Broken> {
        if self.source.state.refused.len() + TRIES > SEARCHED {
            let objects = self.source.store.objects().map_err(broken(Stage::Check))?;
            let window = self.first_parents(&objects, tip);
            self.source.state.refused.retain(|held| window.iter().any(|commit| held.is(commit)));
        }
        Ok(())
    }

    /// The tip is held back, and nothing is published: what should be is looked for in its history.
    pub(super) fn publish_an_older_one(
        &mut self,
        target: &Target,
        tip: ObjectId,
        held: Held,
    ) -> Result<Outcome, Broken> {
        let outcome = match self.stand_in(target, tip, &held.reason)? {
            Some(report) => Outcome::Published(Box::new(pass::Report { held: Some(held.clone()), ..report })),
            None => Outcome::Rejected(held.clone()),
        };
        // It was held back over nothing; over what is published now the answer is the same.
        let held = Held { rules: self.rules_of_the_gate(target), ..held };
        let source = &mut *self.source;
        if source.state.held.as_ref() != Some(&held) {
            source.state.hold(held);
            source.leftovers |= source.state.save(&source.lock, &source.layout).is_err();
        }
        Ok(outcome)
    }

    /// The tip cannot be written at all, and nothing is published: others have what its history has. The failure is told as they tell it.
    pub(super) fn serve_an_older_one(&mut self, target: &Target, tip: ObjectId, unfit: Broken) -> Broken {
        if !self.plays() {
            return unfit;
        }
        match self.stand_in(target, tip, &unfit.failure.message) {
            Ok(_) => unfit,
            Err(other) => other,
        }
    }

    /// Publishes the newest commit before the tip at which an agent would stand, if there is one.
    fn stand_in(
        &mut self,
        target: &Target,
        tip: ObjectId,
        because: &str,
    ) -> Result<Option<pass::Report>, Broken> {
        if self.searched_in_vain(target, tip) {
            return Ok(None);
        }
        self.forget_what_left_the_window(tip)?;
        let mut refused = self.refused_before(target);
        refused.insert(tip);
        for _ in 0..TRIES {
            let played = self.time(Stage::Check, |pass| pass.replay(tip, &refused))?;
            let Some(commit) = played.stands else {
                self.source.nothing_below = Some((tip, self.rules_of_the_gate(target)));
                break;
            };
            tracing::debug!(%commit, "an older commit is tried");
            let older =
                Target { looked_at: true, ..Target::of_commit(commit, &target.reference, &target.wanted) };
            // What the operator's own check says of it is added to what was found of it alone.
            self.findings.clear();
            match self.bring(&older, None)? {
                Outcome::Published(report) => {
                    // Not before: a search may take many passes, and the log of each would tell of it.
                    tracing::warn!(%tip, "held back: {because}");
                    tracing::warn!(%commit, "an older commit is published instead");
                    return Ok(Some(*report));
                }
                // By the operator's own check.
                _ => refused.insert(commit),
            };
        }
        Ok(None)
    }

    /// Whether all of the last commits only added files, or changed so few that no guard can have stopped at any of them: then the tip,
    /// which has no error, is where an agent stands, whichever it had before.
    fn nothing_went(&self, objects: &Objects, tip: ObjectId, listing: &Listing, dag_files: usize) -> bool {
        let links = || listing.entries().filter(|entry| entry.kind == tree::Kind::Symlink);
        // Where such a file leads, something may be new that no name tells.
        if links().any(|link| rules_others(link.path.rsplit_str("/").next().unwrap_or_default())) {
            return false;
        }
        let source = &*self.source;
        let limit = usize::try_from(source.config.limits.entries).unwrap_or(usize::MAX);
        let store = &source.store;
        let tree = |commit: &ObjectId| store.peel_to_commit(objects, commit, "").ok().map(|(_, tree)| tree);
        let (mut added, mut changed) = (0, 0);
        for pair in self.first_parents(objects, tip).windows(2) {
            let [Some(new), Some(old)] = [tree(&pair[0]), tree(&pair[1])] else { return false };
            let decides = |name: &BStr, is_link: bool| is_link || rules_others(name);
            let step = diff::changes_but(&decides, store, objects, &old, &new, limit);
            let Some(step) = step.filter(|step| step.removed == 0) else { return false };
            added += step.added;
            changed += step.changed;
        }
        let had = dag_files.saturating_sub(added + changed);
        // Behind a link one file may be many DAG files.
        changed == 0
            || links().next().is_none()
                && changed * 100 <= had * usize::from(source.config.check.max_removed.min(99))
    }

    /// The tip and its first parents, as far as they are here.
    fn first_parents(&self, objects: &Objects, tip: ObjectId) -> Vec<ObjectId> {
        let store = &self.source.store;
        let mut commits = vec![tip];
        while commits.len() < WINDOW.get() as usize {
            let last = commits.last().expect("the tip at least");
            let parent = store.parents(objects, last).ok().and_then(|parents| parents.first().copied());
            // Where the history that was fetched ends.
            let Some(parent) = parent.filter(|it| store.peel_to_commit(objects, it, "").is_ok()) else {
                break;
            };
            commits.push(parent);
        }
        commits
    }

    /// Where an agent would stand that had followed the first parents to `tip`, and had `refused` some. It begins at the oldest one
    /// without errors, or without any such at the oldest that Airflow survives: others have that one since longer ago than we
    /// can see.
    pub(super) fn replay(&mut self, tip: ObjectId, refused: &BTreeSet<ObjectId>) -> Result<Played, Broken> {
        let objects = self.source.store.objects().map_err(broken(Stage::Check))?;
        let mut commits = self.first_parents(&objects, tip);
        commits.reverse();
        let mut played = self.follow(&objects, &commits, None, refused)?;
        if played.stands.is_none() {
            let survives = |commit: &&ObjectId| {
                let verdict = self.played.get(&(**commit, None)).and_then(Option::as_ref);
                let errors = matches!(verdict, Some(Verdict::Reject { because: "error", .. }));
                errors && !refused.contains(*commit)
            };
            if let Some(first) = commits.iter().position(|commit| survives(&commit)) {
                played = self.follow(&objects, &commits[first + 1..], Some(commits[first]), refused)?;
            }
        }
        Ok(played)
    }

    /// Follows commits, the oldest first, from one that is published on.
    fn follow(
        &mut self,
        objects: &Objects,
        commits: &[ObjectId],
        from: Option<ObjectId>,
        refused: &BTreeSet<ObjectId>,
    ) -> Result<Played, Broken> {
        let mut played = Played { stands: from, tip: None };
        for (at, commit) in commits.iter().enumerate() {
            let over = played.stands;
            let verdict = match self.played.get(&(*commit, over)) {
                Some(verdict) => verdict.clone(),
                None => {
                    let report = self.report_of(objects, *commit, over)?;
                    let verdict = report.as_ref().map(|report| report.verdict.clone());
                    if let Some(report) = &report {
                        self.source.learn_findings(&commit.to_string(), &report.findings);
                    }
                    self.played.insert((*commit, over), verdict.clone());
                    if at + 1 == commits.len() {
                        played.tip = report;
                    }
                    verdict
                }
            };
            if verdict == Some(Verdict::Pass) && !refused.contains(commit) {
                played.stands = Some(*commit);
            }
        }
        Ok(played)
    }

    /// What the gate says of a commit over another one; `None` if it cannot be written at all.
    fn report_of(
        &mut self,
        objects: &Objects,
        commit: ObjectId,
        over: Option<ObjectId>,
    ) -> Result<Option<Report>, Broken> {
        let source = &*self.source;
        let (limits, checkout, policy) =
            (&source.config.limits, source.config.checkout, source.tree_policy());
        let interrupt = self.deadline.interrupt();
        let shown = source.remote.shown();
        let (_, root) = source.store.peel_to_commit(objects, &commit, shown).map_err(broken(Stage::Check))?;
        let walked = tree::walk(objects, &root, limits, &policy, interrupt);
        self.deadline.check().map_err(|expired| {
            let message = format!("{expired} while the last {WINDOW} commits were played back");
            let hint =
                "`--sync-timeout` is for the whole pass; the next one knows already what this one has read";
            let remedy =
                if expired == Expired::Stopped { Remedy::Stopped } else { Remedy::Retry { after: None } };
            Broken::from(Failure::new(Stage::Check, &message, Some(hint), remedy))
        })?;
        // What cannot be read may be had again, and is no answer.
        let unfit = |err| {
            let broken = broken_tree(Stage::Check)(err).of_the_revision();
            if broken.failure.is_of_the_revision { Ok(None) } else { Err(broken) }
        };
        let listing = match walked {
            Ok(listing) => listing,
            Err(err) => return unfit(err),
        };
        if listing.has_submodules() && source.config.submodules != Submodules::Off {
            return Ok(None);
        }
        let converter = match Converter::new(&listing, objects, checkout) {
            Ok(converter) => converter,
            Err(err) => return unfit(err),
        };
        if self.source.config.check.policy == Policy::Off {
            let report = Report {
                target: self.source.config.check.target,
                files: listing.len(),
                dag_files: 0,
                findings: Vec::new(),
                ages: None,
                verdict: Verdict::Pass,
            };
            return Ok(Some(report));
        }
        self.judge(objects, commit, (&listing, converter.as_ref()), over).map(Some)
    }
}
