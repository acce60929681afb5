//! A pod that starts while the tip is held back: it should serve what pods serve that have been there for longer.
//!
//! An agent that was there has followed the branch, commit by commit, and has stopped where the gate stopped it. One that begins
//! plays that back over the last commits, and publishes where it ends.

use std::num::NonZeroU32;

use gix::ObjectId;

use super::failure::{Broken, broken};
use super::pass::{Outcome, Pass};
use super::resolve::Target;
use crate::check::verdict::Verdict;
use crate::git::store::Objects;
use crate::metrics::Stage;
use crate::publish::state::Held;
use crate::tree::attributes::Converter;
use crate::tree::{self, Policy};

/// So many commits are played back at most. Who pushes more broken ones in a row has other problems.
const COMMITS: usize = 32;

impl Pass<'_> {
    /// The tip is held back. With nothing published yet, what should be is looked for in its history: the commit that an agent which
    /// followed the branch would have stopped at; without any such the tip, unless that would stop Airflow.
    pub(super) fn publish_an_older_one(
        &mut self,
        target: &Target,
        tip: ObjectId,
        held: Held,
    ) -> Result<Outcome, Broken> {
        if self.source.state.published.is_some() || self.source.live().is_some() {
            return Ok(Outcome::Rejected(held));
        }
        let Some(commit) = self.time(Stage::Check, |pass| pass.replay(tip))? else {
            return Ok(Outcome::Rejected(held));
        };
        if commit == tip {
            tracing::warn!("no commit of the last {COMMITS} is without errors: the newest is published");
        } else {
            tracing::warn!(tip = held.commit, "held back: {}", held.reason);
            tracing::warn!(%commit, "an older commit is published instead");
        }
        let older =
            Target { looked_at: true, ..Target::of_commit(commit, &target.reference, &target.wanted) };
        let outcome = self.bring(&older, None)?;
        let rules = self.rules_of_the_gate(target);
        let source = &mut *self.source;
        // It was held back over nothing; over what is published now the answer is the same.
        if commit != tip {
            source.state.held = Some(Held { rules, ..held });
        } else if !matches!(outcome, Outcome::Rejected(_)) {
            // Unless the operator's own check refused it: that is remembered.
            source.state.held = None;
        }
        if source.state.save(&source.lock, &source.layout).is_err() {
            source.leftovers = true;
        }
        Ok(outcome)
    }

    /// Where an agent would stand that had followed the first parents to `tip`. It begins at the oldest one without errors, or
    /// without any such at the oldest that Airflow survives: others have that one since longer ago than we can see.
    pub(super) fn replay(&mut self, tip: ObjectId) -> Result<Option<ObjectId>, Broken> {
        let err = broken(Stage::Check);
        let source = &mut *self.source;
        if source.config.depth.is_some_and(|depth| (depth.get() as usize) < COMMITS) {
            let depth = NonZeroU32::new(COMMITS as u32);
            let fetched =
                source.remote.fetch(&source.store, &[tip], &[], depth).map_err(broken(Stage::Fetch))?;
            source.metrics.fetched(fetched.bytes, fetched.objects);
            self.bytes += fetched.bytes;
        }
        let store = &self.source.store;
        let objects = store.objects().map_err(&err)?;
        let mut commits = vec![tip];
        while commits.len() < COMMITS {
            let last = commits.last().expect("the tip at least");
            // Where the history that was fetched ends.
            let Ok((parent, _)) = store.parents(&objects, last).and_then(|parents| {
                parents
                    .first()
                    .map_or_else(|| Err(store.damaged(last)), |it| store.peel_to_commit(&objects, it, ""))
            }) else {
                break;
            };
            commits.push(parent);
        }
        let (mut stands, mut survives) = (None, None);
        for commit in commits.iter().rev() {
            match self.verdict_of(&objects, *commit, stands)? {
                Some(Verdict::Pass) => stands = Some(*commit),
                Some(Verdict::Reject { because: "error", .. }) if survives.is_none() => {
                    survives = Some(*commit)
                }
                _ => {}
            }
        }
        // None is clean: the same from the oldest that Airflow survives on.
        if let (None, Some(first)) = (stands, survives) {
            stands = Some(first);
            for commit in commits.iter().rev().skip_while(|commit| **commit != first).skip(1) {
                if let Some(Verdict::Pass) = self.verdict_of(&objects, *commit, stands)? {
                    stands = Some(*commit);
                }
            }
        }
        Ok(stands)
    }

    /// What the gate says of a commit over another one; `None` if it cannot be written at all.
    fn verdict_of(
        &mut self,
        objects: &Objects,
        commit: ObjectId,
        over: Option<ObjectId>,
    ) -> Result<Option<Verdict>, Broken> {
        let source = &*self.source;
        let (limits, checkout) = (&source.config.limits, source.config.checkout);
        let interrupt = self.deadline.interrupt();
        let Ok((_, root)) = source.store.peel_to_commit(objects, &commit, "") else { return Ok(None) };
        let Ok(listing) = tree::walk(objects, &root, limits, &Policy::ANYTHING, interrupt) else {
            return Ok(None);
        };
        let Ok(converter) = Converter::new(&listing, objects, checkout) else { return Ok(None) };
        let report = self.judge(objects, commit, (&listing, converter.as_ref()), over)?;
        Ok(Some(report.verdict))
    }
}
