//! A source apart from its root: what a pass would fetch, look at and decide, in a folder of its own.
//!
//! For commands beside a running agent. The stages are those of a pass, so the answers are too; but they lock, write and remember in that
//! folder only. Of the root they read the state, the link, and the objects that somebody lends them.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::rc::Rc;

use gix::ObjectId;
use gix::bstr::BStr;
use gix::objs::Exists as _;

use super::failure::{Broken, Failure, broken, broken_tree, failed};
use super::locks::Locks;
use super::pass::Pass;
use super::pid1::Children;
use super::resolve::Target;
use super::revision;
use super::source::{self, Live, Parts, Source};
use crate::check::verdict::Policy;
use crate::check::{Gate, Looking};
use crate::config::{Durable, RefChoice, SourceConfig};
use crate::deadline::Deadline;
use crate::git;
use crate::git::store::{About, Objects};
use crate::hooks;
use crate::metrics::{Metrics, Stage};
use crate::publish::state::{Held, State};
use crate::publish::{self, Layout};
use crate::tree::recycle::Looked;

/// A source in a folder of its own.
pub struct Apart {
    source: Source,
    deadline: Rc<Deadline>,
}

/// A commit, and what it says of itself if its object can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Its id.
    pub id: ObjectId,
    /// Author and subject.
    pub about: Option<About>,
}

/// What a pass would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Nothing: it is published.
    Nothing,
    /// Build the published commit once more, as the settings are others.
    Again,
    /// Publish the remote's commit.
    Publish,
    /// Hold it back.
    Hold {
        /// Why, in a word.
        because: String,
        /// Why, in one line for people.
        reason: String,
        /// With nothing published yet: the older commit that would be, or this one all the same.
        instead: Option<ObjectId>,
    },
}

/// What is ahead of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upcoming {
    /// The remote, safe to show.
    pub repo: String,
    /// The ref's full name.
    pub reference: String,
    /// What readers have.
    pub published: Option<Commit>,
    /// What the remote has.
    pub remote: Commit,
    /// What a pass would do about it.
    pub next: Next,
    /// What the agent holds back now, as it remembers.
    pub held: Option<Held>,
}

/// What is lent by the root that the source is apart from.
pub type Lend<'a> = dyn FnMut(&Layout) -> io::Result<()> + 'a;

impl Apart {
    /// Opens it in `folder`, which is empty. `deadline` is for all that follows.
    ///
    /// # Errors
    /// When the folder cannot be written, or the HTTP client cannot be built.
    pub fn open(
        config: SourceConfig,
        folder: &Path,
        gate: Box<dyn Gate>,
        deadline: Rc<Deadline>,
    ) -> Result<Apart, Failure> {
        let link = folder.join("link");
        let config = SourceConfig {
            root: folder.to_owned(),
            link: link.clone(),
            touch_file: None,
            error_file: None,
            airflowignore_guard: false,
            durable: Durable::Off,
            ..config
        };
        let on_disk = |err: publish::Error| Failure::of(Stage::Resolve, &err);
        let mut layout = Layout::sole(folder, &link);
        layout.create(config.group_write).map_err(on_disk)?;
        let lock = Locks::default().acquire(&layout).map_err(on_disk)?;
        let parts = Parts { gate, announcer: Box::new(hooks::Nobody) };
        let metrics = Metrics::new().source(&config.name);
        let source = Source::open(config, layout, lock, parts, Children::new(), metrics)?;
        Ok(Apart { source, deadline })
    }

    /// The commit that the remote has for a ref, fetched with so many of its ancestors. Returns the commit of that generation, along
    /// first parents but for the steps that say another one: `[1, 2]` is `REF^^2`.
    ///
    /// # Errors
    /// Those of a pass, and when there are not so many ancestors.
    pub fn fetch(&mut self, reference: &str, steps: &[usize]) -> Result<ObjectId, Failure> {
        self.source.config.reference = RefChoice::Fixed(reference.to_owned());
        let mut pass = Pass::new(&mut self.source, &self.deadline);
        let target = pass.resolve()?;
        let depth = u32::try_from(steps.len()).unwrap_or(u32::MAX).saturating_add(1).try_into().ok();
        let Source { store, remote, .. } = &mut self.source;
        let mut walk = || -> Result<Option<ObjectId>, git::Error> {
            remote.fetch(store, &[target.fetch], &[], depth)?;
            let objects = store.objects()?;
            let (mut commit, _) = store.peel_to_commit(&objects, &target.fetch, remote.shown())?;
            for parent in steps {
                let parents = store.parents(&objects, &commit)?;
                let Some(next) = parent.checked_sub(1).and_then(|at| parents.get(at)) else {
                    return Ok(None);
                };
                commit = *next;
            }
            Ok(Some(commit))
        };
        let found = walk().map_err(failed(Stage::Fetch))?;
        found.ok_or_else(|| {
            let message = format!("`{}` of {} has not so many ancestors", target.wanted, remote.shown());
            Failure::new(Stage::Fetch, &message, None, crate::error::Remedy::Human)
        })
    }

    /// Shows the files of a commit that was fetched, and returns what `look` says.
    ///
    /// # Errors
    /// When there are more than the limits allow, or one cannot be read.
    pub fn show(&self, commit: ObjectId, folder: &BStr, look: &mut Looking<'_>) -> Result<bool, Failure> {
        let Source { store, config, .. } = &self.source;
        let objects = store.objects().map_err(failed(Stage::Check))?;
        let (_, root) = store.peel_to_commit(&objects, &commit, "").map_err(failed(Stage::Check))?;
        let interrupt = self.deadline.interrupt();
        revision::show(&objects, &root, &config.limits, config.checkout, folder, interrupt, look)
            .map_err(|err| broken_tree(Stage::Check)(err).failure)
    }

    /// What the next pass in `root` would do. `lend` is given the places where objects, the shallow list and the link of the root may
    /// be put; what it lends saves a fetch, and may go at any time.
    ///
    /// # Errors
    /// Those with which the pass would fail.
    pub fn look_ahead(&mut self, root: &Layout, lend: &mut Lend<'_>) -> Result<Upcoming, Failure> {
        let live = source::look(root).map_err(failed(Stage::Resolve))?;
        self.source.state = State::load(&root.state).0;
        let target = Pass::new(&mut self.source, &self.deadline).resolve()?;
        let lent = live.as_ref().is_none_or(|live| live.commit.kind() == self.source.store.hash())
            && lend(&self.source.layout).is_ok();
        match self.decide(&target, live.as_ref()) {
            // The agent may have tidied its objects meanwhile: then without them.
            Err(Broken { damaged: true, .. }) if lent => {
                self.source.store.wipe().map_err(failed(Stage::Fetch))?;
                self.decide(&target, live.as_ref())
            }
            other => other,
        }
        .map_err(|err| err.failure)
    }

    fn decide(&mut self, target: &Target, live: Option<&Live>) -> Result<Upcoming, Broken> {
        let (commit, root) = self.fetch_over(target, live)?;
        let target = Target {
            reference: target.reference.clone(),
            wanted: target.wanted.clone(),
            fetch: target.fetch,
            commit: Some(commit),
            looked_at: false,
        };
        let objects = self.source.store.objects().map_err(broken(Stage::Check))?;
        // Looking at a revision replaces what is remembered of the last one.
        let known = self.source.state.held.clone().filter(|held| held.is(&commit));
        let mut pass = Pass::new(&mut self.source, &self.deadline);
        let held = pass.held(&target);
        let next = match live {
            Some(live) if live.commit == commit && pass.same_settings(live) => Next::Nothing,
            Some(live) if live.commit == commit => Next::Again,
            _ => judge(&mut pass, &objects, &target, (commit, root), live)?,
        };
        // What is remembered is what the agent goes by: it may know more, from the operator's own check.
        let next = match (next, held) {
            (Next::Publish, Some(Held { because, reason, .. })) => {
                Next::Hold { because, reason, instead: None }
            }
            (next, _) => next,
        };
        let source = &self.source;
        let about = |id: ObjectId| Commit { id, about: source.store.about(&objects, &id).ok() };
        Ok(Upcoming {
            repo: source.remote.shown().to_owned(),
            reference: target.reference,
            published: live.map(|live| about(live.commit)),
            remote: about(commit),
            next,
            held: known,
        })
    }

    /// The objects of the target, over those that were lent. Returns the commit and its tree.
    fn fetch_over(&mut self, target: &Target, live: Option<&Live>) -> Result<(ObjectId, ObjectId), Broken> {
        let err = broken(Stage::Fetch);
        let depth = self.source.depth();
        let to_fetch = Pass::new(&mut self.source, &self.deadline).depth_to_fetch(target);
        let Source { store, remote, state, .. } = &mut self.source;
        let objects = store.objects().map_err(&err)?;
        let same_depth = state.published.as_ref().is_none_or(|published| published.depth == depth);
        let here = |id: &ObjectId| same_depth && id.kind() == store.hash() && objects.exists(id);
        let haves: Vec<ObjectId> = live.map(|live| live.commit).filter(here).into_iter().collect();
        // A commit whose tree is kept is whole.
        if !target.commit.is_some_and(|commit| haves.contains(&commit)) {
            remote.fetch(store, &[target.fetch], &haves, to_fetch).map_err(&err)?;
        }
        let objects = store.objects().map_err(&err)?;
        store.peel_to_commit(&objects, &target.fetch, remote.shown()).map_err(&err)
    }
}

/// The gate's answer, as a pass has it.
fn judge(
    pass: &mut Pass<'_>,
    objects: &Objects,
    target: &Target,
    (commit, root): (ObjectId, ObjectId),
    live: Option<&Live>,
) -> Result<Next, Broken> {
    let (listing, converter) = pass.list(objects, root, None, &Looked::default())?;
    let files = (&listing, converter.as_ref());
    let held = pass.check(objects, commit, target, files, live)?;
    if pass.source.config.check.policy == Policy::Off
        || held.as_ref().is_some_and(|it| it.because == "rewind")
    {
        // Then nobody has shown it to the gate, and whoever looks ahead wants to see what is in it.
        pass.judge(objects, commit, files, live.map(|live| live.commit))?;
    }
    let Some(Held { because, reason, .. }) = held else { return Ok(Next::Publish) };
    let instead = match pass.is_first(target) {
        true => pass.replay(commit, &BTreeSet::new())?.stands,
        false => None,
    };
    Ok(Next::Hold { because, reason, instead })
}
